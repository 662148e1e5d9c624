package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// bomb packs a beginning and very many zeros without holding them.
func bomb(t *testing.T, codec kgo.CompressionCodecType, begins []byte, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	switch codec {
	case kgo.CodecGzip:
		w = gzip.NewWriter(&out)
	case kgo.CodecLz4:
		w = lz4.NewWriter(&out)
	case kgo.CodecZstd:
		encoder, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		w = encoder
	}
	if _, err := w.Write(begins); err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 1<<20)
	for left := n; left > 0; left -= len(piece) {
		if _, err := w.Write(piece[:min(left, len(piece))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packing makes a batch of bytes that are compressed already.
func packing(codec kgo.CompressionCodecType, count int, packed []byte) Batch {
	b := append(make(Batch, HeaderBytes), packed...)
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-frame))
	b[atMagic] = 2
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(codec)|logAppendTimeBit)
	binary.BigEndian.PutUint32(b[atLastOffsetDelta:], uint32(count-1))
	binary.BigEndian.PutUint32(b[atCount:], uint32(count))
	b.seal()
	return b
}

// allocates is what a function takes from the heap in all.
func allocates(do func()) (bytes uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// varints is a row of numbers as records have them.
func varints(numbers ...int64) []byte {
	var b []byte
	for _, n := range numbers {
		b = binary.AppendVarint(b, n)
	}
	return b
}

// A few kilobytes that unpack to very much, or claim to, cost little memory, and are
// refused with a reason.
func TestBombsAreRefusedInLittleMemory(t *testing.T) {
	const many = 400 << 20
	// A record of so many bytes, whose value is all but the first few of them.
	record := func(length, value int64) []byte {
		return append(varints(length), append([]byte{0}, varints(0, 0, -1, value)...)...)
	}
	headers := append(varints(many), append([]byte{0}, varints(0, 0, -1, -1, many/4)...)...)
	type hostile struct {
		why    string
		b      Batch
		says   string
		within uint64 // MiB
	}
	var all []hostile
	for _, codec := range []kgo.CompressionCodecType{kgo.CodecGzip, kgo.CodecLz4, kgo.CodecZstd} {
		name := codecs[codec]
		all = append(all,
			hostile{name + ", zeros", packing(codec, 1, bomb(t, codec, nil, many)), "record 0 of 1", 24},
			hostile{name + ", one record", packing(codec, 1, bomb(t, codec, record(many, many-30), many)),
				"more than 134217728 bytes in a record", 24},
			hostile{name + ", a record that claims more than comes",
				packing(codec, 1, bomb(t, codec, record(100<<20, 100<<20-30), 1<<20)), "breaks off", 32},
			hostile{name + ", headers", packing(codec, 1, bomb(t, codec, headers, 1<<20)), "more than", 24},
			hostile{name + ", two thousand million records", packing(codec, math.MaxInt32, bomb(t, codec, nil, 1<<20)),
				"record 0 of 2147483647", 24},
			hostile{name + ", cut short", packing(codec, 1, bomb(t, codec, record(1000, 900), 1<<20)[:20]), "", 24},
		)
	}
	claims := append(binary.AppendUvarint(nil, 2<<30), 0, 0)
	framed := append(append(bytes.Clone(javaFrame), 0, 0, 0, 1, 0, 0, 0, 1), 0, 0, 0, byte(len(claims)))
	all = append(all,
		hostile{"snappy, a size that is a lie", packing(kgo.CodecSnappy, 1, claims), "in a block of snappy", 1},
		hostile{"snappy, a smaller lie", packing(kgo.CodecSnappy, 1, append(binary.AppendUvarint(nil, 100<<20), 0, 0)),
			"claims to hold 104857600", 1},
		hostile{"snappy, framed", packing(kgo.CodecSnappy, 1, append(framed, claims...)), "in a block of snappy", 1},
		hostile{"zstd, a window that is a lie", packing(kgo.CodecZstd, 1,
			[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0, 0, 0, 0}), "", 1},
		hostile{"zstd, a content size that is a lie", packing(kgo.CodecZstd, 1,
			[]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0}), "", 1},
		hostile{"an unknown codec", packing(6, 1, []byte{0}), "codec 6 is not known", 1},
	)
	for _, h := range all {
		var err error
		var made []Rebuilt
		took := allocates(func() { made, _, err = Rebuild(h.b, 0, 1<<20) })
		if err == nil || made != nil || !strings.Contains(err.Error(), h.says) {
			t.Errorf("%s, %d bytes: %v, want an error that says %q", h.why, len(h.b), err, h.says)
		}
		if took > h.within<<20 {
			t.Errorf("%s, %d bytes, took %d MiB, want %d at most", h.why, len(h.b), took>>20, h.within)
		}
	}
}

