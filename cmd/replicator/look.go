package main

import (
	"context"

	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
)

// clustersOf are the clusters of one flow.
func clustersOf(clusters map[string]kafka.Config, flow replicate.Config) map[string]kafka.Config {
	return map[string]kafka.Config{flow.From: clusters[flow.From], flow.To: clusters[flow.To]}
}

// planFlow makes one flow's dry run.
func planFlow(ctx context.Context, clusters map[string]kafka.Config,
	flow replicate.Config) (*replicate.FlowPlan, error) {
	look, err := replicate.Inspect(ctx, clusters, flow, nil)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	return look.Plan(ctx)
}

// viewer looks at flows again and again, over the same connections.
type viewer struct {
	clusters map[string]kafka.Config
	flows    []replicate.Config
	open     map[string]*replicate.Inspection // by flow
}

func newViewer(clusters map[string]kafka.Config, flows []replicate.Config) *viewer {
	return &viewer{clusters: clusters, flows: flows, open: map[string]*replicate.Inspection{}}
}

// look answers the flows that could be looked at, and why others could not.
func (v *viewer) look(ctx context.Context) ([]*replicate.FlowStatus, obstacles) {
	seen := []*replicate.FlowStatus{}
	var failed obstacles
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

func (v *viewer) one(ctx context.Context, flow replicate.Config) (*replicate.FlowStatus, error) {
	look := v.open[flow.Name()]
	if look == nil {
		opened, err := replicate.Inspect(ctx, v.clusters, flow, nil)
		if err != nil {
			return nil, err
		}
		look = opened
		v.open[flow.Name()] = look
	}
	return look.Status(ctx)
}

func (v *viewer) close() {
	for _, look := range v.open {
		look.Close()
	}
}
