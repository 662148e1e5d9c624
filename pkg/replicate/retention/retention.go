package retention

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/listoffsets"
)

// GroupTopic is a group's positions in one topic, by its name on the source.
type GroupTopic struct{ Group, Topic string }

// Compare orders by group, then by topic.
func (g GroupTopic) Compare(other GroupTopic) int {
	return cmp.Or(cmp.Compare(g.Group, other.Group), cmp.Compare(g.Topic, other.Topic))
}

// Unread is where a group goes on in one target partition that holds more for it.
type Unread struct {
	Group     GroupTopic
	Partition chunk.Partition // on the target
	At        offsets.Target
}

// Left is how long the target keeps, at least, what a group has not read: brokers delete whole segments, from the
// oldest on, when the newest record in them is older than the retention.
type Left struct {
	Kept  time.Duration // the target's retention
	Share float64       // of it that is left at least: one of shares, or 0
}

// Time is what is left, at least.
func (s Left) Time() time.Duration { return time.Duration(float64(s.Kept) * s.Share) }

// shares are those that are distinguished. Each takes one question to each broker, of those partitions for
// which the one before has not said enough.
var shares = []float64{0.5, 0.25, 0.125, 0.03125}

// LeftOf answers for each of these positions; those that no time limit threatens are
// left out, and those of partitions whose leader does not answer. kept is by target
// topic.
func LeftOf(ctx context.Context, target *listoffsets.Client, kept map[string]listoffsets.Kept,
	list []Unread, now time.Time) (map[Unread]Left, error) {
	limited := map[time.Duration][]Unread{}
	for _, u := range list {
		if k, known := kept[u.Partition.Topic]; known && k.Err == nil && k.For >= 0 {
			limited[k.For] = append(limited[k.For], u)
		}
	}
	found := map[Unread]Left{}
	for keeps, left := range limited {
		for _, share := range shares {
			topics := map[string]bool{}
			for _, u := range left {
				topics[u.Partition.Topic] = true
			}
			since := now.Add(-time.Duration(float64(keeps) * (1 - share)))
			first, err := target.At(ctx, slices.Sorted(maps.Keys(topics)), since) // the first record that is younger
			if err != nil {
				return nil, err
			}
			left = slices.DeleteFunc(left, func(u Unread) bool {
				listed, known := first[u.Partition]
				switch {
				case !known || listed.Err != nil: // not known: left out
				case int64(u.At) < listed.Offset:
					return false
				default:
					found[u] = Left{keeps, share}
				}
				return true
			})
			if len(left) == 0 {
				break
			}
		}
		for _, u := range left {
			found[u] = Left{Kept: keeps}
		}
	}
	return found, nil
}

// Follows says whether a position of that kind is where the flow has put it, and not a consumer on the target.
func Follows(kind groups.Kind) bool {
	return kind == groups.Moved || kind == groups.InSync || kind == groups.UnreadDeleted || kind == groups.BeforeForeign
}
