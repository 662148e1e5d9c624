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

// InspectCarrying opens a look at the flow whose ledger counts now: the one that is named or, while a rollback has
// closed that, its opposite, which carries the records back.
func OpenCarrying(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) (*snapshot.Viewer, error) {
	look, err := snapshot.Open(ctx, clusters, flow, log)
	if err != nil {
		return nil, err
	}
	back, err := carriesBack(ctx, look, clusters)
	if err != nil || back != nil {
		look.Close()
		look = nil
	}
	if back != nil {
		look, err = snapshot.Open(ctx, clusters, *back, log)
	}
	return look, err
}

// carriesBack is the opposite flow, of all that its ledger knows, where a rollback has closed this one; nil: none has.
func carriesBack(ctx context.Context, i *snapshot.Viewer, clusters map[string]kafka.Config) (*settings.Config, error) {
	books, err := ledger.ReadAsItIs(ctx, i.TargetCluster, i.Flow.LedgerTopic())
	if err != nil || len(books) == 0 {
		return nil, err
	}
	var closed *handover.ClosedError
	if err = handover.NotClosed(books[0], books[0], i.Flow.Name()); !errors.As(err, &closed) || !closed.Ended.IsZero() {
		return nil, err
	}
	back := settings.Opposite(i.Flow, nil)
	if books, err = ledger.ReadAsItIs(ctx, clusters[back.To], back.LedgerTopic()); err != nil {
		return nil, err
	}
	var topics []string
	for _, book := range books {
		for _, key := range book.Keys() {
			if name, ok := i.Policy.SourceTopic(key.Partition.Topic); ok {
				topics = append(topics, name)
			}
		}
	}
	slices.Sort(topics)
	back = settings.Opposite(i.Flow, slices.Compact(topics))
	return &back, nil
}
