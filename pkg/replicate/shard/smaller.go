package shard

import (
	"errors"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/wire"
)

// A target may be so slow, as under a quota, that a transaction of what is at hand
// outlives what it allows. The same once more would end the same: the next one is half
// as large, down to one batch or record, and they grow again while they are quick.

// slowFrom is what a transaction may take before a failure counts as slowness: most of
// the time after which its records are given up, where the target allows that.
func (f *Flow) slowFrom() time.Duration {
	lasts := sink.Margin
	if most := time.Duration(f.Transaction.Load()); most > 0 {
		lasts = min(lasts, most)
	}
	return lasts * 2 / 3
}

// quickOnes is how many of them have to be quick.
const quickOnes = 8

// smaller halves what the next transactions may hold, if this one failed for its time.
func (w *Worker) smaller(bytes int, took time.Duration, err error) {
	var old *sink.Outlived
	if !errors.As(err, &old) && took < w.flow.slowFrom() {
		return
	}
	w.most, w.quick = max(bytes/2, 1), 0
	w.log.Warn("the target was too slow for a transaction, the next ones are smaller", "bytes", bytes,
		"took", took.Round(time.Second), "most", w.most,
		"remedy", "see whether a quota of the target holds the flow back (producer_byte_rate), or why it answers so slowly")
}

// larger lets transactions grow again after some that were as large as they might be and
// took little of their time.
func (w *Worker) larger(bytes int, took time.Duration) {
	switch {
	case w.most == 0 || bytes < w.most/2:
		return
	case took > w.flow.slowFrom()/4:
		w.quick = 0
		return
	}
	if w.quick++; w.quick < quickOnes {
		return
	}
	w.quick = 0
	if w.most *= 2; w.most >= chunkBytes {
		w.most = 0
	}
}

// room cuts a chunk to what the transaction may still hold of it, at least one batch
// or record where it holds nothing yet; the rest is for the next one.
func (s *session) room(c chunk.Chunk, held int) (now chunk.Chunk) {
	if s.most == 0 {
		return c
	}
	for _, part := range c.Parts {
		taken, left, bytes := cutPart(part, s.most-held, held == 0)
		held += bytes
		if !taken.Empty() || taken.Next > 0 {
			now.Parts = append(now.Parts, taken)
			now.Records, now.Bytes = now.Records+records(&taken), now.Bytes+bytes
		}
		if !left.Empty() {
			s.later.Parts = append(s.later.Parts, left)
			s.later.Records += records(&left)
		}
	}
	return now
}

// cutPart splits a part after about so many bytes; with some, it takes one batch or
// record at least.
func cutPart(part chunk.Part, most int, some bool) (taken, left chunk.Part, bytes int) {
	fits := func(n, size int) bool { return bytes+size <= most || some && n == 0 }
	taken, left = part, part
	n := 0
	for ; n < len(part.Batches) && fits(n, len(part.Batches[n].Raw)); n++ {
		bytes += len(part.Batches[n].Raw)
	}
	taken.Batches, left.Batches = part.Batches[:n], part.Batches[n:]
	m := 0
	for ; m < len(part.Records) && fits(m, size(&part.Records[m])); m++ {
		bytes += size(&part.Records[m])
	}
	taken.Records, left.Records = part.Records[:m], part.Records[m:]
	if left.Empty() {
		return part, chunk.Part{}, bytes
	}
	taken.Next = 0 // nothing of it
	if n > 0 {
		last := &part.Batches[n-1]
		raw := wire.Batch(last.Raw)
		taken.Next, taken.Newest = last.End(), raw.MaxTimestamp()
		if epoch := raw.LeaderEpoch(); epoch >= 0 {
			taken.Epoch = epoch
		}
	}
	if m > 0 {
		last := &part.Records[m-1]
		taken.Next, taken.Newest = last.Offset+offsets.Source(1), last.Timestamp
	}
	return taken, left, bytes
}

// size is what a record holds, as chunks count it.
func size(r *chunk.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// records counts those of a part.
func records(p *chunk.Part) int {
	n := len(p.Records)
	for i := range p.Batches {
		n += p.Batches[i].Count
	}
	return n
}
