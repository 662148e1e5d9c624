// Package quarantine leaves partitions out that cannot be copied now, so that the others of their shard go on.
//
// The central type is [Partitions]: it knows which they are, when each is tried again, and what of that was logged. It
// guarantees that a partition is tried again by itself, ever less often while that fails, and that its stop and the end
// of it are logged once. It asks no cluster and decides nothing else.
package quarantine

import (
	"context"
	"log/slog"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wait"
)

// firstTry and lastTry space the tries of a partition: each one that fails costs the other partitions of the shard one
// transaction.
const (
	firstTry = 15 * time.Second
	lastTry  = 5 * time.Minute
)

// Partitions are those of one shard that are in quarantine, or in trouble that may pass. They belong to one goroutine.
type Partitions struct {
	log      *slog.Logger
	lines    *Lines
	patience time.Duration

	entries  map[chunk.Partition]*entry
	logged   wait.Logged[chunk.Partition]  // reasons of stops
	troubled map[chunk.Partition]time.Time // since when
}

// entry is a partition that waits for its next try, or is being tried: then it is forgotten as soon as one of its
// records is committed.
type entry struct {
	stop    *chunk.Stop
	until   time.Time
	tries   int
	trying  bool
	cleared bool // it was copied up to its record, or as near as batches go: not twice for one stop
}

// New makes an empty quarantine. All partitions of the shard wait for patience for one to get over its trouble; lines
// are shared by the shards of a flow.
func New(log *slog.Logger, lines *Lines, patience time.Duration) *Partitions {
	return &Partitions{log: log, lines: lines, patience: patience, entries: map[chunk.Partition]*entry{},
		troubled: map[chunk.Partition]time.Time{}}
}

// Put leaves a partition out until its next try. The very stop that it is in quarantine for says that what stands
// before the record at fault is copied.
func (q *Partitions) Put(stop *chunk.Stop) {
	e := q.entries[stop.Partition]
	if e == nil {
		e = &entry{}
		q.entries[stop.Partition] = e
	}
	q.logStop(stop)
	if e.stop == stop {
		e.cleared = true
		return
	}
	e.stop, e.trying, e.cleared = stop, false, false
	e.until = time.Now().Add(min(firstTry<<min(e.tries, 10), lastTry))
	e.tries++
}

// Keep leaves a partition out that was found to be stopped, in quarantine already or not.
func (q *Partitions) Keep(stop *chunk.Stop) {
	if e := q.entries[stop.Partition]; e == nil || e.stop != stop {
		q.Put(stop)
	}
}

// Trouble notes an error of a partition that may pass, and says whether it has lasted, or is back when the partition is
// tried again: then it is time for quarantine.
func (q *Partitions) Trouble(p chunk.Partition) (lasts bool) {
	if q.troubled[p].IsZero() {
		q.troubled[p] = time.Now()
	}
	return q.entries[p] != nil || time.Since(q.troubled[p]) >= q.patience
}

// TroubledFor is how long the present trouble of a partition has lasted, and how much of that is waited for.
func (q *Partitions) TroubledFor(p chunk.Partition) (lasted, patience time.Duration) {
	if since := q.troubled[p]; !since.IsZero() {
		lasted = time.Since(since)
	}
	return lasted, q.patience
}

// Due says whether some partition is to be tried again.
func (q *Partitions) Due() bool {
	for _, e := range q.entries {
		if !e.trying && time.Now().After(e.until) {
			return true
		}
	}
	return false
}

// Check says how a partition is in quarantine. A stop: it is left out. An until: it is copied as far as before the
// record of that, whose transaction has taken others with it, which can pass. Neither: it is not there, or is tried.
// progress is -1 where the ledger does not know the partition.
func (q *Partitions) Check(p chunk.Partition, progress offsets.Source) (stop, until *chunk.Stop) {
	e := q.entries[p]
	if e == nil {
		return nil, nil
	}
	e.trying = e.trying || time.Now().After(e.until)
	switch {
	case e.trying:
		return nil, nil
	case !e.cleared && progress >= 0 && e.stop.At > progress:
		return nil, e.stop
	}
	return e.stop, nil
}

// AwaitOrder takes a partition out that waits for an operator's order from now on, not for its next try.
func (q *Partitions) AwaitOrder(stop *chunk.Stop) {
	delete(q.entries, stop.Partition)
	q.logStop(stop)
}

// GoesOn says that nothing is in the way of a partition; one that is in quarantine is only tried.
func (q *Partitions) GoesOn(p chunk.Partition) {
	if q.entries[p] == nil {
		q.logEnd(p)
	}
}

// Copied forgets a partition of which records were committed.
func (q *Partitions) Copied(p chunk.Partition) {
	delete(q.entries, p)
	delete(q.troubled, p)
	q.logEnd(p)
}

// Recovered forgets troubles that have not come back, and takes what was tried again for good.
func (q *Partitions) Recovered() {
	clear(q.troubled)
	for p, e := range q.entries {
		if e.trying {
			delete(q.entries, p)
			q.logEnd(p)
		}
	}
}

// logStop logs a stop, unless it was logged before.
func (q *Partitions) logStop(stop *chunk.Stop) {
	if !q.logged.IsNews(stop.Partition, stop.Reason) {
		return
	}
	level, more := slog.LevelError, []any{}
	if stop.Kind == chunk.StopPaused { // as somebody wants it
		level = slog.LevelInfo
	}
	if !q.lines.first(stop) { // the topic has its line
		level, more = slog.LevelDebug, []any{"like", "another partition of the topic"}
	}
	q.log.Log(context.Background(), level, "partition stopped", append([]any{"partition", stop.Partition, "error", stop,
		"remedy", stop.Remedy()}, more...)...)
}

// logEnd logs the end of a stop.
func (q *Partitions) logEnd(p chunk.Partition) {
	if q.logged.Over(p) {
		q.lines.over(p)
		q.log.Info("partition goes on", "partition", p)
	}
}
