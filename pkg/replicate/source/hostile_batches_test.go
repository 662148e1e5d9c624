package source

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// stamped makes a batch whose times are the broker's, so that it is taken apart.
func stamped(b wire.Batch) wire.Batch {
	b[22] |= 8
	b.Stamp(wire.Producer{ID: -1, Epoch: -1}, -1)
	return b
}

// garbled makes a batch of one codec whose records cannot be unpacked, and whose checksum is
// right. It is larger than a target takes, and would be taken apart.
func (f *fixture) garbled(codec kgo.CompressionCodecType) wire.Batch {
	f.t.Helper()
	var list []*kgo.Record
	for i := range 2 {
		noise := sha512.Sum512([]byte{byte(i)})
		list = append(list, &kgo.Record{Value: append(noise[:], make([]byte, 200)...), Timestamp: time.UnixMilli(1)})
	}
	b, err := wire.Encode(list, codec)
	f.must("encode", err)
	for i := wire.HeaderBytes; i < len(b); i++ {
		b[i] = 0xfe
	}
	b.Stamp(wire.Producer{ID: -1, Epoch: -1}, -1)
	f.most = 150
	return b
}

// What cannot be unpacked stops its partition in each lane, and no other; what stands
// before it comes out.
func TestBatchThatCannotBeUnpackedStopsItsPartition(t *testing.T) {
	onLanes(t, func(f *fixture) {
		for codec := kgo.CodecGzip; codec <= kgo.CodecZstd; codec++ {
			f.store(orders, f.encode(numbered(3)...))
			before := f.ends(orders)
			f.store(orders, f.garbled(codec))
			f.store(orders1, f.encode(numbered(2)...))
			f.assign(f.from(before-3), start(orders1))
			seen, last := f.upTo(before)
			if !reflect.DeepEqual(seen, upward(before-3, before)) || last.Next != before {
				f.t.Errorf("codec %d: read %v up to %d before it", codec, seen, last.Next)
			}
			err := f.stopOf(orders)
			var stop *chunk.Stop
			if !errors.As(err, &stop) || stop.Kind != chunk.StopUnreadable || stop.Partition != orders ||
				!strings.Contains(stop.Reason, "read on from offset") ||
				strings.Contains(err.Error(), "damaged") || stop.Remedy() == "" {
				f.t.Errorf("codec %d: refused with %v", codec, err)
			}
			f.open(1 << 20)
			f.assign(f.from(before + 2)) // after it, as when its records were deleted
			f.store(orders, f.encode(numbered(1)...))
			if seen, _ := f.upTo(before + 3); len(seen) != 1 {
				f.t.Errorf("codec %d: read %v after it", codec, seen)
			}
		}
	})
}

// A bomb stops its partition and costs no memory.
func TestBombStopsItsPartition(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		var packed bytes.Buffer
		w, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
		f.must("open zstd", err)
		piece := make([]byte, 1<<20)
		_, err = w.Write(binary.AppendVarint(nil, math.MaxInt32))
		f.must("pack", err)
		for range 400 {
			_, err := w.Write(piece)
			f.must("pack", err)
		}
		f.must("pack", w.Close())
		b := append(f.encode(numbered(1)...)[:wire.HeaderBytes], packed.Bytes()...)
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
		b[22] = byte(kgo.CodecZstd)
		f.script(says{0: holds(1, at(0, stamped(b)))})
		f.assign(f.from(0))
		var stop *chunk.Stop
		if err := f.refusal(); !errors.As(err, &stop) || stop.Kind != chunk.StopUnreadable ||
			!strings.Contains(err.Error(), "more than 134217728 bytes in a record") {
			f.t.Errorf("%d bytes are refused with %v", len(b), err)
		}
	})
}

