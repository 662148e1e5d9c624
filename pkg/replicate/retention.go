package replicate

import (
	"context"
	"maps"
	"slices"
	"time"

	"replicator/pkg/replicate/retention"
	"replicator/pkg/replicate/shard"
)

// retentionWatch measures, of the positions that the last round of the group sync has compared, how near the
// target's retention is to them.
type retentionWatch struct {
	flow   *shard.Flow
	memory *memory
}

func (w *retentionWatch) round(ctx context.Context) error {
	list := w.memory.now().groups.unread
	topics := map[string]bool{}
	for _, u := range list {
		topics[u.Partition.Topic] = true
	}
	kept, err := w.flow.TargetOffsets.Kept(ctx, slices.Sorted(maps.Keys(topics)))
	if err != nil {
		return err
	}
	found, err := retention.LeftOf(ctx, w.flow.TargetOffsets, kept, list, time.Now())
	if err != nil {
		return err
	}
	least := map[retention.GroupTopic]retention.Left{}
	for u, left := range found {
		if before, known := least[u.Group]; !known || left.Share < before.Share {
			least[u.Group] = left
		}
	}
	w.memory.learn(func(k *known) { k.left = least })
	return nil
}
