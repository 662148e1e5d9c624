// Package topology is what a flow knows of its topics, and how those who work by it learn of changes.
package topology

import (
	"context"
	"sync"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/wait"
)

// Topology is a flow's topics, as they were compared last. It may be used by several goroutines.
type Topology struct {
	Notify chan struct{} // asks for a comparison before its time; of capacity 1

	mu      sync.Mutex
	list    []topics.Mirrored
	byName  map[string]int // by source topic: where it stands in the list
	version uint64         // 0: not known yet
	changed chan struct{}  // closed when the version moves on
}

// New knows of no topics yet.
func New() *Topology {
	return &Topology{Notify: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Now lists the topics as they were compared last.
func (t *Topology) Now() []topics.Mirrored {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list
}

// IDs are the ids of a topic of the source and of the one that it is copied to; zero: it is not there, or not known.
func (t *Topology) IDs(topic string) (source, target chunk.TopicID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, known := t.byName[topic]; known {
		source, target = t.list[i].SourceID, t.list[i].TargetID
	}
	return source, target
}

// VersionNow counts the changes; 0: the topics were not compared yet.
func (t *Topology) VersionNow() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version
}

// Replace takes over what a comparison has shown, and says whether it is another list.
func (t *Topology) Replace(list []topics.Mirrored) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.version > 0 && same(t.list, list) {
		return false
	}
	t.list, t.byName = list, make(map[string]int, len(list))
	for i := range list {
		t.byName[list[i].Source] = i
	}
	t.version++
	close(t.changed)
	t.changed = make(chan struct{})
	return true
}

// Await waits until the topics are others than those of the version seen, at most for
// the given time.
func (t *Topology) Await(ctx context.Context, seen uint64, most time.Duration) {
	t.mu.Lock()
	changed, version := t.changed, t.version
	t.mu.Unlock()
	if version != seen {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
	}
}

// Refresh asks for a comparison before its time.
func (t *Topology) Refresh() { wait.Notify(t.Notify) }

// same compares what workers act on.
func same(a, b []topics.Mirrored) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		sameStop := x.Stop == nil && y.Stop == nil ||
			x.Stop != nil && y.Stop != nil && x.Stop.Kind == y.Stop.Kind && x.Stop.Reason == y.Stop.Reason
		x.Stop, y.Stop = nil, nil
		if x != y || !sameStop {
			return false
		}
	}
	return true
}