// A batch that holds very much is taken apart piece by piece: nothing is lost or doubled.
func TestLargeBatchIsTakenApartInPieces(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		const records = 400
		var list []*kgo.Record
		for i := range records {
			list = append(list, &kgo.Record{Timestamp: time.UnixMilli(int64(i)), Value: bytes.Repeat([]byte{byte(i)}, 100<<10)})
		}
		b, err := wire.Encode(list, kgo.CodecZstd)
		f.must("encode", err)
		f.store(orders, b)
		f.store(orders, f.encode(numbered(3)...))
		f.most = 1 << 20
		f.assign(f.from(5)) // in the middle: it is taken apart
		seen, last := f.upTo(records + 3)
		if !reflect.DeepEqual(seen, upward(5, records+3)) || last.Next != records+3 {
			f.t.Errorf("read %v up to %d, want all from 5 to %d", seen, last.Next, records+3)
		}
	})
}

// ends is where a partition's log ends.
func (f *fixture) ends(p chunk.Partition) offsets.Source {
	f.t.Helper()
	listed, err := kadm.NewClient(f.plain).ListEndOffsets(f.ctx, p.Topic)
	f.must("ends", err)
	end, _ := listed.Lookup(p.Topic, p.Number)
	return offsets.Source(end.Offset)
}

// stopOf reads until a partition stops; others may go on meanwhile.
func (f *fixture) stopOf(p chunk.Partition) error {
	f.t.Helper()
	for f.ctx.Err() == nil {
		c, err := f.reader.Next(f.ctx, Limit{Records: 100, Bytes: 1 << 20, Wait: time.Second})
		if err != nil {
			return err
		}
		for _, part := range c.Parts {
			if part.Partition == p {
				f.t.Fatalf("%v comes out", part)
			}
		}
	}
	f.t.Fatal("no error came")
	return nil
}

// Batches that grow when they are taken apart, because their records are alike and are
// spread over several, are taken a few at a time.
func TestBatchesThatGrowAreTakenAFewAtATime(t *testing.T) {
	const batches, each = 8, 14
	noise := make([]byte, 1<<20-200)
	for i := 0; i < len(noise); i += sha512.Size {
		sum := sha512.Sum512(binary.AppendVarint(nil, int64(i)))
		copy(noise[i:], sum[:])
	}
	var list []*kgo.Record
	for range each {
		list = append(list, &kgo.Record{Timestamp: time.UnixMilli(1), Value: noise})
	}
	var data []byte
	one, err := wire.Encode(list, kgo.CodecNone)
	if err != nil {
		t.Fatal(err)
	}
	w, err := zstd.NewWriter(nil, zstd.WithWindowSize(8<<20), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		t.Fatal(err)
	}
	one = append(one[:wire.HeaderBytes], w.EncodeAll(one[wire.HeaderBytes:], nil)...)
	binary.BigEndian.PutUint32(one[8:], uint32(len(one)-12))
	one[22] = byte(kgo.CodecZstd)
	for i := range int64(batches) {
		data = append(data, at(i*each, stamped(append(wire.Batch{}, one...)))...)
	}
	tail := &tail{partition: orders, most: 1 << 20, stable: unknownOffset}
	answers, most := 0, 0
	for tail.next < batches*each {
		part, err := tail.read(&kmsg.FetchResponseTopicPartition{RecordBatches: data, LastStableOffset: batches * each,
			DivergingEpoch: kmsg.NewFetchResponseTopicPartitionDivergingEpoch()}, callbacks{func(string) {},
			func(chunk.Partition, wire.Batch) (bool, error) { return false, nil }})
		if err != nil || part.Next == 0 {
			t.Fatalf("after %d answers, at %d: %v", answers, tail.next, err)
		}
		size := 0
		for _, b := range part.Batches {
			size += len(b.Raw)
		}
		most = max(most, size)
		answers++
	}
	if limit := growsTo*len(data) + growsBy + 17<<20; most > limit || answers < 2 {
		t.Errorf("%d bytes became up to %d in one of %d answers, want %d at most", len(data), most, answers, limit)
	}
}
