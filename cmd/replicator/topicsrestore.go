package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/selection"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/policy"
)

// newTopicsRestore makes the verb that puts settings of topics back.
func newTopicsRestore() *cobra.Command {
	var path, flow string
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "restore -c FILE [--flow F] [--yes]",
		Short: "Put back what the flow has set on the target's topics, once it has done its work",
		Long: `restore puts back the settings that the flow has put on topics of the target which
the configuration selects, as its ledger keeps them: on a topic that was there
before, all that it has altered; on one that it has created, what it needed only for
the copy (message.timestamp.*, a raised max.message.bytes), which becomes what the
source has now. 'replicator cutover' (in stages by --groups the last of them) and
'replicator rollback' do so at their end.

Without --yes it only shows what it would do. A setting that somebody has changed
since stays as it is, and so does one that would delete records, such as a shorter
retention: groups may not have read them. Both are named. While replicas of the
flow run it is refused but for topics that were cut over: they would set it again.

` + line.ExitCodes,
		Example: `  replicator topics restore -c replicator.yaml
  replicator topics restore -c replicator.yaml --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			claims := selection.Claims{Kinds: []string{policy.Topics}, Gone: targettopics.KeptTopics}
			flows, err := hold(cmd.Context(), cmd, claims, on.clusters, on.flows)
			if err != nil {
				return err
			}
			var refused []error
			reported := []map[string]any{}
			for _, one := range flows {
				list, err := targettopics.Restore(cmd.Context(), on.clusters, one, yes, on.log)
				if err != nil {
					return fmt.Errorf("flow %s: %w", one.Name(), err)
				}
				refused = append(refused, targettopics.Refusals(list)...)
				if asJSON {
					reported = append(reported, map[string]any{"flow": one.Name(), "put_back": yes, "settings": answers.Listed(list)})
					continue
				}
				out := terminal.NewPrinter(cmd.OutOrStdout())
				out.Line("flow %s, topics of %s:", one.Name(), one.To)
				report.Settings(out, list, yes)
				if out.Err() != nil {
					return out.Err()
				}
			}
			if asJSON {
				if err := answers.Print(cmd.OutOrStdout(), map[string]any{"flows": reported}, true); err != nil {
					return err
				}
			}
			return together(refused)
		},
	}
	line.ConfigFlag(cmd, &path)
	line.JSONFlag(cmd, &asJSON)
	line.FlowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().BoolVar(&yes, "yes", false, "put them back; without it they are only shown")
	return cmd
}
