package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Rebuilt is a new batch with records of an old one.
type Rebuilt struct {
	Batch   Batch
	Offsets []int64 // that the records had, ascending
}

// Rebuild decodes a batch, of any magic, and writes its records from an offset
// on into new batches without gaps, compressed as before, each with its own
// create time. Records are spread over several batches where one would have more
// than most bytes before compression (0: no limit); a record that has more alone
// stands alone. All is false where the batch holds more than is rebuilt at once: what
// follows the last record is asked for by its offset.
func Rebuild(b Batch, from int64, most int) (made []Rebuilt, all bool, err error) {
	if most <= 0 || most > rebuiltAtOnce {
		most = rebuiltAtOnce
	}
	var row []*kgo.Record
	held, size, total := false, 0, 0
	defer func() {
		if held {
			large.Unlock()
		}
	}()
	write := func() bool {
		var one Rebuilt
		if one, err = encode(row, b.Codec(), size); err != nil {
			return false
		}
		made = append(made, one)
		total += size
		row, size = nil, 0
		return total < rebuiltAtOnce
	}
	all = true
	read := decode(b, from, func() {
		if !held {
			large.Lock()
			held = true
		}
	}, func(r *kgo.Record) bool {
		more := recordBytes(r)
		if len(row) > 0 && HeaderBytes+size+more > most && !write() {
			all = false
			return false
		}
		row, size = append(row, r), size+more
		return true
	})
	switch {
	case err != nil:
	case read != nil:
		err = read
	case len(row) > 0:
		write()
	}
	if err != nil {
		return nil, false, err
	}
	return made, all, nil
}

// rebuiltAtOnce is about how much of a batch, unpacked, is rebuilt at once.
const rebuiltAtOnce = 16 << 20

// large lets one batch at a time have a record in memory that takes much, and what is
// made of it: many partitions may hold such a one.
var large sync.Mutex

// Join writes the records of several batches of magic 2 into one, in their order and
// compressed as the first; they are dense, and so is what they become. It takes as many
// of the batches as have at most so many bytes before compression, and says how many.
// A batch whose records cannot be read ends the row; if fewer than two are left, none is
// taken.
func Join(batches []Batch, most int) (joined Batch, n int) {
	var all []*kgo.Record
	size := HeaderBytes
	for _, b := range batches {
		had := len(all)
		err := Records(b, math.MinInt64, func(r *kgo.Record) bool {
			all, size = append(all, r), size+recordBytes(r)
			return size <= most
		})
		if err != nil || len(all)-had != b.Count() || size > most {
			all = all[:had]
			break
		}
		n++
	}
	if n < 2 {
		return nil, 0
	}
	joined, err := Encode(all, batches[0].Codec())
	if err != nil {
		return nil, 0
	}
	return joined, n
}

// Codec is how the records are compressed.
func (b Batch) Codec() kgo.CompressionCodecType {
	if b.Magic() < 2 {
		return kgo.CompressionCodecType(b[atChecksum] & oldCodecBits) // where the older formats have their attributes
	}
	return kgo.CompressionCodecType(b.attributes() & codecBits)
}

// recordBytes is the most that a record takes in a batch, before compression.
func recordBytes(r *kgo.Record) int {
	const numbers = 5 + 1 + 10 + 5 + 5 + 5 + 5 // length, attributes, two deltas, three lengths
	n := numbers + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += 10 + len(h.Key) + len(h.Value)
	}
	return n
}

// Encode writes records into one batch of a producer to be stamped later. Their
// offsets say nothing; their order counts.
func Encode(records []*kgo.Record, codec kgo.CompressionCodecType) (Batch, error) {
	size := 0
	for _, r := range records {
		size += recordBytes(r)
	}
	rebuilt, err := encode(records, codec, size)
	return rebuilt.Batch, err
}

func encode(records []*kgo.Record, codec kgo.CompressionCodecType, size int) (Rebuilt, error) {
	body := make([]byte, 0, size)
	offsets := make([]int64, len(records))
	first := records[0].Timestamp.UnixMilli()
	newest := first
	for i, r := range records {
		at := r.Timestamp.UnixMilli()
		newest = max(newest, at)
		offsets[i] = r.Offset
		body = appendRecord(body, r, at-first, int32(i))
	}
	used := codec
	if c := compressors[codec]; c != nil {
		if body, used = c.Compress(&bytes.Buffer{}, body); used == kgo.CodecError {
			return Rebuilt{}, fmt.Errorf("%d bytes cannot be compressed with codec %d", size, codec)
		}
	}
	b := make(Batch, HeaderBytes, HeaderBytes+len(body))
	b = append(b, body...)
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-frame))
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], 0xffffffff)
	b[atMagic] = 2
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(used)&codecBits)
	binary.BigEndian.PutUint32(b[atLastOffsetDelta:], uint32(len(records)-1))
	binary.BigEndian.PutUint64(b[atBaseTimestamp:], uint64(first))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(newest))
	binary.BigEndian.PutUint32(b[atCount:], uint32(len(records)))
	b.Stamp(Producer{ID: -1, Epoch: -1}, -1)
	return Rebuilt{Batch: b, Offsets: offsets}, nil
}

// appendRecord writes one record as KIP-98 has it; its length comes first.
func appendRecord(body []byte, r *kgo.Record, age int64, number int32) []byte {
	record := kmsg.Record{TimestampDelta64: age, OffsetDelta: number, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	record.Length = int32(recordLength(r, age, number))
	return record.AppendTo(body)
}

// recordLength is the size of a record without what tells it.
func recordLength(r *kgo.Record, age int64, number int32) int {
	sized := func(n int, null bool) int {
		if null {
			return varint(-1)
		}
		return varint(int64(n)) + n
	}
	n := 1 + varint(age) + varint(int64(number)) + sized(len(r.Key), r.Key == nil) + sized(len(r.Value), r.Value == nil) +
		varint(int64(len(r.Headers)))
	for _, h := range r.Headers {
		n += sized(len(h.Key), false) + sized(len(h.Value), h.Value == nil)
	}
	return n
}

// varint is the size of a number.
func varint(n int64) int {
	var into [binary.MaxVarintLen64]byte
	return binary.PutVarint(into[:], n)
}

// compressors has one for each codec; they may be used from any goroutine.
var compressors = map[kgo.CompressionCodecType]kgo.Compressor{
	kgo.CodecGzip:   compressor(kgo.GzipCompression()),
	kgo.CodecSnappy: compressor(kgo.SnappyCompression()),
	kgo.CodecLz4:    compressor(kgo.Lz4Compression()),
	kgo.CodecZstd:   compressor(kgo.ZstdCompression()),
}

func compressor(codec kgo.CompressionCodec) kgo.Compressor {
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		panic(err) // these four have no option that could be wrong
	}
	return c
}
