// Package published is what the worker of a shard lets the rest of its flow see: the committed state of its partitions,
// and figures for metrics.
package published

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

// Shard is what is published of one shard. It may be used by several goroutines; only the shard's worker calls Open,
// Clear, Put, Keep, Progress and Commit.
//
// The gate is shut while a commit is under way, from before it is sent until the
// state has what it wrote. Whoever has read the target's last stable offset and
// then passes the gate sees a map that explains everything below that offset.
type Shard struct {
	gate chan struct{} // holds one token

	mu     sync.Mutex
	book   *ledger.Shard // nil between sessions
	routes map[chunk.Partition]Route
	// before is what was known last of partitions that this session has not published yet: for metrics, which do not end
	// because a session cannot begin.
	before map[chunk.Partition]Route
	read   bool  // some session of this worker has read the ledger
	why    error // what ended the last session, until the next one has read the ledger
}

// Route is one partition as the metrics and the group sync see it.
type Route struct {
	Key    ledger.Key
	Target string // topic
	Next   offsets.Source
	Began  offsets.Source  // progress when this process took the shard over
	Stop   *chunk.Stop     // why it is not copied, or was not when that was seen last
	State  partition.State // Unseen: no session is at work that has compared it with both clusters

	// What this session has copied: how much, and the timestamp of the last record, ms; 0: nothing yet.
	Records, Bytes, Newest int64
}

// Remember takes over what was known of the shard before it was given here.
func (s *Shard) Remember(before map[chunk.Partition]Route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// New publishes nothing yet.
func New() *Shard { return &Shard{gate: make(chan struct{}, 1)} }

// Commit shuts the gate, has commit commit the prepared ledger records, publishes what they change, and opens the gate.
// commit answers the offsets that they got. The error is commit's, or ctx's where the gate stays shut.
func (s *Shard) Commit(ctx context.Context, p *ledger.Prepared, commit func() ([]int64, error)) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	at, err := commit()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Apply(at)
	return nil
}

// enter waits for the gate, and shuts it.
func (s *Shard) enter(ctx context.Context) error {
	select {
	case s.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Shard) leave() { <-s.gate }

// Open begins a session with what it has read of the ledger.
func (s *Shard) Open(book *ledger.Shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book, s.read, s.why = book, true, nil
	s.before = s.all()
	s.routes = map[chunk.Partition]Route{}
}

// Ready says whether a session has ever read the ledger; the error is why not.
func (s *Shard) Ready() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read, s.why
}

// Working says whether a session is at work.
func (s *Shard) Working() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book != nil
}

// Clear hides the state, because of that error: what another owner has committed since
// is not known.
func (s *Shard) Clear(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book, s.why = nil, why
	for p, r := range s.routes {
		r.State = partition.Unseen
		s.routes[p] = r
	}
}

// Put publishes or changes a partition.
func (s *Shard) Put(p chunk.Partition, change func(*Route)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.routes[p]
	change(&r)
	s.routes[p] = r
}

// Keep forgets the partitions that are not among those.
func (s *Shard) Keep(those map[chunk.Partition]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.routes {
		if !those[p] {
			delete(s.routes, p)
		}
	}
	s.before = nil
}

// Progress publishes how far a partition was read.
func (s *Shard) Progress(p chunk.Partition, next offsets.Source) {
	s.Put(p, func(r *Route) { r.Next = next })
}

// Copied publishes that so many records were copied; newest is the timestamp of the last one, in ms.
func (s *Shard) Copied(p chunk.Partition, records, bytes, newest int64) {
	s.Put(p, func(r *Route) { r.Records, r.Bytes, r.Newest = r.Records+records, r.Bytes+bytes, newest })
}

// State gives the committed state of a partition after all commits that were
// under way; nil when the shard has no session or does not copy the partition. A
// state is never changed once it is published.
func (s *Shard) State(ctx context.Context, p chunk.Partition) (*ledger.State, Route) {
	ctx, cancel := context.WithTimeout(ctx, gateWait)
	defer cancel()
	if s.enter(ctx) != nil {
		return nil, Route{}
	}
	defer s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.routes[p]
	if !ok || s.book == nil {
		return nil, r
	}
	return s.book.State(r.Key), r
}

// Knows says whether the shard has a session that knows the partition's map; a
// partition that is stopped has one as well.
func (s *Shard) Knows(p chunk.Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.routes[p]
	return s.book != nil && ok
}

// gateWait bounds how long the group sync waits for a commit: it comes again.
const gateWait = 2 * time.Second

// Routes copies what is published.
func (s *Shard) Routes() map[chunk.Partition]Route {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.routes)
}

// Known copies what is published, and what was known last of the rest.
func (s *Shard) Known() map[chunk.Partition]Route {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all()
}

// all is known to whoever holds the lock.
func (s *Shard) all() map[chunk.Partition]Route {
	all := make(map[chunk.Partition]Route, len(s.before)+len(s.routes))
	for p, r := range s.before {
		r.State = partition.Unseen
		all[p] = r
	}
	maps.Copy(all, s.routes)
	return all
}
