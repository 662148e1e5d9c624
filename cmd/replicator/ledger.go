package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/pkg/operate/ownership"
	"replicator/pkg/replicate/kafka"
)

// newLedger makes the verb that tells whose a ledger is.
func newLedger() *cobra.Command {
	var path, flow string
	var accept, acceptOpposite, asJSON bool
	cmd := &cobra.Command{
		Use:   "ledger -c FILE [--flow F] [--accept-clusters | --accept-opposite] [--json]",
		Short: "Show which flow a ledger belongs to, and accept a cluster that was built anew",
		Long: `ledger shows what the flow's ledger on the target says of its flow: clusters and
their ids, naming, shards, since when, and what has changed. It changes nothing.

A flow does not run where the ledger names another cluster: the records of two
sources would be mixed. A cluster that was restored under another id is recognised by
its topics' ids. --accept-clusters is for one that was built anew in place of the
former one, with topics made anew: it notes that the clusters of now are meant. No
replica may run, nor one of an opposite flow. The records of a source topic that was made anew then follow the
former ones on the target; where the target was built anew, all is copied once more.

Of two flows in opposite directions neither goes on where the ledger of the other was
lost while its topics are there: which records it brought is not known then.
--accept-opposite has a flow go on: what the lost ledger claimed, and this flow has not
passed yet, is copied back, and so is there twice.

` + line.ExitCodes + ` It fails where the flow would be refused.`,
		Example: `  replicator ledger -c replicator.yaml
  replicator ledger -c replicator.yaml --flow "old->new" --accept-clusters`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			show := report.Ledger
			if asJSON {
				show = func(w io.Writer, v *ownership.LedgerView) error { return answers.Print(w, v, false) }
			}
			var refused []error
			for _, one := range on.flows {
				var seen *ownership.LedgerView
				switch {
				case acceptOpposite:
					seen, err = ownership.AcceptOpposite(cmd.Context(), on.clusters, one, on.log)
				case accept:
					seen, err = ownership.Accept(cmd.Context(), on.clusters, one, on.log)
				default:
					seen, err = ownership.Read(cmd.Context(), on.clusters, one)
				}
				if err != nil {
					return fmt.Errorf("flow %s: %w", one.Name(), err)
				}
				if err := show(cmd.OutOrStdout(), seen); err != nil {
					return err
				}
				if seen.Refused != "" {
					refused = append(refused, &kafka.Problem{What: seen.Refused, Fix: seen.Remedy})
				}
			}
			return together(refused)
		},
	}
	line.ConfigFlag(cmd, &path)
	line.FlowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().BoolVar(&accept, "accept-clusters", false, "note that the clusters of now are meant")
	cmd.Flags().BoolVar(&acceptOpposite, "accept-opposite", false,
		"go on without a ledger of the opposite flow that was lost")
	cmd.MarkFlagsMutuallyExclusive("accept-clusters", "accept-opposite")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object for each flow")
	return cmd
}
