package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/selection"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/handover"
)

// newRollback makes the verb that moves applications back.
func newRollback() *cobra.Command {
	var f handoverFlags
	cmd := &cobra.Command{
		Use:   "rollback -c FILE [--groups RE] [--dry-run] [--yes]",
		Short: "Move the applications back, with all that was written on the target since the cutover",
		Long: `rollback takes a cutover back after applications have run on the target. It turns
the flow around: what was written there since is carried to the source, exactly
once, and the groups' positions are translated back by the same map. Applications
may go on meanwhile; for the last moment it waits as cutover does, and then says
which may start on the source. Afterwards the flow may run again as before.

Stop the flow's daemons first. It says how far back is safe: what retention has
deleted, or what was written to the source meanwhile, is refused unless --force
gives it up, as that of cutover does, in records. Topics that were made on the
target since, and that the flow's rules choose, come back with the others. Killed
at any point, the same command goes on.

` + line.ExitCodes,
		Example: `  replicator rollback -c replicator.yaml --dry-run
  replicator rollback -c replicator.yaml --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.rollBack(cmd) },
	}
	f.add(cmd)
	return cmd
}

func (f *handoverFlags) rollBack(cmd *cobra.Command) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := f.limited(cmd.Context())
	defer cancel()
	return f.inTime(ctx, f.rollBackBy(ctx, cmd, o))
}

func (f *handoverFlags) rollBackBy(ctx context.Context, cmd *cobra.Command, o cutover.Options) error {
	r, err := cutover.OpenRollback(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	out := cmd.OutOrStdout()
	if patterns := selection.Given("--groups", policy.Groups, f.groups); len(patterns) > 0 {
		seen, err := r.Match(ctx, patterns)
		if err == nil {
			warnings, problems := selection.Claims{Given: patterns}.Judge(seen)
			warn(cmd, warnings)
			err = together(problems)
		}
		if err != nil {
			return err
		}
	}
	if r.Found().State != handover.RolledBack {
		f.showWayBack(out, r.State(), o)
		if on, err := f.goOn(ctx, cmd, r); !on {
			return f.previewed(out, err)
		}
	}
	record, err := r.Run(ctx)
	if err != nil {
		return err
	}
	if f.answer.Left = r.MovedSince(); len(f.answer.Left) > 0 && !f.asJSON {
		fmt.Fprintf(out, "left as they are, since they were used on %s after the cutover: %s\n", o.Flow.From,
			strings.Join(f.answer.Left, ", "))
	}
	return f.ended(out, r, r.Restored(), record, o.Flow.From)
}

// showWayBack says how far back is safe, or keeps it for the answer.
func (f *handoverFlags) showWayBack(w io.Writer, s cutover.BackState, o cutover.Options) {
	if f.asJSON {
		f.answer.Back = answers.WayBackOf(&s)
		return
	}
	report.WayBack(w, s, o.Flow)
}
