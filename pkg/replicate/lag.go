package replicate

import (
	"context"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/seen"
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

	high   offsets.Source // the source's high watermark, behind what open transactions hold
	held   time.Time      // since when an open transaction holds the end; zero: none does
	next   offsets.Source // progress, when the source was asked last
	whole  time.Time      // as goalAt, if the log held nothing beyond the goal then; else zero
	copied time.Time      // what is not copied is younger; zero: not known
}

// learn takes over an end that the source was asked for at a time, after its high watermark.
func (l lag) learn(end, next offsets.Source, at time.Time) lag {
	if l.end > end {
		l.high = end // of another log
	}
	held, whole := time.Time{}, at
	if l.high > end {
		held, whole = at, time.Time{}
		if l.end == end && !l.held.IsZero() {
			held = l.held
		}
	}
	if l.reported.IsZero() || l.goal > end { // the second: another topic of that name
		l.goal, l.goalAt, l.whole = end, at, whole
	}
	if next < l.next {
		l.copied = time.Time{} // it begins anew
	}
	if next >= end {
		l.goal, l.goalAt, l.whole = end, at, whole
	}
	if next >= l.goal {
		l.since = l.goalAt
		if !l.whole.IsZero() {
			l.copied = l.whole
		}
		l.goal, l.goalAt, l.whole = end, at, whole
	}
	l.end, l.next, l.held, l.reported = end, next, held, at
	return l
}

// follow takes over the timestamp of the last record copied, ms: what follows it in the log is younger.
func (l lag) follow(newest int64) lag {
	at := time.UnixMilli(newest)
	if newest > 0 && l.next < max(l.high, l.end) && at.After(l.copied) && at.Before(l.reported) {
		l.copied = at
	}
	return l
}

// seen is where the log was last seen to end.
func (l lag) seen() seen.End {
	return seen.End{High: max(l.high, l.end), Stable: l.end, Seen: l.reported, Since: l.copied}
}

// lagWatch measures how far the partitions that this process owns are behind.
type lagWatch struct {
	flow     *shard.Flow
	workers  *workers
	observer *observer
	memory   *memory
}

// round asks the source where its logs end.
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
	var stable listoffsets.Offsets
	high, err := l.flow.SourceOffsets.Ends(ctx, names)
	if err == nil { // after them: a last stable offset that is below one is held there
		stable, err = l.flow.SourceOffsets.Stable(ctx, names)
	}
	l.learn(stable, high, at)
	l.workers.alarm(copying, stable)
	if l.observer.unready() == nil {
		l.memory.wasReady.Store(true)
	}
	return err
}

// learn takes over what the source has reported. Where it has reported nothing, what was
// known stays and ages: a source that is away is no reason to look caught up.
func (l *lagWatch) learn(stable, high listoffsets.Offsets, at time.Time) {
	routes := l.observer.routes()
	ends := make(map[chunk.Partition]seen.End, len(routes))
	before := l.memory.now().lags
	lags := make(map[chunk.Partition]lag, len(routes))
	for p, r := range routes {
		one, known := before[p]
		if !known {
			one.since = at
		}
		if end, reported := high[p]; reported && end.Err == nil {
			one.high = offsets.Source(end.Offset)
		}
		if end, reported := stable[p]; reported && end.Err == nil && r.Next != unknownProgress {
			if one.reported.IsZero() {
				one.copied = l.flow.Seen.Since(p, r.Next)
			}
			since, copied := one.since, one.copied
			one = one.learn(offsets.Source(end.Offset), r.Next, at).follow(r.Newest)
			if r.State == partition.Unseen { // what stands on the target is not seen now
				one.since, one.copied = since, copied
			}
		}
		lags[p] = one
		ends[p] = one.seen()
	}
	l.memory.learn(func(k *known) { k.lags = lags })
	l.flow.Seen.Show(ends)
	l.flow.Goal.Observe(stable, at)
}
