package txlimit

import (
	"errors"
	"log/slog"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/wire"
)

// A target may be so slow, as under a quota, that a transaction of what is at hand
// outlives what it allows. The same once more would end the same: the next one is half
// as large, down to one batch or record, and they grow again while they are quick.

// quickOnes is how many of them have to be quick.
const quickOnes = 8

// usualBytes is how much a transaction holds at most: more wins nothing, less costs commits.
const usualBytes = 16 << 20

// Size is how much the transactions of one shard may hold, by how the target has taken the last ones. It belongs to one
// goroutine.
type Size struct {
	log     *slog.Logger
	longest *Longest

	most  int // bytes, since larger ones were too slow; 0: as usual
	quick int // transactions of about that size that were quick, one after another
}

// NewSize begins with the usual size; longest is what the target lets a transaction last.
func NewSize(log *slog.Logger, longest *Longest) *Size { return &Size{log: log, longest: longest} }

// slowFrom is what a transaction may take before a failure counts as slowness: most of the time after which its records
// are given up, where the target allows that.
func (s *Size) slowFrom() time.Duration {
	lasts := sink.Margin
	if most := s.longest.Get(); most > 0 {
		lasts = min(lasts, most)
	}
	return lasts * 2 / 3
}

// Full says whether a transaction of that many bytes may hold no more.
func (s *Size) Full(bytes int) bool { return bytes >= usualBytes || s.most > 0 && bytes >= s.most }

// Limit is how many of some bytes may be read for one transaction.
func (s *Size) Limit(bytes int) int {
	if s.most > 0 {
		return min(bytes, s.most)
	}
	return bytes
}

// Failed halves what the next transactions may hold, if this one failed for its time.
func (s *Size) Failed(bytes int, took time.Duration, err error) {
	var old *sink.Outlived
	if !errors.As(err, &old) && took < s.slowFrom() {
		return
	}
	s.most, s.quick = max(bytes/2, 1), 0
	s.log.Warn("the target was too slow for a transaction, the next ones are smaller", "bytes", bytes,
		"took", took.Round(time.Second), "most", s.most,
		"remedy", "see whether a quota of the target holds the flow back (producer_byte_rate), or why it answers so slowly")
}

// Committed lets transactions grow again after some that were as large as they might be and
// took little of their time.
func (s *Size) Committed(bytes int, took time.Duration) {
	switch {
	case s.most == 0 || bytes < s.most/2:
		return
	case took > s.slowFrom()/4:
		s.quick = 0
		return
	}
	if s.quick++; s.quick < quickOnes {
		return
	}
	s.quick = 0
	if s.most *= 2; s.most >= usualBytes {
		s.most = 0
	}
}

// Split divides a chunk: now is what a transaction that holds so many bytes already has room for, at least one batch
// or record where it holds nothing yet; the rest is for the next one.
func (s *Size) Split(c chunk.Chunk, held int) (now, rest chunk.Chunk) {
	if s.most == 0 {
		return c, rest
	}
	for _, part := range c.Parts {
		taken, left, bytes := splitPart(part, s.most-held, held == 0)
		held += bytes
		if !taken.Empty() || taken.Next > 0 {
			now.Parts = append(now.Parts, taken)
			now.Records, now.Bytes = now.Records+records(&taken), now.Bytes+bytes
		}
		if !left.Empty() {
			rest.Parts = append(rest.Parts, left)
			rest.Records += records(&left)
		}
	}
	return now, rest
}

// splitPart splits a part after about so many bytes; with some, it takes one batch or
// record at least.
func splitPart(part chunk.Part, most int, some bool) (taken, left chunk.Part, bytes int) {
	fits := func(n, size int) bool { return bytes+size <= most || some && n == 0 }
	taken, left = part, part
	n := 0
	for ; n < len(part.Batches) && fits(n, len(part.Batches[n].Raw)); n++ {
		bytes += len(part.Batches[n].Raw)
	}
	taken.Batches, left.Batches = part.Batches[:n], part.Batches[n:]
	m := 0
	for ; m < len(part.Records) && fits(m, part.Records[m].Bytes()); m++ {
		bytes += part.Records[m].Bytes()
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

// records counts those of a part.
func records(p *chunk.Part) int {
	n := len(p.Records)
	for i := range p.Batches {
		n += p.Batches[i].Count
	}
	return n
}
