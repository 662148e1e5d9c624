package sink

import (
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// A broker takes the requests of a connection one after another, and each waits until
// the replicas have it. A request holds one batch of a partition at most, so that a
// source with batches of a few records asks for many requests. The pace that the target
// keeps is measured, whatever the round trip: it says how many may be under way, and
// whether what waits is better joined.
const (
	// anyway is how many requests may be under way before anything is known: fewer would leave a long line idle.
	anyway = 64
	// waitsFor is about how long a transaction waits for answers once nothing is added to it: it has 30 s in all.
	waitsFor = 5 * time.Second
	// slowFrom is the pace from which on small neighbours become one batch, where many wait. Elsewhere that would
	// only cost CPU.
	slowFrom  = time.Millisecond
	joinMost  = 16 << 10  // bytes of a batch that is joined to others: a producer's usual limit
	joinedMax = 128 << 10 // bytes of what becomes of them
)

// pace is what a request takes while the next one waits for it.
type pace struct {
	each time.Duration // 0: unknown
	came time.Time     // when the last answer came
}

// learn takes from an answer how long a request takes that waited for another one.
func (p *pace) learn(s *sent) {
	took := max(s.came.Sub(p.came), 0)
	switch {
	case !s.at.Before(p.came): // it waited for none
	case p.each == 0:
		p.each = took
	default:
		p.each += (took - p.each) / 8
	}
	p.came = s.came
}

// most is how many requests may be under way.
func (p *pace) most() int {
	if p.each == 0 {
		return anyway
	}
	return max(anyway, int(waitsFor/p.each))
}

// Small is why batches that could travel as they are do not: they are many, and joined.
const Small = "small"

// first takes what is sent next of a queue.
func (b *Batches) first(q *queue) chunk.Batch {
	batch, n := q.batches[0], 1
	if len(b.sent)+len(q.batches) >= anyway && b.pace.each >= slowFrom {
		if joined, of := q.join(); of > 1 {
			batch, n = joined, of
			for range n {
				b.cfg.Rebuilt(Small)
			}
		}
	}
	for _, taken := range q.batches[:n] {
		b.waiting -= len(taken.Raw)
	}
	q.batches = q.batches[n:]
	return batch
}

// join makes one batch of the small ones at the head, and says of how many. Where they
// cannot be joined, the target is to judge the first as it is.
func (q *queue) join() (chunk.Batch, int) {
	var raw []wire.Batch
	size := 0
	for _, one := range q.batches {
		next := wire.Batch(one.Raw)
		if len(next) > joinMost || size+len(next) > joinedMax || len(raw) > 0 && next.Codec() != raw[0].Codec() {
			break
		}
		raw, size = append(raw, next), size+len(next)
	}
	made, n := wire.Join(raw, q.most) // before compression: a topic may want it without
	if n < 2 {
		return chunk.Batch{}, n
	}
	joined := chunk.Batch{Raw: made, First: q.batches[0].First}
	for _, one := range q.batches[:n] {
		joined.Count += one.Count
		for i := range one.Count {
			joined.Offsets = append(joined.Offsets, one.Source(i))
		}
	}
	if joined.End() == joined.First+offsets.Source(joined.Count) {
		joined.Offsets = nil // they follow one by one
	}
	return joined, n
}
