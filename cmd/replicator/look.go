package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/selection"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// clustersOf are the clusters of one flow.
func clustersOf(clusters map[string]kafka.Config, flow settings.Config) map[string]kafka.Config {
	return map[string]kafka.Config{flow.From: clusters[flow.From], flow.To: clusters[flow.To]}
}

// planFlow makes one flow's dry run.
func planFlow(ctx context.Context, clusters map[string]kafka.Config,
	flow settings.Config) (*preflight.FlowPlan, error) {
	look, err := snapshot.Open(ctx, clusters, flow, nil)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	return preflight.Plan(ctx, look)
}

// viewer looks at flows again and again, over the same connections.
type viewer struct {
	clusters map[string]kafka.Config
	flows    []settings.Config
	open     map[string]*snapshot.Viewer // by flow
}

func newViewer(clusters map[string]kafka.Config, flows []settings.Config) *viewer {
	return &viewer{clusters: clusters, flows: flows, open: map[string]*snapshot.Viewer{}}
}

// look answers the flows that could be looked at, and why others could not.
func (v *viewer) look(ctx context.Context) ([]*inspect.FlowStatus, []error) {
	seen := []*inspect.FlowStatus{}
	var failed []error
	for _, flow := range v.flows {
		status, err := v.one(ctx, flow)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		seen = append(seen, status)
	}
	return seen, failed
}

func (v *viewer) one(ctx context.Context, flow settings.Config) (*inspect.FlowStatus, error) {
	look := v.open[flow.Name()]
	if look == nil {
		opened, err := snapshot.Open(ctx, v.clusters, flow, nil)
		if err != nil {
			return nil, err
		}
		look = opened
		v.open[flow.Name()] = look
	}
	return inspect.Status(ctx, look)
}

func (v *viewer) close() {
	for _, look := range v.open {
		look.Close()
	}
}

// hold says whether the patterns choose something, before a verb answers by them. It answers the flows that there is
// something to say about.
func hold(cmd *cobra.Command, claims selection.Claims, clusters map[string]kafka.Config,
	flows []settings.Config) ([]settings.Config, error) {
	held := claims.Hold(cmd.Context(), clusters, flows)
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
