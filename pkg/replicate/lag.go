package replicate

import (
	"context"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/shard"
)

const (
	// lagEvery is how often the source is asked for its ends.
	lagEvery = time.Second
	// StaleAfter is when an end that the source has reported proves nothing any more.
	StaleAfter = 5 * lagEvery
)

// lag is how far one partition's copy is behind the source.
type lag struct {
	end      offsets.Source // the source's last stable offset
	reported time.Time      // when the source was asked for it; zero: it has never answered
	since    time.Time      // all that the source held then is on the target; before that, when it was first seen

	// An earlier end that is waited for. Under steady load the newest one is never
	// reached, and the copy that reaches this one was caught up with what was there then.
	goal   offsets.Source
	goalAt time.Time
}

// learn takes over an end that the source was asked for at a time.
func (l lag) learn(end, next offsets.Source, at time.Time) lag {
	if l.reported.IsZero() || l.goal > end { // the second: another topic of that name
		l.goal, l.goalAt = end, at
	}
	l.end, l.reported = end, at
	switch {
	case next >= end:
		l.since, l.goal, l.goalAt = at, end, at
	case next >= l.goal:
		l.since, l.goal, l.goalAt = l.goalAt, end, at
	}
	return l
}

// lagWatch measures how far the partitions that this process owns are behind.
type lagWatch struct {
	flow     *shard.Flow
	workers  *workers
	observer *observer
	memory   *memory
}

// round asks the source for its last stable offsets.
func (l *lagWatch) round(ctx context.Context) error {
	var names []string
	for _, t := range l.flow.Topology.Now() {
		names = append(names, t.Source)
		if t.Waits != "" {
			l.flow.Topology.Refresh()
		}
	}
	at := time.Now()
	copying := l.workers.copying() // before the ends: they cannot have been behind it then
	stable, err := l.flow.SourceOffsets.Stable(ctx, names)
	l.learn(stable, at)
	l.workers.alarm(copying, stable)
	if l.observer.unready() == nil {
		l.memory.wasReady.Store(true)
	}
	return err
}

// learn takes over what the source has reported. Where it has reported nothing, what was
// known stays and ages: a source that is away is no reason to look caught up.
func (l *lagWatch) learn(stable listoffsets.Offsets, at time.Time) {
	routes := l.observer.routes()
	before := l.memory.now().lags
	lags := make(map[chunk.Partition]lag, len(routes))
	for p, r := range routes {
		one, seen := before[p]
		if !seen {
			one.since = at
		}
		if end, reported := stable[p]; reported && end.Err == nil && r.Next != unknownProgress {
			since := one.since
			one = one.learn(offsets.Source(end.Offset), r.Next, at)
			if r.State == partition.Unseen { // what stands on the target is not seen now
				one.since = since
			}
		}
		lags[p] = one
	}
	l.memory.learn(func(k *known) { k.lags = lags })
	l.flow.Goal.Observe(stable, at)
}
