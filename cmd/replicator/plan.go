package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report/plan"
	"replicator/internal/terminal"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// newPlan makes the verb that tells what a migration will do, and what stands in its
// way.
func newPlan() *cobra.Command {
	var path, flow string
	var asJSON bool
	var rate terminal.ByteRate
	opts := preflight.DefaultMigrationOptions()
	cmd := &cobra.Command{
		Use:   "plan -c FILE [--flow F] [--json] [--rate BYTES]",
		Short: "Tell what a migration will do, how long it takes, and what stands in its way",
		Long: `plan tells what 'check --connect' does, and what else a migration has to reckon
with: sizes, the disk that the target needs, the time that copying takes, settings
that stay different, groups and producers still active on the source, transactions
that are open or hang, quotas on the program, and ACLs of applications that the
target lacks. It changes nothing.

The time goes by a measured rate: that of the daemon, if one runs, else that of a
sample read from the source (64 MiB or a few seconds); it says which. --rate gives
another, in bytes per second, as 50000000 or 48MiB. What a cluster does not tell is
printed as not known, with the reason.

` + line.ExitCodes + ` It fails if something is in
the way; warnings and what is not known do not fail it.`,
		Example: `  replicator plan -c replicator.yaml
  replicator plan -c replicator.yaml --flow "old->new" --rate 50MiB --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, io.Discard)
			if err != nil {
				return err
			}
			opts.Rate = float64(rate)
			plans, inTheWay := surveyFlows(cmd.Context(), on, opts)
			if asJSON {
				err = answers.Print(cmd.OutOrStdout(), map[string]any{"flows": plans}, true)
			} else {
				out := terminal.NewPrinter(cmd.OutOrStdout())
				for _, m := range plans {
					plan.Migration(out, m)
				}
				err = out.Err()
			}
			if err != nil {
				return err
			}
			return together(inTheWay)
		},
	}
	line.ConfigFlag(cmd, &path)
	line.FlowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	cmd.Flags().Var(&rate, "rate", "bytes per second that copying moves, as 48MiB; left out: measured")
	cmd.Flags().DurationVar(&opts.Active, "active-within", opts.Active,
		"how recent its last record makes a producer active")
	return cmd
}

// surveyFlows plans all flows; what is in the way includes those that cannot be looked at.
func surveyFlows(ctx context.Context, on *chosen,
	opts preflight.MigrationOptions) ([]*preflight.Migration, []error) {
	plans := []*preflight.Migration{}
	var inTheWay []error
	for _, one := range on.flows {
		m, err := surveyFlow(ctx, clustersOf(on.clusters, one), one, opts)
		if err != nil {
			inTheWay = append(inTheWay, err)
			continue
		}
		plans = append(plans, m)
		inTheWay = append(inTheWay, m.InTheWay()...)
	}
	return plans, inTheWay
}

func surveyFlow(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	opts preflight.MigrationOptions) (*preflight.Migration, error) {
	view, err := snapshot.Open(ctx, clusters, flow, nil)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	return preflight.PlanMigration(ctx, view, opts)
}
