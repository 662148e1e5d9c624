package main

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/report"
	"replicator/pkg/operate/replay"
)

// newImportRecords makes the verb that replays a file of records.
func newImportRecords() *cobra.Command {
	var path, to string
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "import-records -c FILE --to CLUSTER FILE.jsonl",
		Short: "Write a file of records to the topics that it names, exactly and once",
		Long: `import-records writes the records of a file, as 'replicator orphans --export' or
kcat -J make it, to the topics and partitions that it names: with their keys,
values, headers and timestamps, byte for byte, in the file's order (docs/FORMATS.md).

The whole file is read before the first record is written. Topics have to be
there, with enough partitions; what would alter a record is refused.

Records go in transactions, together with how far the file is written, on topic
__replicator_replayed. So the same command can be given again after it was
killed: what is written is not written twice, as long as the file holds the same
and the topic was not made anew. A second run at the same time ends the first.

On a cluster that is one of a pair these are records like those of applications:
the flow that copies from it carries them on.

` + line.ExitCodes,
		Example: `  replicator import-records -c replicator.yaml --to new orphans.jsonl --dry-run
  replicator import-records -c replicator.yaml --to new orphans.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.LoadClusters(path)
			if err != nil {
				return err
			}
			clusters := line.ClustersWith(cfg, slog.New(slog.DiscardHandler))
			if _, known := clusters[to]; !known {
				return line.Usage(cmd, fmt.Errorf("--to %q: the clusters are %s", to,
					strings.Join(slices.Sorted(maps.Keys(clusters)), ", ")))
			}
			warnOfCarriers(cmd, path, to)
			im, err := replay.Import(cmd.Context(), replay.Options{
				Path: args[0], Cluster: clusters[to], Prefix: cfg.Prefixes[to], DryRun: dry})
			if im == nil {
				return apart(err)
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return errorsOf(answers.Print(out, im, true), apart(err))
			}
			return errorsOf(report.Imported(out, im, err), apart(err))
		},
	}
	line.ConfigFlag(cmd, &path)
	line.JSONFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&to, "to", "", "the cluster, by its name in the configuration")
	_ = cmd.MarkFlagRequired("to")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "read the file and look at the topics; write nothing")
	return cmd
}

// warnOfCarriers names the flows of the configuration that carry on what is written to a cluster.
func warnOfCarriers(cmd *cobra.Command, path, to string) {
	whole, err := config.Load(path)
	if err != nil {
		return // clusters are all that the file need have
	}
	for i := range whole.Flows {
		if flow := &whole.Flows[i]; flow.From == to {
			cmd.PrintErrf("! flow %s carries what is written to %s on to %s: records that came from %s are there twice then\n",
				flow.Name(), to, flow.To, flow.To)
		}
	}
}
