package main

import (
	"context"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/report"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/failback"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/settings"
)

// failbackFlags are those of failover that a failback has too, and its own.
type failbackFlags struct {
	handoverFlags
	orphans, export, toTopic string
	returns                  bool
	told                     answers.FailedBack
}

// newFailback makes the verb that opens a flow again which has failed over.
func newFailback() *cobra.Command {
	var f failbackFlags
	cmd := &cobra.Command{
		Use:   "failback -c FILE [--orphans append|export|abandon] [--dry-run] [--yes]",
		Short: "Open a flow again whose source is back, and decide what becomes of what was never copied",
		Long: `failback is for the day when the source of a flow that failed over is back. It shows
the records that the source holds and that were never copied, as 'orphans' does, and
opens the flow again once it is said what becomes of them:

  --orphans append    the flow copies them when it runs, behind what the target
                      holds by now: late records
  --orphans export    they are kept in a file (--export FILE) or in topics of their
                      own (--to-topic PREFIX), and are not copied
  --orphans abandon   they are not copied; they stay on the source

Without that word it stops, unless there are none. What is not copied is noted in
the ledger as given up. Killed at any point, the same command goes on.

With a second flow in the opposite direction what was written on the target comes to
the source; then a cutover of that flow moves the applications back. --return does
all of that in one: this command runs both flows, the opposite one as it is in the
file or made for the purpose, while applications go on; for the last moment it waits
as cutover does, and then says which may start on the source. Daemons of both flows
are to be stopped first. Nothing is lost, and groups read on at the first record that
they have read on neither side; records that were given up count as read.

` + line.ExitCodes,
		Example: `  replicator failback -c replicator.yaml --dry-run
  replicator failback -c replicator.yaml --orphans append --yes
  replicator failback -c replicator.yaml --orphans append --return --yes
  replicator failback -c replicator.yaml --orphans export --export orphans.jsonl --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.failBack(cmd) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.returns, "return", false, "run both flows, and hand the applications over to the source")
	cmd.Flags().StringVar(&f.orphans, "orphans", "", "what becomes of records that were never copied")
	cmd.Flags().StringVar(&f.export, "export", "", "with --orphans export: write them to this new file")
	cmd.Flags().StringVar(&f.toTopic, "to-topic", "", "with --orphans export: write them to topics whose names begin so")
	return cmd
}

func (f *failbackFlags) failBack(cmd *cobra.Command) error {
	on, err := f.oneFlow(cmd)
	if err != nil {
		return err
	}
	o := failback.Options{Clusters: on.clusters, Flow: on.flows[0], Log: on.log, Orphans: failback.Choice(f.orphans),
		Where: orphans.Where{File: f.export, Topics: f.toTopic}}
	if err := o.Validate(); err != nil {
		return line.Usage(cmd, err)
	}
	ctx, cancel := f.limited(cmd.Context())
	defer cancel()
	return f.inTime(ctx, f.failBackBy(ctx, cmd, o))
}

func (f *failbackFlags) failBackBy(ctx context.Context, cmd *cobra.Command, o failback.Options) error {
	v, err := failback.Open(ctx, o)
	if err != nil {
		return err
	}
	defer v.Close()
	out := cmd.OutOrStdout()
	f.told = answers.FailedBack{Flow: o.Flow.Name(), Choice: o.Orphans, Record: v.Record(),
		Before: v.Record().State == handover.FailedBack}
	f.told.Done = f.told.Before
	if found := v.Orphans(); found != nil {
		f.told.Orphans, f.told.HadRead = &orphans.Kept{Report: found}, v.HadRead()
		if !f.asJSON {
			if err := report.Orphans(out, *f.told.Orphans); err != nil {
				return err
			}
			report.HadRead(out, v.HadRead(), found.Source, found.Target)
		}
	}
	refused := v.Refusal()
	if f.dry && f.returns {
		if err := f.comeBack(ctx, cmd); err != nil {
			return err
		}
	}
	if f.dry || refused != nil {
		return errorsOf(f.tell(cmd), apart(refused))
	}
	if f.returns {
		if err := f.mayComeBack(ctx, cmd); err != nil {
			return err
		}
	}
	if !f.told.Before {
		if err := f.agreed(cmd); err != nil {
			return err
		}
	}
	kept, err := v.Run(ctx)
	if err != nil {
		return apart(err)
	}
	f.told.Orphans, f.told.Record, f.told.Done, f.told.Left = &kept, v.Record(), true, v.Left()
	if !f.returns {
		return f.tell(cmd)
	}
	if !f.asJSON {
		if err := f.tell(cmd); err != nil {
			return err
		}
	}
	if err := f.comeBack(ctx, cmd); err != nil {
		return err
	}
	if f.asJSON {
		return f.tell(cmd)
	}
	return report.Done(out, *f.told.Back, o.Flow.From)
}

// openReturn finds the opposite flow, and what both are to do.
func (f *failbackFlags) openReturn(ctx context.Context, cmd *cobra.Command) (*cutover.Return, error) {
	o, err := f.options(cmd)
	if err != nil {
		return nil, err
	}
	var back *settings.Config
	if cfg, err := config.Load(f.path); err == nil {
		if opposite, err := cfg.Flow(o.Flow.To + "->" + o.Flow.From); err == nil {
			back = &opposite
		}
	}
	return cutover.OpenReturn(ctx, o, back)
}

// mayComeBack refuses what would be refused later, before the flow is opened.
func (f *failbackFlags) mayComeBack(ctx context.Context, cmd *cobra.Command) error {
	r, err := f.openReturn(ctx, cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Rest(ctx)
}

// comeBack hands the applications over, or shows what that takes.
func (f *failbackFlags) comeBack(ctx context.Context, cmd *cobra.Command) error {
	r, err := f.openReturn(ctx, cmd)
	if err != nil {
		return err
	}
	defer r.Close()
	if f.dry {
		f.told.Steps, err = r.Preview(ctx)
		if !f.asJSON {
			report.Steps(cmd.OutOrStdout(), f.told.Steps)
		}
		return err
	}
	record, err := r.Run(ctx)
	f.told.Back = &record
	return err
}

// tell prints the answer, in either way.
func (f *failbackFlags) tell(cmd *cobra.Command) error {
	if f.asJSON {
		return answers.Print(cmd.OutOrStdout(), f.told, true)
	}
	return report.FailedBack(cmd.OutOrStdout(), f.told.Record, f.told.Orphans, f.told.Left)
}
