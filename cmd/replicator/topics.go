package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/pkg/operate/selection"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/policy"
)

// newTopics makes the verb that prepares a target.
func newTopics() *cobra.Command {
	var path, flow string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "topics -c FILE [--flow F]",
		Short: "Make the topics on the target as they are on the source, and copy nothing",
		Long: `topics creates the flow's topics on the target, with the source's partitions and
settings, and brings those that are there already into line, as 'replicator run'
does. No record and no group position is copied, and no ledger is made. It is for
applications that write to the target themselves. A topic of the target that holds
records is altered only if the flow's ledger knows it.

'replicator check --connect' tells beforehand what would be done.

` + line.ExitCodes,
		Example: `  replicator topics -c replicator.yaml
  replicator topics -c replicator.yaml --flow "old->new"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			flows, err := hold(cmd.Context(), cmd, selection.Claims{Kinds: []string{policy.Topics}}, on.clusters, on.flows)
			if err != nil {
				return err
			}
			var stopped []error
			reported := []answers.MadeTopics{}
			for _, one := range flows {
				made, err := targettopics.Make(cmd.Context(), on.clusters, one, on.log)
				if err != nil {
					return fmt.Errorf("flow %s: %w", one.Name(), err)
				}
				answer := answers.MadeTopics{Flow: one.Name(), Stopped: []answers.StoppedTopic{}}
				for _, t := range made {
					if t.Stop != nil {
						stopped = append(stopped, t.Stop)
						answer.Stopped = append(answer.Stopped, answers.StoppedTopic{Topic: t.Source,
							Reason: t.Stop.Reason, Remedy: t.Stop.Remedy()})
						continue
					}
					answer.Right++
				}
				reported = append(reported, answer)
				if !asJSON {
					fmt.Fprintf(cmd.OutOrStdout(), "flow %s: %d topics are on %s as they are to be\n", one.Name(), answer.Right,
						one.To)
				}
			}
			if asJSON {
				if err := answers.Print(cmd.OutOrStdout(), map[string]any{"flows": reported}, true); err != nil {
					return err
				}
			}
			return together(stopped)
		},
	}
	line.ConfigFlag(cmd, &path)
	line.JSONFlag(cmd, &asJSON)
	line.FlowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.AddCommand(newTopicsRestore())
	return cmd
}
