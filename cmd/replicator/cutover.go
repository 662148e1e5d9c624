package main

import (
	"context"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/report"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/selection"
	"replicator/pkg/replicate/settings"
)

// newCutover makes the verb that moves applications over.
func newCutover() *cobra.Command {
	var f handoverFlags
	cmd := &cobra.Command{
		Use:   "cutover -c FILE [--groups RE] [--dry-run] [--yes]",
		Short: "Move the applications over: wait until all is right, note it, say what may start",
		Long: `cutover is for the maintenance window. It waits until nobody writes to the source,
the groups there have no members, the lag is 0 and every group stands exactly on
the target; compares the last records of both sides; notes in the ledger where
everything stood; and prints which applications may start on the target. Then
'replicator rollback' knows the way back.

Who still writes or reads is named. What cannot become right by waiting is refused,
with a remedy. With --force it is given up, and so is what does not come within
--timeout, step by step: how many records are not on the target, are read again or
are skipped is printed, and noted. A daemon may run meanwhile; where none does, the
rest is copied by this command. Killed at any point, the same command goes on.

At the end what the flow has set on topics of the target is put back as it was: on
those that this configuration selects, and once all groups are moved.

After a cutover the same command says when it was and that nothing is to be done;
with groups that were not part of it, it goes on with them. Where records have come
to the source since and nobody has made use of the target, it is begun anew; where
both sides were written to, it is refused with the figures. --undo forgets a cutover
that nobody has made use of; 'replicator rollback' takes back one that was.

` + line.ExitCodes,
		Example: `  replicator cutover -c replicator.yaml --dry-run
  replicator cutover -c replicator.yaml --yes --silent-for 10s
  replicator cutover -c replicator.yaml --groups "billing-.*" --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.cutOver(cmd) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.undo, "undo", false,
		"forget the latest cutover, which nobody has made use of: the flow counts as not cut over")
	return cmd
}

func (f *handoverFlags) cutOver(cmd *cobra.Command) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	claims := selection.OfGroups(f.groups)
	claims.Moves = true
	if f.force {
		claims.Kinds = nil
	}
	ctx, cancel := f.limited(cmd.Context())
	defer cancel()
	if _, err := hold(ctx, cmd, claims, o.Clusters, []settings.Config{o.Flow}); err != nil {
		return f.inTime(ctx, err)
	}
	return f.inTime(ctx, f.cutOverBy(ctx, cmd, o))
}

func (f *handoverFlags) cutOverBy(ctx context.Context, cmd *cobra.Command, o cutover.Options) error {
	c, err := cutover.Open(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	out := cmd.OutOrStdout()
	if f.undo {
		return f.undoCutover(ctx, cmd, c)
	}
	again, err := c.Again(ctx)
	if err == nil {
		err = again.Refusal(&o.Flow)
	}
	if err != nil {
		return err
	}
	f.answer.Before, f.answer.Verdict = again.Found, again.Verdict
	if !f.asJSON {
		report.Again(out, again, &o.Flow)
	}
	if again.Verdict == cutover.Nothing {
		if f.dry {
			return f.previewed(out, nil)
		}
		f.yes = true // nothing is to be agreed to
	}
	if on, err := f.goOn(ctx, cmd, c); !on {
		return f.previewed(out, err)
	}
	record, err := c.Run(ctx)
	if err != nil {
		return err
	}
	return f.ended(out, c, c.Restored(), record, o.Flow.To)
}
