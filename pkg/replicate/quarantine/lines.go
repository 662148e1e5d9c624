package quarantine

import (
	"sync"

	"replicator/pkg/replicate/chunk"
)

// Lines are the stops that have a line in the log: one for each topic and reason, whatever the number of partitions
// that have it, in all shards of a process. The zero value is ready; it may be used by several goroutines.
type Lines struct {
	mu    sync.Mutex
	lines map[likeness]*line
}

// likeness is what stops have in common that are logged as one.
type likeness struct{ topic, kind, fix string }

// line is what was logged, of the first partition, and those that it stands for.
type line struct {
	first chunk.Partition
	all   map[chunk.Partition]bool
}

// first says whether a stop is the first of its topic and reason.
func (l *Lines) first(stop *chunk.Stop) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	like := likeness{stop.Partition.Topic, stop.Kind, stop.Fix}
	if l.lines == nil {
		l.lines = map[likeness]*line{}
	}
	if l.lines[like] == nil {
		l.lines[like] = &line{stop.Partition, map[chunk.Partition]bool{}}
	}
	l.lines[like].all[stop.Partition] = true
	return l.lines[like].first == stop.Partition
}

// over forgets what was logged of a partition.
func (l *Lines) over(p chunk.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for like, line := range l.lines {
		if delete(line.all, p); len(line.all) == 0 || line.first == p {
			delete(l.lines, like)
		}
	}
}
