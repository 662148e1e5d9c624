package main

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/report/plan"
	"replicator/internal/terminal"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// newCheck makes the verb that looks before anybody leaps.
func newCheck() *cobra.Command {
	var path string
	var connect, asJSON bool
	cmd := &cobra.Command{
		Use:   "check -c FILE [--connect]",
		Short: "Validate the configuration; with --connect show what run would do",
		Long: `check reads the configuration and tells all problems at once, each with its line.
It reaches no cluster.

With --connect it reaches both clusters and prints what run would create, alter,
copy and leave out, and what is in the way, each with what to do about it:
missing rights, topics that do not fit, records of somebody else. The target is
asked to check the changes; nothing is changed. It exits with 1 if something is
in the way.

` + line.ExitCodes + `

The configuration file, with every key, its default and its meaning:

` + indent(config.Reference()),
		Example: `  replicator check -c replicator.yaml
  replicator check -c replicator.yaml --connect`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case connect:
				return checkClusters(cmd.Context(), out, cfg, asJSON)
			case asJSON:
				return answers.Print(out, answers.FileOf(path, cfg.HTTP.Listen, cfg.HTTP.Open(), cfg.Flows), true)
			}
			text := terminal.NewPrinter(out)
			plan.Checked(text, &plan.File{Path: path, Clusters: cfg.Clusters, Flows: cfg.Flows,
				Listen: cfg.HTTP.Listen, Open: cfg.HTTP.Open()})
			return text.Err()
		},
	}
	line.ConfigFlag(cmd, &path)
	line.JSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&connect, "connect", false, "reach both clusters and show what run would do")
	return cmd
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// checkClusters prints the dry run of every flow. Its error is all that is in the way.
func checkClusters(ctx context.Context, w io.Writer, cfg *config.Config, asJSON bool) error {
	clusters := line.ClustersWith(cfg, slog.New(slog.DiscardHandler))
	out := terminal.NewPrinter(w)
	var inTheWay []error
	var before []*preflight.FlowPlan
	planned := []answers.Planned{}
	for i, flow := range cfg.Flows {
		if i > 0 && !asJSON {
			out.Line("")
		}
		seen, err := planFlow(ctx, clustersOf(clusters, flow), flow)
		if err != nil {
			inTheWay = append(inTheWay, err)
			continue
		}
		seen.Share(before)
		before = append(before, seen)
		inTheWay = append(inTheWay, seen.InTheWay()...)
		if asJSON {
			planned = append(planned, answers.PlannedOf(seen))
			continue
		}
		plan.Flow(out, seen)
	}
	err := out.Err()
	if asJSON {
		err = answers.Print(w, map[string]any{"flows": planned}, true)
	}
	if err != nil {
		return err
	}
	return together(inTheWay)
}

// planFlow makes one flow's dry run.
func planFlow(ctx context.Context, clusters map[string]kafka.Config,
	flow settings.Config) (*preflight.FlowPlan, error) {
	view, err := snapshot.Open(ctx, clusters, flow, nil)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	return preflight.Plan(ctx, view)
}
