package main

import (
	"errors"
	"log/slog"
	"regexp"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/report"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/operate/selection"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/settings"
)

// orphanFlags say which orphans are wanted, and where they go.
type orphanFlags struct {
	path, flow, topics, export, toTopic string
	asJSON                              bool
}

// newOrphans makes the verb that shows and keeps records that were never copied.
func newOrphans() *cobra.Command {
	var f orphanFlags
	cmd := &cobra.Command{
		Use:   "orphans -c FILE [--export FILE | --to-topic PREFIX]",
		Short: "Show and keep the records of the source that were never copied",
		Long: `orphans reads what the source holds from where copying goes on up to its end, but
for what the opposite flow has written there: the records that a failover has
left behind. It says how many there are by partition, with offsets and times, and
what it cannot know: what retention has deleted, what transactions hold open.

  --export FILE      writes them to a new file, one line of JSON a record, exactly
                     (docs/FORMATS.md): 'replicator import-records' writes them to
                     topics again. The file is there whole or not at all
  --to-topic PREFIX  writes them on the target into topics of their own, which are
                     made: those of orders go to PREFIXorders, in their partitions.
                     Killed at any moment, the same command goes on

It moves no progress: a flow that runs copies what is an orphan now. The source
is only read.

` + line.ExitCodes,
		Example: `  replicator orphans -c replicator.yaml
  replicator orphans -c replicator.yaml --topics orders --export orphans.jsonl
  replicator orphans -c replicator.yaml --to-topic orphans.`,
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	line.ConfigFlag(cmd, &f.path)
	line.JSONFlag(cmd, &f.asJSON)
	line.FlowFlag(cmd, &f.flow, line.OneFlow)
	cmd.Flags().StringVar(&f.topics, "topics", "", "only topics whose whole name on the source matches")
	cmd.Flags().StringVar(&f.export, "export", "", "write the records to this new file")
	cmd.Flags().StringVar(&f.toTopic, "to-topic", "", "write the records to topics of the target whose names begin so")
	return cmd
}

func (f *orphanFlags) run(cmd *cobra.Command, _ []string) error {
	if f.export != "" && f.toTopic != "" {
		return line.Usage(cmd, errors.New("--export and --to-topic exclude each other"))
	}
	topics, err := line.WholeNames(cmd, "--topics", f.topics)
	if err != nil {
		return err
	}
	cfg, err := config.Load(f.path)
	if err != nil {
		return err
	}
	flow, err := cfg.Flow(f.flow)
	if err != nil {
		return err
	}
	ctx, clusters := cmd.Context(), line.ClustersWith(cfg, slog.New(slog.DiscardHandler))
	claims := selection.Claims{Given: selection.Given("--topics", policy.Topics, f.topics), Kinds: []string{policy.Topics}}
	if _, err := hold(ctx, cmd, claims, clusters, []settings.Config{flow}); err != nil {
		return err
	}
	view, err := snapshot.Open(ctx, clusters, flow, nil)
	if err != nil {
		return err
	}
	defer view.Close()
	found, err := orphans.Find(ctx, view, matching(topics))
	if err != nil {
		return err
	}
	kept, err := found.Keep(ctx, orphans.Where{File: f.export, Topics: f.toTopic})
	if kept.Report == nil {
		return apart(err)
	}
	if f.asJSON {
		return errorsOf(answers.Print(cmd.OutOrStdout(), kept, true), apart(err))
	}
	return errorsOf(report.Orphans(cmd.OutOrStdout(), kept), apart(err))
}

// matching says whether a name is one of the pattern's; all are of nil.
func matching(pattern *regexp.Regexp) func(string) bool {
	return func(name string) bool { return pattern == nil || pattern.MatchString(name) }
}

// apart lists errors that were joined, so that each is printed with its remedy.
func apart(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return together(joined.Unwrap())
	}
	return err
}
