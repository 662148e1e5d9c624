package shard

import (
	"context"
	"log/slog"
	"sync"

	"replicator/pkg/replicate/chunk"
)

// tell logs a stop, unless it was logged before.
func (w *Worker) tell(stop *chunk.Stop) {
	if w.told[stop.Partition] != stop.Reason {
		w.told[stop.Partition] = stop.Reason
		level, more := slog.LevelError, []any{}
		if !w.flow.news.are(stop) { // the topic has its line
			level, more = slog.LevelDebug, []any{"like", "another partition of the topic"}
		}
		w.log.Log(context.Background(), level, "partition stopped", append([]any{"partition", stop.Partition, "error", stop,
			"remedy", stop.Remedy()}, more...)...)
	}
}

// goesOn logs the end of a stop.
func (w *Worker) goesOn(p chunk.Partition) {
	if w.told[p] != "" {
		delete(w.told, p)
		w.flow.news.over(p)
		w.log.Info("partition goes on", "partition", p)
	}
}

// stopNews says which stops were logged: one for each topic and reason, whatever the
// number of partitions that have it, in all shards of this process.
type stopNews struct {
	mu    sync.Mutex
	lines map[stopLike]*stopLine
}

type stopLike struct{ topic, kind, fix string }

// stopLine is what was logged, of the first partition, and those that it stands for.
type stopLine struct {
	first chunk.Partition
	all   map[chunk.Partition]bool
}

// are says whether a stop is the first of its topic and reason.
func (n *stopNews) are(stop *chunk.Stop) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	like := stopLike{stop.Partition.Topic, stop.Kind, stop.Fix}
	if n.lines == nil {
		n.lines = map[stopLike]*stopLine{}
	}
	if n.lines[like] == nil {
		n.lines[like] = &stopLine{stop.Partition, map[chunk.Partition]bool{}}
	}
	n.lines[like].all[stop.Partition] = true
	return n.lines[like].first == stop.Partition
}

// over forgets what was logged of a partition.
func (n *stopNews) over(p chunk.Partition) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for like, line := range n.lines {
		if delete(line.all, p); len(line.all) == 0 || line.first == p {
			delete(n.lines, like)
		}
	}
}
