package replicate

import (
	"context"
	"maps"
	"slices"
	"time"

	"replicator/pkg/replicate/retention"
)

// watchRetention measures, of the positions that the last round of the group sync has compared, how near the
// target's retention is to them.
func (f *flow) watchRetention(ctx context.Context) error {
	f.mu.Lock()
	list := f.synced.unread
	f.mu.Unlock()
	topics := map[string]bool{}
	for _, u := range list {
		topics[u.Partition.Topic] = true
	}
	kept, err := f.TargetOffsets.Kept(ctx, slices.Sorted(maps.Keys(topics)))
	if err != nil {
		return err
	}
	found, err := retention.LeftOf(ctx, f.TargetOffsets, kept, list, time.Now())
	if err != nil {
		return err
	}
	least := map[retention.GroupTopic]retention.Left{}
	for u, s := range found {
		if before, known := least[u.Group]; !known || s.Share < before.Share {
			least[u.Group] = s
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shelves = least
	return nil
}