// All of a batch together is bounded, too, and what was read before is not held.
func TestRecordsOfABatchAreBoundedTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks a gigabyte")
	}
	// A row of records of a megabyte each, whose offsets are all 0 but are not looked at.
	one := append(varints(1<<20), append([]byte{0}, varints(0, 0, -1, 1<<20-8)...)...)
	one = append(one, make([]byte, 1<<20+len(varints(1<<20))-len(one))...)
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range 1100 {
		if _, err := w.Write(one); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := packing(kgo.CodecZstd, 1100, out.Bytes())
	var much *TooMuchError
	read := 0
	err = decoder{b, func() {}}.records(func(*kgo.Record) error { read++; return nil })
	if !errors.As(err, &much) || read < 1000 {
		t.Errorf("%d bytes: %d records and %v, want that there is too much", len(b), read, err)
	}
	err = Records(b, 0, func(*kgo.Record) bool { return true })
	if err == nil || !strings.Contains(err.Error(), "comes after") {
		t.Errorf("records of one offset: %v", err)
	}
}

// A batch that holds more than is rebuilt at once comes in parts, each where the one
// before ended, and nothing is lost or doubled.
func TestRebuildInParts(t *testing.T) {
	const records, size = 900, 100 << 10
	value := strings.Repeat("very compressible ", size/18)
	for codec := range codecs {
		if codec == kgo.CodecNone {
			continue
		}
		var list []*kgo.Record
		for i := range int64(records) {
			list = append(list, &kgo.Record{Timestamp: time.UnixMilli(1000 + i), Value: []byte(fmt.Sprint(i, value))})
		}
		b, err := Encode(list, codec)
		if err != nil {
			t.Fatal(err)
		}
		at, parts := int64(0), 0
		for all := false; !all; parts++ {
			var made []Rebuilt
			if made, all, err = Rebuild(b, at, 1<<20); err != nil || len(made) == 0 {
				t.Fatalf("%s from %d: %d batches, %v", codecs[codec], at, len(made), err)
			}
			for _, m := range made {
				for i, r := range held(t, m.Batch) {
					if m.Offsets[i] != at || r.Timestamp.UnixMilli() != 1000+at || string(r.Value) != fmt.Sprint(at, value) {
						t.Fatalf("%s: offset %d at %d, time %d", codecs[codec], m.Offsets[i], at, r.Timestamp.UnixMilli())
					}
					at++
				}
			}
		}
		if at != records || parts < 4 {
			t.Errorf("%s: %d records in %d parts", codecs[codec], at, parts)
		}
	}
}

// The claimed number of headers is found as kmsg finds it.
func TestHeadersAreCounted(t *testing.T) {
	for _, n := range []int{0, 1, 5, 1000} {
		for _, key := range [][]byte{nil, {}, []byte("key")} {
			r := kmsg.Record{TimestampDelta64: -5000, OffsetDelta: 77, Key: key, Value: bytes.Repeat([]byte("v"), n)}
			for range n {
				r.Headers = append(r.Headers, kmsg.Header{Key: "h", Value: nil})
			}
			whole := r.AppendTo(nil)[1:] // a length of 0
			if got := headers(whole); got != int64(n) {
				t.Errorf("%d headers behind key %q are counted as %d", n, key, got)
			}
			for cut := range min(len(whole), 12) {
				_ = headers(whole[:cut]) // does not go beyond
			}
		}
	}
}

// What franz-go unpacks itself is bounded in bytes, and in what its records and headers
// take; what is honest is unpacked as by franz-go.
func TestDecompressorIsBounded(t *testing.T) {
	tiny := bytes.Repeat(append(varints(6), append([]byte{0}, varints(0, 0, -1, -1, 0)...)...), 2<<20)
	headers := append(varints(16<<20), append([]byte{0}, varints(0, 0, -1, -1, 8<<20)...)...)
	headers = append(headers, make([]byte, 16<<20+len(varints(16<<20))-len(headers))...)
	for _, codec := range []kgo.CompressionCodecType{kgo.CodecGzip, kgo.CodecLz4, kgo.CodecZstd} {
		for why, packed := range map[string][]byte{
			"zeros":   bomb(t, codec, nil, 400<<20),
			"records": bomb(t, codec, tiny, 0),
			"headers": bomb(t, codec, headers, 0),
		} {
			var much *TooMuchError
			_, err := Decompressor{}.Decompress(packed, codec)
			if !errors.As(err, &much) {
				t.Errorf("%s, %s, %d bytes: %v", codecs[codec], why, len(packed), err)
			}
		}
	}
	for codec := range codecs {
		honest := bytes.Repeat([]byte("honest "), 100_000)
		got, err := Decompressor{}.Decompress(pack(t, codec, honest), codec)
		if err != nil || !bytes.Equal(got, honest) {
			t.Errorf("%s: %d bytes, %v", codecs[codec], len(got), err)
		}
	}
}
