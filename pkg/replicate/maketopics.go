package replicate

import (
	"context"
	"errors"
	"log/slog"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/peek"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/watermarks"
)

// MakeTopics brings the target's topics into line with the source's, as the flow says,
// and copies nothing. It answers what became of each; errors have a remedy.
func MakeTopics(ctx context.Context, clusters map[string]kafka.Config, flow Config,
	log *slog.Logger) ([]topics.Mirrored, error) {
	chosen, err := policy.New(flow.Policy())
	if err != nil {
		return nil, err
	}
	cfg := flow.topicsConfig(clusters[flow.From], clusters[flow.To], chosen, log)
	cfg.Watched = false // applications write, and no lane looks at what becomes of it
	marks, err := watermarks.Open(clusters[flow.To])
	if err != nil {
		return nil, err
	}
	defer marks.Close()
	peeks := peek.Open(clusters[flow.To], log)
	defer peeks.Close() //nolint:errcheck // only read
	others, err := openNeighbours(&flow, clusters[flow.From], clusters[flow.To])
	if err != nil {
		return nil, err
	}
	defer others.close()
	writers, err := openWhose(&flow, others, clusters[flow.To])
	if err != nil {
		return nil, err
	}
	defer writers.close()
	cfg.Ledger = newTargetBook(&flow, clusters[flow.To], marks, peeks, writers)
	t, err := topics.Open(cfg)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	from, to, err := t.ClusterIDs(ctx)
	if err != nil {
		return nil, err
	}
	if err := policy.SameCluster(flow.Flow(), from, to); err != nil {
		return nil, err
	}
	s := newSigner(&flow, clusters[flow.From], clusters[flow.To], chosen, log)
	if _, _, err := s.compare(ctx, flow.identity(from, to)); err != nil && !errors.As(err, new(*RenamedError)) {
		return nil, err // by another flow's ledger topics would be taken for ours
	}
	around, err := others.look(ctx)
	if err == nil {
		err = around.circle(&flow)
	}
	if err != nil {
		return nil, err
	}
	return t.Refresh(ctx, func(string) bool { return true })
}
