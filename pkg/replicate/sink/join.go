package sink

import (
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// A broker takes the requests of a connection one after another, and each waits until
// the replicas have it. A request holds one batch of a partition at most, so that a
// source with batches of a few records asks for many requests.
const (
	// mostUnderWay bounds what a transaction still waits for once no more is added to it. With a long round trip,
	// fewer would leave the line idle.
	mostUnderWay = 64
	// joinFrom is how many requests are under way when the target is what others wait for: from then on small
	// neighbours become one batch. Sooner, that would only cost CPU.
	joinFrom  = 16
	joinMost  = 16 << 10  // bytes of a batch that is joined to others: a producer's usual limit
	joinedMax = 128 << 10 // bytes of what becomes of them
)

// Small is why batches that could travel as they are do not: they are many, and joined.
const Small = "small"

// first takes what is sent next of a queue.
func (b *Batches) first(q *queue) chunk.Batch {
	batch, n := q.batches[0], 1
	if len(b.sent) >= joinFrom {
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

// join makes one batch of the small ones at the head, and says of how many. Where they
// cannot be joined, the target is to judge the first as it is.
func (b *Batches) join(all []chunk.Batch) (joined chunk.Batch, n int) {
	most := min(joinedMax, b.cfg.BatchBytes)
	var raw []wire.Batch
	size := 0
	for _, one := range all {
		next := wire.Batch(one.Raw)
		if len(next) > joinMost || size+len(next) > most || len(raw) > 0 && next.Codec() != raw[0].Codec() {
			break
		}
		raw, size = append(raw, next), size+len(next)
	}
	if len(raw) < 2 {
		return joined, 0
	}
	made, err := wire.Join(raw)
	if err != nil || len(made) > most {
		return joined, 0
	}
	joined = chunk.Batch{Raw: made, First: all[0].First}
	for _, one := range all[:len(raw)] {
		joined.Count += one.Count
		for i := range one.Count {
			joined.Offsets = append(joined.Offsets, one.Source(i))
		}
	}
	if joined.Offsets[joined.Count-1] == joined.First+offsets.Source(joined.Count)-1 {
		joined.Offsets = nil // they follow one by one
	}
	return joined, len(raw)
}
