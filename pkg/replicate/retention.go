package replicate

import (
	"context"
	"maps"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/watermarks"
)

// retentionEvery is for how long status remembers what both sides said of their retention.
const retentionEvery = 30 * time.Second

// unreadAt is where a group goes on in one target partition that holds more for it.
type unreadAt struct {
	group     GroupTopic
	partition chunk.Partition // on the target
	at        offsets.Target
}

// shelfLife is how long the target keeps, at least, what a group has not read: brokers delete whole segments, from the
// oldest on, when the newest record in them is older than the retention.
type shelfLife struct {
	Kept  time.Duration // the target's retention
	Share float64       // of it that is left at least: one of shelfShares, or 0
}

// Left is the time that is left, at least.
func (s shelfLife) Left() time.Duration { return time.Duration(float64(s.Kept) * s.Share) }

// shelfShares are the shares that are told apart. Each takes one question to each broker, of those partitions for
// which the one before has not said enough.
var shelfShares = []float64{0.5, 0.25, 0.125, 0.03125}

// shelves answers for each of these positions; those that no time limit threatens are
// left out, and those of partitions that do not tell. kept is by target
// topic.
func shelves(ctx context.Context, target *watermarks.Watermarks, kept map[string]watermarks.Kept,
	list []unreadAt, now time.Time) (map[unreadAt]shelfLife, error) {
	limited := map[time.Duration][]unreadAt{}
	for _, u := range list {
		if k, known := kept[u.partition.Topic]; known && k.Err == nil && k.For >= 0 {
			limited[k.For] = append(limited[k.For], u)
		}
	}
	found := map[unreadAt]shelfLife{}
	for keeps, left := range limited {
		for _, share := range shelfShares {
			topics := map[string]bool{}
			for _, u := range left {
				topics[u.partition.Topic] = true
			}
			since := now.Add(-time.Duration(float64(keeps) * (1 - share)))
			first, err := target.At(ctx, slices.Sorted(maps.Keys(topics)), since) // the first record that is younger
			if err != nil {
				return nil, err
			}
			left = slices.DeleteFunc(left, func(u unreadAt) bool {
				mark, told := first[u.partition]
				switch {
				case !told || mark.Err != nil: // not known: left out
				case int64(u.at) < mark.Offset:
					return false
				default:
					found[u] = shelfLife{keeps, share}
				}
				return true
			})
			if len(left) == 0 {
				break
			}
		}
		for _, u := range left {
			found[u] = shelfLife{Kept: keeps}
		}
	}
	return found, nil
}

// watchRetention measures, of the positions that the last round of the group sync has compared, how near the
// target's retention is to them.
func (f *flow) watchRetention(ctx context.Context) error {
	f.mu.Lock()
	list := f.synced.unread
	f.mu.Unlock()
	topics := map[string]bool{}
	for _, u := range list {
		topics[u.partition.Topic] = true
	}
	kept, err := f.targetMarks.Kept(ctx, slices.Sorted(maps.Keys(topics)))
	if err != nil {
		return err
	}
	found, err := shelves(ctx, f.targetMarks, kept, list, time.Now())
	if err != nil {
		return err
	}
	least := map[GroupTopic]shelfLife{}
	for u, s := range found {
		if before, known := least[u.group]; !known || s.Share < before.Share {
			least[u.group] = s
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shelves = least
	return nil
}

// follows says whether a position of that kind is where the flow has put it, and not a consumer on the target.
func follows(kind groups.Kind) bool {
	return kind == groups.Moved || kind == groups.Right || kind == groups.UnreadDeleted || kind == groups.BeforeForeign
}
