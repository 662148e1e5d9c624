package replicate

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"replicator/pkg/replicate/kafka"
)

// InspectCarrying opens a look at the flow whose ledger counts now: the one that is named or, while a rollback has
// closed that, its opposite, which carries the records back.
func InspectCarrying(ctx context.Context, clusters map[string]kafka.Config, flow Config,
	log *slog.Logger) (*Inspection, error) {
	look, err := Inspect(ctx, clusters, flow, log)
	if err != nil {
		return nil, err
	}
	back, err := look.carriesBack(ctx, clusters)
	if err != nil || back != nil {
		look.Close()
		look = nil
	}
	if back != nil {
		look, err = Inspect(ctx, clusters, *back, log)
	}
	return look, err
}

// Flow is the name of the flow that is looked at.
func (i *Inspection) Flow() string { return i.cfg.Name() }

// carriesBack is the opposite flow, of all that its ledger knows, where a rollback has closed this one; nil: none has.
func (i *Inspection) carriesBack(ctx context.Context, clusters map[string]kafka.Config) (*Config, error) {
	books, err := readAllBooks(ctx, i.targetCluster, i.cfg.LedgerTopic())
	if err != nil || len(books) == 0 {
		return nil, err
	}
	var closed *ClosedError
	if err = notClosed(books[0], books[0], i.cfg.Name()); !errors.As(err, &closed) || !closed.Ended.IsZero() {
		return nil, err
	}
	back := opposite(i.cfg, nil)
	if books, err = readAllBooks(ctx, clusters[back.To], back.LedgerTopic()); err != nil {
		return nil, err
	}
	var topics []string
	for _, book := range books {
		for _, key := range book.Keys() {
			if name, ok := i.policy.SourceTopic(key.Partition.Topic); ok {
				topics = append(topics, name)
			}
		}
	}
	slices.Sort(topics)
	back = opposite(i.cfg, slices.Compact(topics))
	return &back, nil
}
