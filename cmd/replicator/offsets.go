package main

import (
	"context"
	"errors"
	"log/slog"
	"regexp"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/report"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/selection"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
)

// newOffsets makes the verb that translates one position.
func newOffsets() *cobra.Command {
	var path, flow, topic string
	var partition int32
	var at int64
	var inverse, asJSON bool
	cmd := &cobra.Command{
		Use:   "offsets -c FILE --topic T --partition P --at N",
		Short: "Translate one offset, and tell the rule that gave the answer",
		Long: `offsets answers where a reader goes on at the target that stands at offset N on
the source: what it would read next is the same record on both sides. With
--inverse N is an offset of the target, and the answer one of the source.

--topic is the topic's name on the source, in both directions. The answer is read
from the clusters alone; nothing is changed, and no daemon needs to run. An
offset that has not been copied yet has no answer: that is an error. What was
copied is translated by ledger and target alone, also while the source is away. Of two
flows that make a pair both maps are used, where both can be read; if not, the answer
says so, and what a reader may pass by for it.

` + line.ExitCodes,
		Example: `  replicator offsets -c replicator.yaml --topic orders --partition 3 --at 1200
  replicator offsets -c replicator.yaml --topic orders --partition 3 --at 1187 --inverse
  replicator offsets -c replicator.yaml --flow "old->new" --topic orders --partition 3 --at 1200`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if partition < 0 || at < 0 {
				return line.Usage(cmd, errors.New("--partition and --at count from 0"))
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			chosen, err := cfg.Flow(flow)
			if err != nil {
				return err
			}
			view, err := snapshot.OpenTolerant(cmd.Context(), line.ClustersWith(cfg, slog.New(slog.DiscardHandler)), chosen,
				nil)
			if err != nil {
				return err
			}
			defer view.Close()
			p := chunk.Partition{Topic: topic, Number: partition}
			var t *inspect.Translation
			if inverse {
				t, err = inspect.Invert(cmd.Context(), view, p, offsets.Target(at))
			} else {
				t, err = inspect.Translate(cmd.Context(), view, p, offsets.Source(at))
			}
			if err != nil {
				return named(cmd.Context(), view, topic, err)
			}
			if asJSON {
				return answers.Print(cmd.OutOrStdout(), answers.TranslatedOf(t), true)
			}
			return report.Translation(cmd.OutOrStdout(), t)
		},
	}
	line.ConfigFlag(cmd, &path)
	line.JSONFlag(cmd, &asJSON)
	line.FlowFlag(cmd, &flow, line.OneFlow)
	cmd.Flags().StringVar(&topic, "topic", "", "the topic, by its name on the source")
	cmd.Flags().Int32Var(&partition, "partition", 0, "the partition's number")
	cmd.Flags().Int64Var(&at, "at", 0, "the offset: of the source, or with --inverse of the target")
	cmd.Flags().BoolVar(&inverse, "inverse", false, "translate from the target to the source")
	for _, name := range []string{"topic", "partition", "at"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

// named is why there is no answer; that there is no such topic is an error of its own,
// with names that look like it.
func named(ctx context.Context, view *snapshot.Viewer, topic string, err error) error {
	if view.Away != nil {
		return err // what names there are is not known
	}
	seen, failed := inspect.MatchNames(ctx, view, selection.Given("--topic", policy.Topics, regexp.QuoteMeta(topic)))
	if failed != nil || !seen.Given[0].Nothing() {
		return err
	}
	return selection.EmptyPatternError{Match: seen.Given[0], Why: err}
}
