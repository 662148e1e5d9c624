package orders

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/pkg/operate/history"
)

// NewHistory makes the verb that shows what operators have decided.
func NewHistory() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "history -c FILE [--flow F] [--json]",
		Short: "Show what was decided about a flow, when and by whom: pauses, orders, cutovers, failovers",
		Long: `history reads the flow's ledger on the target, and lists what operators have decided
about it, the oldest first: who had a topic or a partition wait or go on and why,
orders about cuts, and the latest cutover and failover with what came of them. Of
each topic and partition it knows the last fifty words. The source is not asked.

` + line.ExitCodes,
		Example: `  replicator history -c replicator.yaml
  replicator history -c replicator.yaml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flow, clusters, err := f.load()
			if err != nil {
				return err
			}
			list, err := history.Of(cmd.Context(), clusters[flow.To], flow.LedgerTopic())
			switch {
			case err != nil:
				return err
			case f.asJSON:
				return answers.Print(cmd.OutOrStdout(), map[string]any{"flow": flow.Name(), "events": list}, true)
			case len(list) == 0:
				fmt.Fprintf(cmd.OutOrStdout(), "nothing was decided about flow %s\n", flow.Name())
			}
			tellHistory(cmd.OutOrStdout(), list)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func tellHistory(w io.Writer, list []history.Event) {
	for _, one := range list {
		text := one.Event
		for _, more := range []string{one.What, one.By} {
			if more != "" {
				text += "  " + more
			}
		}
		if one.Text != "" {
			text += ": " + one.Text
		}
		fmt.Fprintf(w, "%s  %s\n", one.At.Format(time.RFC3339), text)
	}
}
