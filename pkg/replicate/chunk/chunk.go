// Package chunk holds what travels between the rooms of the engine: records of
// a few source partitions that are moved at once, and the words that name them.
//
// The central type is [Chunk]. A Chunk guarantees:
//
//  1. the records of a [Part] are visible ones (committed, no control records)
//     and ascend by source offset;
//  2. between two neighbours, and from the last one up to Next, the source holds
//     nothing visible;
//  3. a partition appears in at most one Part.
//
// Nothing here talks to Kafka.
package chunk

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"replicator/pkg/offsets"
)

// Partition is one partition of one cluster. What a flow is about is named by its source topic;
// where a target partition is meant, whose topic may have another name, the code says so.
type Partition struct {
	Topic  string
	Number int32
}

// String prints a partition as topic/number.
func (p Partition) String() string { return p.Topic + "/" + strconv.Itoa(int(p.Number)) }

// Compare orders partitions by topic, then number, as [slices.SortFunc] wants it.
func (p Partition) Compare(q Partition) int {
	return cmp.Or(cmp.Compare(p.Topic, q.Topic), cmp.Compare(p.Number, q.Number))
}

// TopicID is Kafka's topic id (KIP-516): it tells a topic from another one
// that was created later under the same name. Zero means unknown.
type TopicID [16]byte

// String prints the id in hexadecimal.
func (id TopicID) String() string { return hex.EncodeToString(id[:]) }

// UnknownEpoch stands for a leader epoch that is not known (KIP-320).
const UnknownEpoch int32 = -1

// Position is where reading a source partition goes on: the next source
// offset, and the leader epoch of what was read before it.
type Position struct {
	Partition Partition
	Offset    offsets.Source
	Epoch     int32
	Most      int // bytes of the largest batch that its target takes (max.message.bytes); 0: not known
}

// Header is one record header; a nil Value is Kafka's null, which is not an
// empty one.
type Header struct {
	Key   string
	Value []byte
}

// Record is one visible record. Nil and empty keys and values are different
// things. Timestamp is in milliseconds, as stored on the source.
type Record struct {
	Offset    offsets.Source
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Bytes counts key, value and headers.
func (r *Record) Bytes() int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// Batch is a raw RecordBatch (KIP-98, magic 2) without holes, ready for a
// producer to put its stamp on.
type Batch struct {
	Raw     []byte
	First   offsets.Source
	Count   int
	Offsets []offsets.Source // of each record, where they do not follow First one by one
}

// Source is the source offset of the record with that number, from 0.
func (b *Batch) Source(number int) offsets.Source {
	if b.Offsets != nil {
		return b.Offsets[number]
	}
	return b.First + offsets.Source(number)
}

// End is the source offset after the last record.
func (b *Batch) End() offsets.Source { return b.Source(b.Count-1) + 1 }

// Part is what one partition contributes to a chunk: records in the record lane,
// batches in the batch lane.
type Part struct {
	Partition Partition
	Records   []Record
	Batches   []Batch
	Next      offsets.Source // progress, once the records have landed
	Epoch     int32          // leader epoch of Next, or UnknownEpoch
	Newest    int64          // timestamp of the last record (in the batch lane: the largest of the last batch), ms
	Most      int            // as its Position says
	Anew      bool           // the first since a connection to the partition's broker was made
}

// Empty says that the part is progress alone.
func (p *Part) Empty() bool { return len(p.Records) == 0 && len(p.Batches) == 0 }

// Bytes counts what the part holds: those of its records, or of its batches as they travel.
func (p *Part) Bytes() (n int) {
	for i := range p.Records {
		n += p.Records[i].Bytes()
	}
	for i := range p.Batches {
		n += len(p.Batches[i].Raw)
	}
	return n
}

// Chunk is what a worker moves at once.
type Chunk struct {
	Parts   []Part
	Records int // in all parts
	Bytes   int // keys, values and headers of all records; in the batch lane, what travels
}

// String says how much a chunk holds.
func (c *Chunk) String() string {
	return fmt.Sprintf("%d records of %d partitions", c.Records, len(c.Parts))
}

// Hole is a stretch of a source partition, [From,To), that retention or a deletion of records took away before it was
// copied; both 0: there is none.
type Hole struct{ From, To offsets.Source }

// Offsets counts those in the hole: no more records than that were lost.
func (h Hole) Offsets() int64 { return int64(h.To - h.From) }

// LedgerRecord is one record for a shard's ledger partition; a nil Value deletes Key.
type LedgerRecord struct{ Key, Value []byte }

// Shard tells which of a flow's shards owns the partition: the partitions of
// one topic are spread evenly, and the start depends on the topic's name.
func (p Partition) Shard(shards int) int {
	return int((Murmur2(p.Topic) + uint32(p.Number)) % uint32(shards))
}

// Murmur2 is the hash that Kafka's Java client uses for keys (seed 0x9747b28c),
// so that the placement can be computed with any Kafka tool.
func Murmur2[K string | []byte](s K) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(s))
	for ; len(s) >= 4; s = s[4:] {
		k := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	switch len(s) {
	case 3:
		h ^= uint32(s[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(s[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(s[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}

// Written is what a log tells of who wrote a record, or a batch, which one producer writes.
type Written struct {
	Partition     Partition
	Offset        int64 // of the last one
	Producer      int64 // its id; -1: none
	Transactional bool
	Seen          time.Time // when the log was read
}
