package inspect

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// OpenCarrying opens a viewer of the flow whose ledger counts now: the one that is named or, while a rollback has
// closed that, its opposite, which carries the records back.
func OpenCarrying(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) (*snapshot.Viewer, error) {
	v, err := snapshot.Open(ctx, clusters, flow, log)
	if err != nil {
		return nil, err
	}
	back, err := carriesBack(ctx, v, clusters)
	if err != nil || back != nil {
		v.Close()
		v = nil
	}
	if back != nil {
		v, err = snapshot.Open(ctx, clusters, *back, log)
	}
	return v, err
}

// carriesBack is the opposite flow, of all that its ledger knows, where a rollback has closed this one; nil: none has.
func carriesBack(ctx context.Context, v *snapshot.Viewer, clusters map[string]kafka.Config) (*settings.Config, error) {
	books, err := ledger.ReadAsItIs(ctx, v.TargetCluster, v.Flow.LedgerTopic())
	if err != nil || len(books) == 0 {
		return nil, err
	}
	var closed *handover.ClosedError
	err = handover.NotClosed(books[0], books[0], v.Flow.Name())
	if !errors.As(err, &closed) || !closed.Ended.IsZero() || closed.Failover != nil {
		return nil, err
	}
	back := settings.Opposite(v.Flow, nil)
	if books, err = ledger.ReadAsItIs(ctx, clusters[back.To], back.LedgerTopic()); err != nil {
		return nil, err
	}
	var topics []string
	for _, book := range books {
		for _, key := range book.Keys() {
			if name, ok := v.Policy.SourceTopic(key.Partition.Topic); ok {
				topics = append(topics, name)
			}
		}
	}
	slices.Sort(topics)
	back = settings.Opposite(v.Flow, slices.Compact(topics))
	return &back, nil
}
