package main

import (
	"io"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/selection"
	"replicator/pkg/operate/snapshot"
)

// newDrained makes the verb that tells when the old cluster is no longer needed.
func newDrained() *cobra.Command {
	var path, flow, pattern string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "drained -c FILE [--groups RE] [--json]",
		Short: "Show what consumers have not read on the source, and what the target lacks for how long",
		Long: `drained tells whether the source is still needed: which groups have not read all of
it, and which topics hold records there that the target lacks, and for how long
retention keeps them. Where a flow copies, its offset map tells exactly, and what it
has not begun to copy is lacking; else, for applications that write to both clusters
themselves, the records' timestamps: what is older than the target's first record is
lacking, and what has the same timestamp, or one out of order, may be. While a
transaction is open on the source, or a partition is stopped because its source was
cut, the answer is not yes. Groups without a position are named as left out: how far
they are is not known.

` + line.ExitCodes + ` It is done when it could look,
whatever it saw; 'replicator wait --drained' waits.`,
		Example: `  replicator drained -c replicator.yaml
  replicator drained -c replicator.yaml --groups "billing-.*" --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, io.Discard)
			if err != nil {
				return err
			}
			only, err := line.WholeNames(cmd, "--groups", pattern)
			if err != nil {
				return err
			}
			flows, err := hold(cmd.Context(), cmd, selection.OfGroups(pattern), on.clusters, on.flows)
			if err != nil {
				return err
			}
			seen := []*inspect.DrainedStatus{}
			for _, one := range flows {
				view, err := snapshot.Open(cmd.Context(), on.clusters, one, nil)
				if err != nil {
					return err
				}
				d, err := inspect.Drained(cmd.Context(), view)
				view.Close()
				if err != nil {
					return err
				}
				if only != nil {
					d.Only(only.MatchString)
				}
				seen = append(seen, d)
			}
			if asJSON {
				return answers.Print(cmd.OutOrStdout(), map[string]any{"flows": seen}, true)
			}
			for _, d := range seen {
				report.Drained(cmd.OutOrStdout(), d)
			}
			return nil
		},
	}
	line.ConfigFlag(cmd, &path)
	line.FlowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().StringVar(&pattern, "groups", "", "only groups whose whole name matches")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	return cmd
}
