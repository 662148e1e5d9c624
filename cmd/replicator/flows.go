package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/config"
	"replicator/internal/terminal"
	"replicator/pkg/operate/selection"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// clustersOf are the clusters of one flow.
func clustersOf(clusters map[string]kafka.Config, flow settings.Config) map[string]kafka.Config {
	return map[string]kafka.Config{flow.From: clusters[flow.From], flow.To: clusters[flow.To]}
}

// hold says whether the patterns choose something, before a verb answers by them. It answers the flows that there is
// something to say about.
func hold(ctx context.Context, cmd *cobra.Command, claims selection.Claims, clusters map[string]kafka.Config,
	flows []settings.Config) ([]settings.Config, error) {
	held := claims.Hold(ctx, clusters, flows)
	for _, m := range held.Seen {
		if n := len(m.Shares); claims.Moves && n > 0 {
			warn(cmd, []string{fmt.Sprintf("warning: %s: %s\n  each is %s", terminal.Count(n, "share group"),
				terminal.Few(m.Shares), groups.WhyShare)})
		}
	}
	warn(cmd, held.Warnings)
	return held.Flows, together(held.Problems)
}

func warn(cmd *cobra.Command, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
}

// chosen are the flows that a verb is about, and what it needs to work on them.
type chosen struct {
	flows    []settings.Config
	clusters map[string]kafka.Config
	log      *slog.Logger
}

// chooseFlows reads a file: the flow with that name, or all for "". What is logged goes to w.
func chooseFlows(path, name string, w io.Writer) (*chosen, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	log := slog.New(cfg.Log.Handler(w))
	c := &chosen{cfg.Flows, line.ClustersWith(cfg, log), log}
	if name != "" {
		flow, err := cfg.Flow(name)
		if err != nil {
			return nil, err
		}
		c.flows = []settings.Config{flow}
	}
	return c, nil
}
