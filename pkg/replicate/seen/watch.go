package seen

import (
	"sync"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// Watch is what a process has seen of the source for a flow. The zero Watch has seen nothing. It may be used by
// several goroutines.
type Watch struct {
	mu     sync.Mutex
	ends   map[chunk.Partition]End
	before map[chunk.Partition]copied
}

// copied is what a former owner has noted: with that progress, all that the log held at a time was copied.
type copied struct {
	progress offsets.Source
	since    time.Time
}

// Show takes over what was seen of all partitions of the process. The map must not be changed any more.
func (w *Watch) Show(ends map[chunk.Partition]End) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = ends
}

// Now is what was seen of all partitions; it must not be changed.
func (w *Watch) Now() map[chunk.Partition]End {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ends
}

// Remember takes over from the ledger since when a partition was not copied up to its end.
func (w *Watch) Remember(p chunk.Partition, progress offsets.Source, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before == nil {
		w.before = map[chunk.Partition]copied{}
	}
	w.before[p] = copied{progress, since}
}

// Since is what was remembered so of a partition, if it has not fallen back since: its progress is next now. Zero:
// nothing.
func (w *Watch) Since(p chunk.Partition, next offsets.Source) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, known := w.before[p]; known && next >= before.progress {
		return before.since
	}
	return time.Time{}
}
