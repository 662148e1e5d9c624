// Package wire reads and rewrites raw RecordBatches (magic 2, KIP-98), without
// looking at their records unless it must.
//
// The central type is [Batch]: the bytes of one batch, as a broker stores it. It
// guarantees:
//
//  1. a Batch from [Next] is whole and its checksum was right;
//  2. [Batch.Stamp] changes nothing but the fields that belong to a producer, and
//     leaves a batch that a broker takes;
//  3. [Rebuild] keeps key, value, headers and timestamp of every record, null and
//     empty apart.
//
// Docs/FORMATS.md has the table of fields. Nothing here talks to Kafka.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Where the fields of a batch begin. The checksum covers all from attributes on.
const (
	atBaseOffset      = 0
	atLength          = 8 // of what follows this field
	atLeaderEpoch     = 12
	atMagic           = 16
	atChecksum        = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
	// HeaderBytes is the size of a batch without records.
	HeaderBytes = 61

	frame = atLeaderEpoch // bytes before what the length counts
)

// Bits of the attributes.
const (
	codecBits        = 0x07
	oldCodecBits     = 0x03 // magic 0 and 1
	logAppendTimeBit = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
	deleteHorizonBit = 0x40

	lastCodec = 4 // zstd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrPartial says that the bytes end within a batch. A broker cuts what does not
// fit into an answer.
var ErrPartial = errors.New("the batch is cut short")

// Batch is one whole batch; its methods read the header.
type Batch []byte

// Next splits the first batch off. Where its magic is below 2, only
// [Batch.Magic], [Batch.Base], [Batch.Codec] and [Rebuild] mean anything, and no checksum is
// compared. The error is [ErrPartial], or tells what is broken.
func Next(data []byte) (b Batch, rest []byte, err error) {
	if len(data) < atChecksum {
		return nil, nil, ErrPartial
	}
	length := int64(int32(binary.BigEndian.Uint32(data[atLength:]))) + frame
	if length < atChecksum {
		return nil, nil, fmt.Errorf("a batch claims %d bytes", length)
	}
	if length > int64(len(data)) {
		return nil, nil, ErrPartial
	}
	b, rest = Batch(data[:length:length]), data[length:]
	switch {
	case b.Magic() < 2:
		return b, rest, nil
	case b.Magic() > 2:
		return nil, nil, fmt.Errorf("the batch at offset %d has magic %d, and 2 is the newest known", b.Base(), b.Magic())
	case length < HeaderBytes:
		return nil, nil, fmt.Errorf("the batch at offset %d claims %d bytes", b.Base(), length)
	}
	if got, want := crc32.Checksum(b[atAttributes:], castagnoli), binary.BigEndian.Uint32(b[atChecksum:]); got != want {
		return nil, nil, fmt.Errorf("the batch at offset %d is damaged: its checksum is %08x, not %08x", b.Base(), got, want)
	}
	if b.Count() < 0 || b.Last() < b.Base() {
		return nil, nil, fmt.Errorf("the batch at offset %d claims %d records up to offset %d", b.Base(), b.Count(), b.Last())
	}
	return b, rest, nil
}

func (b Batch) int64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
func (b Batch) int32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }

// Base is the offset of the first record, as it was written.
func (b Batch) Base() int64 { return b.int64(atBaseOffset) }

// Last is the offset of the last record, as it was written; compaction may have
// removed that record, or all.
func (b Batch) Last() int64 { return b.Base() + int64(b.int32(atLastOffsetDelta)) }

// Count is the number of records that the batch holds.
func (b Batch) Count() int { return int(b.int32(atCount)) }

// Magic is the version of the format.
func (b Batch) Magic() int8 { return int8(b[atMagic]) }

// LeaderEpoch is the epoch of the leader that appended the batch (KIP-320).
func (b Batch) LeaderEpoch() int32 { return b.int32(atLeaderEpoch) }

// MaxTimestamp is the largest timestamp, in milliseconds.
func (b Batch) MaxTimestamp() int64 { return b.int64(atMaxTimestamp) }

// ProducerID tells who wrote the batch; -1 where nobody in particular.
func (b Batch) ProducerID() int64 { return b.int64(atProducerID) }

func (b Batch) attributes() uint16 { return binary.BigEndian.Uint16(b[atAttributes:]) }

// Control says that the batch holds a transaction marker, not records.
func (b Batch) Control() bool { return b.attributes()&controlBit != 0 }

// Transactional says that the batch is part of a transaction.
func (b Batch) Transactional() bool { return b.attributes()&transactionalBit != 0 }

// Times says who gave the records of a batch their times.
type Times string

const (
	Created  Times = "create"    // who wrote them
	Appended Times = "logappend" // the broker that took them
	Untimed  Times = "unknown"   // nobody: messages of magic 0 have none
)

// Times says what the timestamps of the records are.
func (b Batch) Times() Times {
	switch {
	case b.Magic() == 0:
		return Untimed
	case b.Magic() == 1 && b[atChecksum]&logAppendTimeBit != 0, b.Magic() >= 2 && b.attributes()&logAppendTimeBit != 0:
		return Appended
	}
	return Created
}

// Why a batch cannot travel as it is.
const (
	OldMagic      = "old_format"      // magic 0 or 1
	LogAppendTime = "log_append_time" // the records' times are in the header, and a CreateTime topic drops them silently
	Gaps          = "gaps"            // compaction removed records, and a broker refuses such a batch
	Codec         = "codec"           // unknown here
)

// Obstacle tells why the batch cannot be produced as it is: one of the words
// above, or "" where it can.
func (b Batch) Obstacle() string {
	switch {
	case b.Magic() < 2:
		return OldMagic
	case b.attributes()&logAppendTimeBit != 0:
		return LogAppendTime
	case int(b.int32(atLastOffsetDelta)) != b.Count()-1:
		return Gaps
	case b.attributes()&codecBits > lastCodec:
		return Codec
	}
	return ""
}

// Producer is who sends a batch.
type Producer struct {
	ID            int64
	Epoch         int16
	Transactional bool
}

// Stamp makes the batch one of the given producer, in place: base offset 0,
// leader epoch unknown, the producer's id and epoch, the sequence of its first
// record. The delete horizon (KIP-534) of the source's cleaner goes; the
// timestamps, which are relative to it, stay what they are.
func (b Batch) Stamp(p Producer, sequence int32) {
	attributes := b.attributes() &^ (deleteHorizonBit | transactionalBit)
	if p.Transactional {
		attributes |= transactionalBit
	}
	binary.BigEndian.PutUint64(b[atBaseOffset:], 0)
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], 0xffffffff)
	binary.BigEndian.PutUint16(b[atAttributes:], attributes)
	binary.BigEndian.PutUint64(b[atProducerID:], uint64(p.ID))
	binary.BigEndian.PutUint16(b[atProducerEpoch:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(b[atBaseSequence:], uint32(sequence))
	b.seal()
}

// seal computes the checksum.
func (b Batch) seal() {
	binary.BigEndian.PutUint32(b[atChecksum:], crc32.Checksum(b[atAttributes:], castagnoli))
}

// NextSequence follows a sequence by count records; 2^31-1 is followed by 0.
func NextSequence(sequence int32, count int) int32 {
	return int32((int64(sequence) + int64(count)) & 0x7fffffff)
}
