package targettopics

import (
	"context"
	"errors"
	"log/slog"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// Make brings the target's topics into line with the source's, as the flow says,
// and copies nothing. It answers what became of each; errors have a remedy.
func Make(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) ([]topics.Mirrored, error) {
	chosen, err := policy.New(flow.Config)
	if err != nil {
		return nil, err
	}
	cfg := clients.TopicsConfig(&flow, clusters[flow.From], clusters[flow.To], chosen, log)
	cfg.Watched = false // applications write, and no lane watches what becomes of it
	offsets, err := listoffsets.Open(clusters[flow.To])
	if err != nil {
		return nil, err
	}
	defer offsets.Close()
	scanner := scan.Open(clusters[flow.To], log)
	defer scanner.Close() // only read
	others, err := provenance.OpenNeighbours(&flow, clusters[flow.From], clusters[flow.To])
	if err != nil {
		return nil, err
	}
	defer others.Close()
	writers, err := provenance.OpenWriters(&flow, others, clusters[flow.To])
	if err != nil {
		return nil, err
	}
	defer writers.Close()
	cfg.Ledger = provenance.NewTarget(&flow, clusters[flow.To], offsets, scanner, writers)
	cfg.CarriesBack = writers.CarriesBack
	t, err := topics.Open(cfg)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	from, to, err := t.ClusterIDs(ctx)
	if err != nil {
		return nil, err
	}
	if err := policy.SameCluster(flow.Flow, from, to); err != nil {
		return nil, err
	}
	s := identity.NewSigner(&flow, clusters[flow.From], clusters[flow.To], chosen, log)
	if _, _, err := s.Compare(ctx, identity.Of(&flow, from, to)); err != nil && !errors.As(err,
		new(*identity.RenamedError)) {
		return nil, err // by another flow's ledger topics would be taken for ours
	}
	around, err := others.Look(ctx)
	if err == nil {
		err = around.Conflict(&flow)
	}
	if err != nil {
		return nil, err
	}
	return t.Refresh(ctx, func(string) bool { return true })
}
