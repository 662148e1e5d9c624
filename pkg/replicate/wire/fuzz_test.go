package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzNext: whatever bytes come, nothing panics; what is accepted is consistent; and what
// can be rebuilt is what franz-go reads. Chance does not find a checksum, so the same bytes
// are tried as one batch and as one old message whose checksums are right.
func FuzzNext(f *testing.F) {
	for codec := range codecs {
		h := kmsg.RecordBatch{FirstOffset: 5, Attributes: int16(codec), LastOffsetDelta: 9,
			FirstTimestamp: 1000, MaxTimestamp: 1005}
		f.Add([]byte(store(f, h, everyKind()...)))
		h.Attributes |= 0x08
		f.Add([]byte(store(f, h, record(0, 0, nil, nil))))
		h.Attributes = 0
		bare := store(f, h, everyKind()[:4]...) // for codecs whose records are compressed here
		bare[atAttributes+1] = byte(codec)
		f.Add([]byte(bare))
		if codec != kgo.CodecZstd {
			inside := append(message1(0, 5, 0, nil, []byte("a")), message1(2, 5, 0, nil, nil)...)
			f.Add(message1(9, 5, int8(codec), nil, pack(f, codec, inside)))
			f.Add(message0(0, int8(codec), nil, pack(f, codec, message0(0, 0, nil, []byte("a")))))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		walk(t, data)
		if len(data) >= HeaderBytes {
			b := packed(t, data)
			b[atMagic] = 2
			binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-frame))
			b.seal()
			walk(t, b)
		}
		if len(data) >= atChecksum {
			b := bytes.Clone(data)
			b[atMagic] &= 1
			if len(b) > atChecksum && takesAtItsWord(Batch(b).Codec()) {
				b[atChecksum] &^= oldCodecBits
			}
			binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-frame))
			sealOld(b)
			walk(t, b)
		}
	})
}

// takesAtItsWord: what snappy and zstd write begins with the size of what it holds, and
// franz-go takes memory for that, up to 2 GiB, before it looks further. A fuzzer would
// find nothing else.
func takesAtItsWord(codec kgo.CompressionCodecType) bool {
	return codec == kgo.CodecSnappy || codec == kgo.CodecZstd
}

// packed is the batch that bytes are; where it says such a codec, its records are taken
// for what is compressed.
func packed(t *testing.T, data []byte) Batch {
	b := Batch(bytes.Clone(data))
	if takesAtItsWord(b.Codec()) {
		b = append(b[:HeaderBytes], pack(t, b.Codec(), data[HeaderBytes:])...)
	}
	return b
}

// walk splits bytes into batches, and holds each against what Next promises.
func walk(t *testing.T, data []byte) {
	t.Helper()
	for left := data; ; {
		b, rest, err := Next(left)
		if err != nil {
			if b != nil || rest != nil {
				t.Fatalf("Next(%x) = %x, %x, %v", left, []byte(b), rest, err)
			}
			return
		}
		if len(b) < atChecksum || len(b) != cap(b) || !bytes.Equal(left[:len(b)], b) || !bytes.Equal(left[len(b):], rest) {
			t.Fatalf("Next(%x) splits it into %x and %x", left, []byte(b), rest)
		}
		left = rest
		if b.Magic() > 2 || b.Magic() == 2 && (len(b) < HeaderBytes || b.Count() < 0 || b.Last() < b.Base() ||
			crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[17:])) {
			t.Fatalf("Next accepts %x", []byte(b))
		}
		rebuild(t, b)
	}
}

// rebuild compares with franz-go what can be rebuilt of a batch.
func rebuild(t *testing.T, b Batch) {
	t.Helper()
	if _, _, err := Rebuild(b, b.Base(), 0); err != nil {
		return
	}
	switch {
	case b.Magic() == 2 && b.Control(): // it looks into a marker
		return
	case b.Magic() == 2 && b[atAttributes+1]&0x80 != 0: // its mark for records without a time, a bit that no format uses
		return
	case b.Base() < 0: // franz-go gives these a meaning of its own, and no broker has them
		return
	case b.Magic() < 2 && b[atChecksum]&^oldCodecBits != 0: // it refuses some bits; see TestTimesOfOldFormats
		return
	}
	for _, from := range []int64{b.Base(), b.Base() + 2} {
		var got []string
		for _, text := range ours(t, b, from, 100) {
			got = append(got, nanoseconds(t, text))
		}
		if want := theirs(t, b, from); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%x from %d:\n got  %s\n want %s", []byte(b), from, got, want)
		}
	}
}

