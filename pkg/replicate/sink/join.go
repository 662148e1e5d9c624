package sink

import (
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// A broker takes the requests of a connection one after another, and each waits until
// the replicas have it. A request holds one batch of a partition at most, so that a
// source with batches of a few records asks for many requests.
const (
	// mostUnderWay bounds what a transaction still waits for once nothing is added to it. With a long round trip,
	// fewer would leave the line idle.
	mostUnderWay = 64
	// slowAfter is how long the first of them waits where the target is slow: then small neighbours become one
	// batch. Elsewhere that would only cost CPU.
	slowAfter = 50 * time.Millisecond
	slowLasts = time.Minute // until it is to be seen again
	joinMost  = 16 << 10    // bytes of a batch that is joined to others: a producer's usual limit
	joinedMax = 128 << 10   // bytes of what becomes of them
)

// Small is why batches that could travel as they are do not: they are many, and joined.
const Small = "small"

// first takes what is sent next of a queue.
func (b *Batches) first(q *queue) chunk.Batch {
	batch, n := q.batches[0], 1
	if len(b.sent)+len(q.batches) >= mostUnderWay && b.slow() {
		if joined, of := b.join(q.batches); of > 1 {
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

// slow says whether requests wait for each other at the target.
func (b *Batches) slow() bool {
	if len(b.sent) >= mostUnderWay && time.Since(b.sent[0].at) > slowAfter {
		b.slowAt = time.Now()
	}
	return time.Since(b.slowAt) < slowLasts
}

// join makes one batch of the small ones at the head, and says of how many. Where they
// cannot be joined, the target is to judge the first as it is.
func (b *Batches) join(all []chunk.Batch) (chunk.Batch, int) {
	var raw []wire.Batch
	size := 0
	for _, one := range all {
		next := wire.Batch(one.Raw)
		if len(next) > joinMost || size+len(next) > joinedMax || len(raw) > 0 && next.Codec() != raw[0].Codec() {
			break
		}
		raw, size = append(raw, next), size+len(next)
	}
	made, n := wire.Join(raw, b.cfg.BatchBytes) // before compression: a topic may want it without
	if n < 2 {
		return chunk.Batch{}, n
	}
	joined := chunk.Batch{Raw: made, First: all[0].First}
	for _, one := range all[:n] {
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
