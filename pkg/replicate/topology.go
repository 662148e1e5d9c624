package replicate

import (
	"context"
	"slices"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/topics"
)

// refresh compares the topics of both clusters and makes the target's what they
// are to be, for those whose first partition this process owns.
func (f *flow) refresh(ctx context.Context) error {
	seen, err := f.watchNeighbours(ctx)
	if err != nil {
		return f.missedLedger(ctx, err)
	}
	return f.compare(ctx, seen)
}

// compare is refresh once the flows of others have been looked at.
func (f *flow) compare(ctx context.Context, seen *neighbourhood) error {
	list, err := f.topics.Refresh(ctx, func(topic string) bool {
		return f.worker(chunk.Partition{Topic: topic}) != nil
	})
	if err != nil {
		return err
	}
	for _, t := range list {
		if _, known := slices.BinarySearch(seen.source.Topics, t.Source); !known { // it was made a moment ago
			if _, err = f.watchNeighbours(ctx); err != nil {
				return err
			}
			break
		}
	}
	f.tell(list)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.version > 0 && sameTopology(f.topology, list) {
		return nil
	}
	for _, t := range list {
		f.metrics.bornTopic(f.name, t.Source)
	}
	f.topology = list
	f.version++
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// tell logs the topics that are stopped as a whole, once, and by one of the
// replicas: the one that owns the first partition.
func (f *flow) tell(list []topics.Mirrored) {
	stopped := make(map[string]string, len(f.told))
	for _, t := range list {
		before := f.told[t.Source]
		switch {
		case f.worker(chunk.Partition{Topic: t.Source}) == nil:
		case t.Stop != nil:
			stopped[t.Source] = t.Stop.Reason
			if t.Stop.Reason != before {
				f.log.Error("topic stopped", "topic", t.Source, "error", topicStop{t.Stop}, "remedy", t.Stop.Remedy())
			}
		case before != "":
			f.log.Info("topic goes on", "topic", t.Source)
		}
	}
	f.told = stopped
}

func (f *flow) topologyNow() []topics.Mirrored {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topology
}

func (f *flow) topologyVersion() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

// awaitTopology waits until the topology is another one than seen, at most for
// the given time.
func (f *flow) awaitTopology(ctx context.Context, seen uint64, most time.Duration) {
	f.mu.Lock()
	changed, version := f.changed, f.version
	f.mu.Unlock()
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

// refreshSoon asks for a refresh before its time.
func (f *flow) refreshSoon() { poke(f.soon) }

// poke leaves word for whoever waits, or will.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// refreshAndWait ends a session whose topics are not those of the version that it
// has seen, once the change is known to all; perhaps it is already.
func (f *flow) refreshAndWait(ctx context.Context, seen uint64) error {
	f.refreshSoon()
	f.awaitTopology(ctx, seen, grace)
	return errAgain
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
