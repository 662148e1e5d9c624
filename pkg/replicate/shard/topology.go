package shard

import (
	"context"
	"sync"
	"time"

	"replicator/pkg/replicate/topics"
)

// topology is what a flow knows of its topics, and how its workers learn of changes.
// It may be used by several goroutines.
type topology struct {
	Notify chan struct{} // asks for a comparison before its time

	mu      sync.Mutex
	list    []topics.Mirrored
	version uint64        // 0: not known yet
	changed chan struct{} // closed when the version moves on
}

func NewTopology() *topology {
	return &topology{Notify: make(chan struct{}, 1), changed: make(chan struct{})}
}

// now lists the topics as they were compared last.
func (t *topology) Now() []topics.Mirrored {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list
}

// versionNow counts the changes; 0: the topics were not compared yet.
func (t *topology) VersionNow() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version
}

// replace takes over what a comparison has shown, and says whether it is another list.
func (t *topology) Replace(list []topics.Mirrored) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.version > 0 && sameTopology(t.list, list) {
		return false
	}
	t.list = list
	t.version++
	close(t.changed)
	t.changed = make(chan struct{})
	return true
}

// await waits until the topics are others than those of the version seen, at most for
// the given time.
func (t *topology) await(ctx context.Context, seen uint64, most time.Duration) {
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

// refresh asks for a comparison before its time.
func (t *topology) Refresh() { notify(t.Notify) }

// refreshAndWait ends a session whose topics are not those of the version that it
// has seen, once the change is known to all; perhaps it is already.
func (t *topology) refreshAndWait(ctx context.Context, seen uint64) error {
	t.Refresh()
	t.await(ctx, seen, grace)
	return errAgain
}

// notify leaves word for whoever waits, or will.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sameTopology compares what workers act on.
func sameTopology(a, b []topics.Mirrored) bool {
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