// nanoseconds does to the time of a record shown what franz-go's consumer does.
func nanoseconds(t *testing.T, text string) string {
	t.Helper()
	var offset, at int64
	if _, err := fmt.Sscanf(text, "%d@%d ", &offset, &at); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, " ")
	return fmt.Sprintf("%d@%d %s", offset, time.Unix(0, at*1e6).UnixMilli(), rest)
}

// dice reads numbers and bytes from fuzzed data; they end with zeros.
type dice []byte

func (d *dice) number() int {
	if len(*d) == 0 {
		return 0
	}
	n := int((*d)[0])
	*d = (*d)[1:]
	return n
}

// bytes gives null, or up to 63 bytes, and sometimes those again and again.
func (d *dice) bytes() []byte {
	n := d.number()
	if n == 0 {
		return nil
	}
	size := min(n%64, len(*d))
	b := bytes.Clone((*d)[:size:size])
	*d = (*d)[size:]
	if b == nil {
		b = []byte{}
	}
	return bytes.Repeat(b, 1+n/200*50)
}

// record makes a record and its time.
func (d *dice) record(offset int64) *kgo.Record {
	var eight [8]byte
	copy(eight[d.number()%8:], d.bytes()) // times of all sizes, of both signs
	r := &kgo.Record{Offset: offset, Timestamp: time.UnixMilli(int64(binary.BigEndian.Uint64(eight[:]))),
		Key: d.bytes(), Value: d.bytes()}
	for range d.number() % 4 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(d.bytes()), Value: d.bytes()})
	}
	return r
}

// FuzzRebuild: records that are encoded are those that are rebuilt, from any offset, in
// batches of any size, as they are or in a batch in which compaction left gaps.
func FuzzRebuild(f *testing.F) {
	for codec := range uint8(5) {
		f.Add([]byte{}, codec, uint8(0), uint16(0))
		f.Add([]byte("\x00\x09abcdefgh\xffkey\x02vv\x03\x01h\x00\x01h\x05value\x00"), codec, uint8(1), uint16(100))
		f.Add(bytes.Repeat([]byte("\x07\xf8zyxwvuts\x00\x40\xff0123456789\x01"), 20), codec, uint8(3), uint16(300))
	}
	f.Fuzz(func(t *testing.T, data []byte, codec, from uint8, most uint16) {
		d := dice(data)
		codec %= 5
		var records []*kgo.Record
		var holed []kmsg.Record
		var want, wantHoled []string
		for at := int64(0); at == 0 || len(d) > 0; at++ {
			r := d.record(at)
			records = append(records, r)
			if at >= int64(from) {
				want = append(want, show(r))
			}
			if d.number()%3 != 0 { // else it is gone from the other batch
				continue
			}
			var headers []kmsg.Header
			for _, h := range r.Headers {
				headers = append(headers, kmsg.Header{Key: h.Key, Value: h.Value})
			}
			holed = append(holed, record(int32(at), r.Timestamp.UnixMilli()-1000, r.Key, r.Value, headers...))
			if at >= int64(from) {
				wantHoled = append(wantHoled, show(r))
			}
		}
		b, err := Encode(records, kgo.CompressionCodecType(codec))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "whole", ours(t, b, int64(from), int(most)), want)
		joined(t, "split and joined", split(t, b, int64(from), int(most)), want)
		b = store(t, kmsg.RecordBatch{Attributes: int16(codec), LastOffsetDelta: int32(len(records)),
			FirstTimestamp: 1000}, holed...)
		same(t, "with gaps", ours(t, b, int64(from), int(most)), wantHoled)
	})
}
