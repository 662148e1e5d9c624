package replicate

import (
	"context"
	"log/slog"

	"replicator/pkg/replicate/chunk"
)

// tell logs a stop, unless it was logged before.
func (w *worker) tell(stop *chunk.Stop) {
	if w.told[stop.Partition] != stop.Reason {
		w.told[stop.Partition] = stop.Reason
		level, more := slog.LevelError, []any{}
		if !w.flow.stopIsNews(stop) { // the topic has its line
			level, more = slog.LevelDebug, []any{"like", "another partition of the topic"}
		}
		w.log.Log(context.Background(), level, "partition stopped", append([]any{"partition", stop.Partition, "error", stop,
			"remedy", stop.Remedy()}, more...)...)
	}
}

// goesOn logs the end of a stop.
func (w *worker) goesOn(p chunk.Partition) {
	if w.told[p] != "" {
		delete(w.told, p)
		w.flow.stopIsOver(p)
		w.log.Info("partition goes on", "partition", p)
	}
}

// stopNews says which stops were logged: one for each topic and reason, whatever the
// number of partitions that have it, in all shards of this process.
type stopNews map[stopLike]*stopLine

type stopLike struct{ topic, kind, fix string }

// stopLine is what was logged, of the first partition, and those that it stands for.
type stopLine struct {
	first chunk.Partition
	all   map[chunk.Partition]bool
}

// stopIsNews says whether a stop is the first of its topic and reason.
func (f *flow) stopIsNews(stop *chunk.Stop) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	like := stopLike{stop.Partition.Topic, stop.Kind, stop.Fix}
	if f.news == nil {
		f.news = stopNews{}
	}
	if f.news[like] == nil {
		f.news[like] = &stopLine{stop.Partition, map[chunk.Partition]bool{}}
	}
	f.news[like].all[stop.Partition] = true
	return f.news[like].first == stop.Partition
}

// stopIsOver forgets what was logged of a partition.
func (f *flow) stopIsOver(p chunk.Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for like, line := range f.news {
		if delete(line.all, p); len(line.all) == 0 || line.first == p {
			delete(f.news, like)
		}
	}
}
