package shard

import (
	"context"
	"maps"
	"sync"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// board is what a shard shows to the rest of the flow: its committed state, and
// figures for metrics.
//
// The gate is shut while a commit is under way, from before it is sent until the
// state shows what it wrote. Whoever has read the target's last stable offset and
// then passes the gate sees a map that explains everything below that offset.
type Published struct {
	gate chan struct{} // holds one token

	mu     sync.Mutex
	book   *ledger.Shard // nil between sessions
	routes map[chunk.Partition]PublishedRoute
	// before is what was known last of partitions that this session has not shown yet: for metrics, which do not end
	// because a session cannot begin.
	before map[chunk.Partition]PublishedRoute
	read   bool  // some session of this worker has read the ledger
	why    error // what ended the last session, until the next one has read the ledger
}

// shownRoute is one partition as the metrics and the group sync see it.
type PublishedRoute struct {
	Key    ledger.Key
	Target string // topic
	Next   offsets.Source
	Began  offsets.Source  // progress when this process took the shard over
	Stop   *chunk.Stop     // why it is not copied, or was not when that was seen last
	State  partition.State // Unseen: no session is at work that has compared it with both clusters
}

// remember takes over what was known of the shard before it was given here.
func (b *Published) Remember(before map[chunk.Partition]PublishedRoute) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = before
}

func (b *Published) init() { b.gate = make(chan struct{}, 1) }

// enter waits for the gate.
func (b *Published) enter(ctx context.Context) error {
	select {
	case b.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Published) leave() { <-b.gate }

func (b *Published) open(book *ledger.Shard) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book, b.read, b.why = book, true, nil
	b.before = b.all()
	b.routes = map[chunk.Partition]PublishedRoute{}
}

// ready says whether a session has ever read the ledger; the error is why not.
func (b *Published) Ready() (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read, b.why
}

// working says whether a session is at work.
func (b *Published) Working() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.book != nil
}

// clear hides the state, because of that error: what another owner has committed since
// is not known.
func (b *Published) clear(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book, b.why = nil, why
	for p, r := range b.routes {
		r.State = partition.Unseen
		b.routes[p] = r
	}
}

// put shows or replaces a partition.
func (b *Published) put(p chunk.Partition, change func(*PublishedRoute)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.routes[p]
	change(&r)
	b.routes[p] = r
}

// keep forgets the partitions that are not among those.
func (b *Published) keep(those map[chunk.Partition]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.routes {
		if !those[p] {
			delete(b.routes, p)
		}
	}
	b.before = nil
}

func (b *Published) progress(p chunk.Partition, next offsets.Source) {
	b.put(p, func(r *PublishedRoute) { r.Next = next })
}

// apply makes a commit visible, under the gate.
func (b *Published) apply(p *ledger.Prepared, at []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.Apply(at)
}

// state gives the committed state of a partition after all commits that were
// under way; nil when the shard has no session or does not copy the partition. A
// state is never changed once it is shown.
func (b *Published) State(ctx context.Context, p chunk.Partition) (*ledger.State, PublishedRoute) {
	ctx, cancel := context.WithTimeout(ctx, gateWait)
	defer cancel()
	if b.enter(ctx) != nil {
		return nil, PublishedRoute{}
	}
	defer b.leave()
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.routes[p]
	if !ok || b.book == nil {
		return nil, r
	}
	return b.book.State(r.Key), r
}

// knows says whether the shard has a session that knows the partition's map; a
// partition that is stopped has one as well.
func (b *Published) Knows(p chunk.Partition) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.routes[p]
	return b.book != nil && ok
}

// gateWait bounds how long the group sync waits for a commit: it comes again.
const gateWait = 2 * time.Second

// snapshot copies what is shown.
func (b *Published) Routes() map[chunk.Partition]PublishedRoute {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.routes)
}

// known copies what is shown, and what was known last of the rest.
func (b *Published) Known() map[chunk.Partition]PublishedRoute {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all()
}

// all is known to whoever holds the lock.
func (b *Published) all() map[chunk.Partition]PublishedRoute {
	all := make(map[chunk.Partition]PublishedRoute, len(b.before)+len(b.routes))
	for p, r := range b.before {
		r.State = partition.Unseen
		all[p] = r
	}
	maps.Copy(all, b.routes)
	return all
}
