package replicate

import (
	"context"
	"maps"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/retention"
	"replicator/pkg/replicate/shard"
)

const (
	// watchEvery is how often the source's ends are looked at.
	watchEvery = time.Second
	// staleAfter is when an end that the source has told proves nothing any more.
	StaleAfter = 5 * watchEvery
)

// lag is how far one partition's copy is behind the source.
type lag struct {
	end   offsets.Source // the source's last stable offset
	told  time.Time      // when the source was asked for it; zero: it has never told
	since time.Time      // all that the source held then is on the target; before that, when it was first seen

	// An earlier end that is waited for. Under steady load the newest one is never
	// reached, and the copy that reaches this one was caught up with what was there then.
	goal   offsets.Source
	goalAt time.Time
}

// learn takes over an end that the source was asked for at a time.
func (l lag) learn(end, next offsets.Source, at time.Time) lag {
	if l.told.IsZero() || l.goal > end { // the second: another topic of that name
		l.goal, l.goalAt = end, at
	}
	l.end, l.told = end, at
	switch {
	case next >= end:
		l.since, l.goal, l.goalAt = at, end, at
	case next >= l.goal:
		l.since, l.goal, l.goalAt = l.goalAt, end, at
	}
	return l
}

// syncState is the outcome of the last round of the group sync.
type syncState struct {
	at     time.Time // of the last one that compared all shards of this process; zero: none has succeeded yet
	report groups.Report
	lag    map[retention.GroupTopic]int64
	// deleted counts what the target deleted before a group has read it; 0 for all others that were compared.
	deleted map[retention.GroupTopic]int64
	unread  []retention.Unread // of the positions that follow the source
}

// watch asks the source for its last stable offsets and measures the lag of the
// partitions that this process owns.
func (f *flow) watch(ctx context.Context) error {
	var names []string
	for _, t := range f.Topology.Now() {
		names = append(names, t.Source)
		if t.Waits != "" {
			f.Topology.Refresh()
		}
	}
	at := time.Now()
	progress := f.progressNow() // before the ends: they cannot have been behind it then
	stable, err := f.SourceOffsets.Stable(ctx, names)
	f.learn(stable, at)
	f.alarm(progress, stable)
	if f.unready() == nil {
		f.wasReady.Store(true)
	}
	return err
}

// learn takes over what the source has told. Where it has told nothing, what was
// known stays and ages: a source that is away is no reason to look caught up.
func (f *flow) learn(stable listoffsets.Offsets, at time.Time) {
	shown := f.shown()
	f.mu.Lock()
	defer f.mu.Unlock()
	lags := make(map[chunk.Partition]lag, len(shown))
	for p, r := range shown {
		l, before := f.lags[p]
		if !before {
			l.since = at
		}
		if mark, told := stable[p]; told && mark.Err == nil && r.Next != unknownProgress {
			seen := l.learn(offsets.Source(mark.Offset), r.Next, at)
			if r.State == partition.Unseen { // what stands on the target is not seen now
				seen.since = l.since
			}
			l = seen
		}
		lags[p] = l
	}
	f.lags = lags
	f.Goal.Observe(stable, at)
}

// memory is what a flow knows of its partitions and groups for those who watch it. It
// outlives the tries of a flow: that one cannot begin is no reason to forget.
type memory struct {
	lags   map[chunk.Partition]lag
	synced syncState
	lost   map[int]map[chunk.Partition]shard.PublishedRoute // by shard that went with the membership
	since  time.Time                                        // when the first try began
	// shelves says how near the target's retention is to what groups have not read.
	shelves map[retention.GroupTopic]retention.Left
}

func newMemory() memory {
	return memory{lags: map[chunk.Partition]lag{}, lost: map[int]map[chunk.Partition]shard.PublishedRoute{},
		since: time.Now()}
}

// remembered gives what is kept for the next try of the flow.
func (f *flow) remembered() memory {
	f.mu.Lock()
	defer f.mu.Unlock()
	return memory{maps.Clone(f.lags), f.synced, maps.Clone(f.lost), f.since, f.shelves}
}

// allAtWork says whether every shard that this process owns has a session.
func (f *flow) allAtWork() bool {
	for _, w := range f.ownWorkers() {
		if !w.Published.Working() {
			return false
		}
	}
	return f.present.Load()
}

// syncGroups makes one round for the partitions that this process owns. Without the
// group on the target it owns none, and a round would prove nothing.
func (f *flow) syncGroups(ctx context.Context) error {
	if !f.present.Load() {
		return errNotNow
	}
	whole := f.allAtWork()
	mine := func(p chunk.Partition) bool {
		w := f.worker(p)
		return w != nil && w.Published.Knows(p)
	}
	report, err := f.Groups.Sync(ctx, mine, f.takeEnds,
		func(p chunk.Partition, s offsets.Source, position *offsets.Target) groups.Answer {
			return f.translate(ctx, p, s, position)
		})
	if err != nil {
		return err
	}
	var left []retention.Unread
	behind, deleted := map[retention.GroupTopic]int64{}, map[retention.GroupTopic]int64{}
	for i := range report.Positions {
		at := &report.Positions[i]
		deleted[retention.GroupTopic{Group: at.Group, Topic: at.Partition.Topic}] += at.Decision.Deleted
		target, _ := f.Policy.Topic(at.Partition.Topic)
		end := f.ends.stable[chunk.Partition{Topic: target, Number: at.Partition.Number}]
		if at.After >= 0 && end.Err == nil {
			behind[retention.GroupTopic{Group: at.Group, Topic: at.Partition.Topic}] += max(end.Offset-int64(at.After), 0)
			if retention.Follows(at.Decision.Kind) && int64(at.After) < end.Offset {
				on := chunk.Partition{Topic: target, Number: at.Partition.Number}
				left = append(left, retention.Unread{
					Group: retention.GroupTopic{Group: at.Group, Topic: at.Partition.Topic}, Partition: on, At: at.After,
				})
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced.report, f.synced.lag, f.synced.deleted = report, behind, deleted
	f.synced.unread = left
	if !whole || !f.present.Load() {
		return errNotNow // some position was not compared
	}
	f.synced.at = time.Now()
	return nil
}
