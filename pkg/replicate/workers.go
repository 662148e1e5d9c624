package replicate

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/shard"
)

// workers are those of the shards that the group has given to this process. They may be
// asked by several goroutines.
type workers struct {
	flow    *shard.Flow
	memory  *memory
	present atomic.Bool // the group on the target counts this process as a member

	mu      sync.Mutex
	byShard map[int]*running
}

// running is a worker and the means to end it.
type running struct {
	*shard.Worker
	cancel context.CancelFunc
	done   chan struct{}
}

// gain begins the worker of a shard in g.
func (w *workers) gain(ctx context.Context, g *errgroup.Group, number int) {
	// A worker ends when the group takes its shard back, not when ctx does: first it finishes its chunk.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{Worker: shard.New(w.flow, number), cancel: cancel, done: make(chan struct{})}
	r.Published.Remember(w.memory.lostOf(number))
	w.mu.Lock()
	w.byShard[number] = r
	w.flow.Owned.Store(int32(len(w.byShard)))
	w.mu.Unlock()
	w.memory.regained(number)
	g.Go(func() error {
		defer close(r.done)
		return r.Run(work)
	})
	w.flow.Topology.Refresh() // the topics whose first partition is here are this process's to create
}

// lose ends the workers of shards that are to be given to others. Where they are lost with
// the membership, what was known of them stays: nobody may be there to tell of them.
func (w *workers) lose(shards []int) {
	var ending []*running
	w.flow.SameLedger.Store(false)
	w.mu.Lock()
	for _, shard := range shards {
		if r := w.byShard[shard]; r != nil {
			delete(w.byShard, shard)
			ending = append(ending, r)
		}
	}
	w.flow.Owned.Store(int32(len(w.byShard)))
	w.mu.Unlock()
	for _, r := range ending {
		r.cancel()
	}
	for _, r := range ending {
		<-r.done
	}
	if w.present.Load() {
		return // they go to others, who tell of them
	}
	for _, r := range ending {
		w.memory.lose(r.Shard, r.Published.Known())
	}
}

// of gives the worker that owns a partition here, or nil.
func (w *workers) of(p chunk.Partition) *shard.Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.byShard[p.Shard(w.flow.Cfg.Shards)]; r != nil {
		return r.Worker
	}
	return nil
}

// list lists all of them.
func (w *workers) list() []*shard.Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]*shard.Worker, 0, len(w.byShard))
	for _, r := range w.byShard {
		list = append(list, r.Worker)
	}
	return list
}

// allAtWork says whether every shard that this process owns has a session.
func (w *workers) allAtWork() bool {
	for _, one := range w.list() {
		if !one.Published.Working() {
			return false
		}
	}
	return w.present.Load()
}

// knows says whether a session of this process knows the partition's map.
func (w *workers) knows(p chunk.Partition) bool {
	one := w.of(p)
	return one != nil && one.Published.Knows(p)
}

// copying tells of the partitions that this process copies, and how far they are.
func (w *workers) copying() map[chunk.Partition]published.Route {
	routes := map[chunk.Partition]published.Route{}
	for _, one := range w.list() {
		for p, r := range one.Published.Routes() {
			if r.State == partition.Copying {
				routes[p] = r
			}
		}
	}
	return routes
}

// alarm tells workers of partitions whose log ends before their progress: a reader may
// wait there without a word, until the log has grown beyond it.
func (w *workers) alarm(copying map[chunk.Partition]published.Route, stable listoffsets.Offsets) {
	for p, r := range copying {
		end, known := stable[p]
		if one := w.of(p); one != nil && known && end.Err == nil && offsets.Source(end.Offset) < r.Next {
			one.Alarm(p, r, offsets.Source(end.Offset))
		}
	}
}
