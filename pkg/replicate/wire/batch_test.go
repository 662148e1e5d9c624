package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// golden was put together by hand from KIP-98, its checksum by a second program.
const golden = `
	0000000000000102 // base offset: 258
	00000044         // length of what follows: 68
	00000007         // leader epoch
	02               // magic
	0bff8b33         // checksum of what follows
	0050             // attributes: transactional, delete horizon
	00000001         // last offset delta
	0000018bcfe56800 // base timestamp: 1700000000000
	0000018bcfe56805 // max timestamp: 5 ms later
	0000000000000bb8 // producer id: 3000
	0002             // producer epoch
	00000011         // sequence of the first record: 17
	00000002         // records
	16               // length: 11
	00 00 00         // attributes, age, number
	02 6b 02 76      // "k", "v"
	02 02 68 01      // one header: "h", null
	0c               // length: 6
	00 0a 02         // attributes, age: 5, number: 1
	01 00            // null, ""
	00               // no headers`

// stamped is golden for a producer that does not run a transaction.
const stamped = `
	0000000000000000 // base offset
	00000044         // length
	ffffffff         // leader epoch: unknown
	02               // magic
	7a6c596a         // checksum
	0000             // attributes
	00000001 0000018bcfe56800 0000018bcfe56805
	0102030405060708 // producer id
	0009             // producer epoch
	7fffffff         // sequence
	00000002 16000000026b0276020268010c000a02010000`

func TestGolden(t *testing.T) {
	raw := unhex(t, golden)
	b, rest, err := Next(raw)
	if err != nil || len(rest) != 0 || !bytes.Equal(b, raw) {
		t.Fatalf("Next = %x, %x, %v", []byte(b), rest, err)
	}
	for what, c := range map[string][2]any{
		"base": {b.Base(), int64(258)}, "last": {b.Last(), int64(259)}, "count": {b.Count(), 2},
		"magic": {b.Magic(), int8(2)},
		"epoch": {b.LeaderEpoch(), int32(7)}, "max": {b.MaxTimestamp(), int64(1700000000005)},
		"producer": {b.ProducerID(), int64(3000)}, "transactional": {b.Transactional(), true},
		"control": {b.Control(), false}, "obstacle": {b.Obstacle(), ""},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %v, want %v", what, c[0], c[1])
		}
	}
	want := []string{`258@1700000000000 "k"="v" h=null`, `259@1700000000005 null=""`}
	same(t, "records", ours(t, b, 0, 0), want)
	same(t, "records that franz-go reads", theirs(t, raw, 0), want)
	b.Stamp(Producer{ID: 0x0102030405060708, Epoch: 9}, math.MaxInt32)
	if got := unhex(t, stamped); !bytes.Equal(b, got) {
		t.Errorf("stamped:\n got  %x\n want %x", []byte(b), got)
	}
}

// put gives golden other bytes at a place; seal makes the checksum right again.
func put(t *testing.T, at int, text string, seal bool) []byte {
	t.Helper()
	b := Batch(unhex(t, golden))
	copy(b[at:], unhex(t, text))
	if seal {
		b.seal()
	}
	return b
}

func TestNextRefuses(t *testing.T) {
	for _, c := range []struct {
		why  string
		data []byte
		says string
	}{
		{"negative length", put(t, atLength, "ffffffff", false), "claims 11 bytes"},
		{"most negative length", put(t, atLength, "80000000", false), "claims -2147483636 bytes"},
		{"no length", put(t, atLength, "00000000", false), "claims 12 bytes"},
		{"ends before its magic", put(t, atLength, "00000004", false), "claims 16 bytes"},
		{"ends at its magic", put(t, atLength, "00000005", false), "offset 258 claims 17 bytes"},
		{"ends within its header", put(t, atLength, "00000030", false), "offset 258 claims 60 bytes"},
		{"ends within its records", put(t, atLength, "00000040", false), "offset 258 is damaged"},
		{"magic 3", put(t, atMagic, "03", false), "offset 258 has magic 3"},
		{"magic 127", put(t, atMagic, "7f", false), "has magic 127"},
		{"negative count", put(t, atCount, "ffffffff", true), "claims -1 records up to offset 259"},
		{"negative last offset delta", put(t, atLastOffsetDelta, "ffffffff", true), "2 records up to offset 257"},
		{"last offset beyond the largest", put(t, atBaseOffset, "7fffffffffffffff", true), "up to offset -9223"},
	} {
		b, rest, err := Next(c.data)
		if err == nil || errors.Is(err, ErrPartial) || !strings.Contains(err.Error(), c.says) || b != nil || rest != nil {
			t.Errorf("%s: Next(%x) = %x, %x, %v; want an error that says %q", c.why, c.data, []byte(b), rest, err, c.says)
		}
	}
}

// Each byte under the checksum counts, and the checksum itself.
func TestNextSeesDamage(t *testing.T) {
	for at := atChecksum; at < len(unhex(t, golden)); at++ {
		data := unhex(t, golden)
		data[at] ^= 0x20
		if _, _, err := Next(data); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
}

// A broker cuts an answer anywhere: before the cut there are whole batches.
func TestNextCutShort(t *testing.T) {
	whole := unhex(t, golden)
	two := slices.Concat(whole, whole)
	for n := range len(two) {
		b, rest, err := Next(two[:n])
		if n < len(whole) {
			if !errors.Is(err, ErrPartial) || b != nil || rest != nil {
				t.Errorf("%d bytes: %x, %x, %v", n, []byte(b), rest, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(b, whole) || cap(b) != len(b) || len(rest) != n-len(whole) {
			t.Fatalf("%d bytes: %x, %x, %v", n, []byte(b), rest, err)
		}
		if b, rest, err = Next(rest); !errors.Is(err, ErrPartial) || b != nil || rest != nil {
			t.Errorf("%d bytes, second batch: %x, %x, %v", n, []byte(b), rest, err)
		}
	}
	for _, length := range []string{"7fffffff", "7ffffff4", "00000045"} {
		if _, _, err := Next(put(t, atLength, length, false)); !errors.Is(err, ErrPartial) {
			t.Errorf("length %s: %v, want ErrPartial", length, err)
		}
	}
}

// Batches of all formats stand behind each other, and each ends where the next begins.
func TestNextOneAfterAnother(t *testing.T) {
	parts := [][]byte{
		message0(3, 0, nil, []byte("a")), unhex(t, golden), message1(9, 1, 0, nil, nil),
		put(t, atBaseOffset, "0000000000001000", false), put(t, atMagic, "ff", false), // magic -1 is old, too
	}
	data := slices.Concat(parts...)
	for i, want := range parts {
		b, rest, err := Next(data)
		if err != nil || !bytes.Equal(b, want) || len(rest) != len(data)-len(want) {
			t.Fatalf("batch %d: %x, %v, %d bytes left", i, []byte(b), err, len(rest))
		}
		data = rest
	}
	if b, rest, err := Next(data); !errors.Is(err, ErrPartial) || b != nil || rest != nil {
		t.Errorf("after the last: %x, %x, %v", []byte(b), rest, err)
	}
}

// Stamp writes here and nowhere else.
var stampedBytes = [][2]int{
	{atBaseOffset, atLength}, {atLeaderEpoch, atMagic}, {atChecksum, atLastOffsetDelta}, {atProducerID, atCount},
}

func TestStamp(t *testing.T) {
	for _, attributes := range []int16{0, 0x10, 0x40, 0x50, 0x08, 0x20, 0x7f00} {
		for codec := range codecs {
			for _, p := range []Producer{{ID: -1, Epoch: -1}, {5, 6, true}, {math.MaxInt64, math.MaxInt16, false}} {
				h := kmsg.RecordBatch{FirstOffset: 77, PartitionLeaderEpoch: 3, Attributes: attributes | int16(codec),
					LastOffsetDelta: 1, FirstTimestamp: 1000, MaxTimestamp: 1002, ProducerID: 1, ProducerEpoch: 2, FirstSequence: 3}
				b := store(t, h, record(0, 0, []byte("k"), nil), record(1, 2, nil, []byte("v")))
				before := slices.Clone(b)
				b.Stamp(p, 1234)
				what := fmt.Sprintf("attributes %#x, codec %s, %+v", attributes, codecs[codec], p)
				checkStamp(t, what, before, b, p)
			}
		}
	}
}

func checkStamp(t *testing.T, what string, before, after Batch, p Producer) {
	t.Helper()
	again, _, err := Next(after)
	if err != nil || len(again) != len(before) {
		t.Fatalf("%s: %v", what, err)
	}
	var h kmsg.RecordBatch
	if err := h.ReadFrom(after); err != nil {
		t.Fatal(err)
	}
	want := before.attributes() &^ 0x50
	if p.Transactional {
		want |= 0x10
	}
	if h.FirstOffset != 0 || h.PartitionLeaderEpoch != -1 || uint16(h.Attributes) != want || h.ProducerID != p.ID ||
		h.ProducerEpoch != p.Epoch || h.FirstSequence != 1234 || again.Transactional() != p.Transactional {
		t.Errorf("%s: stamped %+v", what, h)
	}
	x, y := slices.Clone(before), slices.Clone(after)
	for _, at := range stampedBytes {
		clear(x[at[0]:at[1]])
		clear(y[at[0]:at[1]])
	}
	if !bytes.Equal(x, y) {
		t.Errorf("%s: other bytes changed:\n%x\n%x", what, []byte(before), []byte(after))
	}
}

// The horizon's bit says what the base timestamp means to a cleaner; ages count from
// there with it and without.
func TestStampKeepsTimesOfADeleteHorizon(t *testing.T) {
	const horizon = 1_800_000_000_000
	for codec, name := range codecs {
		h := kmsg.RecordBatch{FirstOffset: 40, Attributes: 0x40 | int16(codec), LastOffsetDelta: 1,
			FirstTimestamp: horizon, MaxTimestamp: 1_700_000_000_009, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1}
		b := store(t, h, record(0, -100_000_000_000, []byte("k"), nil), record(1, -99_999_999_991, []byte("l"), nil))
		same(t, name+" before", theirs(t, b, 0), []string{`40@1700000000000 "k"=null`, `41@1700000000009 "l"=null`})
		same(t, name+" rebuilt", ours(t, b, 0, 0), theirs(t, b, 0))
		if b.Obstacle() != "" {
			t.Errorf("%s: a delete horizon is an obstacle: %s", name, b.Obstacle())
		}
		b.Stamp(Producer{1, 2, true}, 3)
		same(t, name+" after", theirs(t, b, 0), []string{`0@1700000000000 "k"=null`, `1@1700000000009 "l"=null`})
	}
}

func TestNextSequence(t *testing.T) {
	for _, c := range []struct {
		sequence int32
		count    int
		want     int32
	}{
		{0, 1, 1}, {0, 0, 0}, {7, 100, 107},
		{math.MaxInt32 - 1, 1, math.MaxInt32},
		{math.MaxInt32, 1, 0}, // not negative
		{math.MaxInt32, 2, 1},
		{math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1},
		{0, math.MaxInt32, math.MaxInt32},
	} {
		if got := NextSequence(c.sequence, c.count); got != c.want {
			t.Errorf("NextSequence(%d, %d) = %d, want %d", c.sequence, c.count, got, c.want)
		}
	}
}

func TestObstacle(t *testing.T) {
	batch := func(attributes int16, last int32) Batch {
		return store(t, kmsg.RecordBatch{Attributes: attributes, LastOffsetDelta: last}, record(0, 0, nil, nil),
			record(last, 0, nil, nil))
	}
	unknown := batch(0, 1)
	binary.BigEndian.PutUint16(unknown[atAttributes:], 5)
	unknown.seal()
	for _, c := range []struct {
		why  string
		b    Batch
		want string
	}{
		{"nothing", batch(0, 1), ""},
		{"gzip", batch(int16(kgo.CodecGzip), 1), ""},
		{"zstd is the last codec", batch(int16(kgo.CodecZstd), 1), ""},
		{"transaction", batch(0x10, 1), ""},
		{"magic 0", message0(0, 0, nil, nil), OldMagic},
		{"magic 1", message1(0, 0, 0, nil, nil), OldMagic},
		{"time of the broker", batch(0x08, 1), LogAppendTime},
		{"record gone within", batch(0, 4), Gaps},
		{"last record gone", store(t, kmsg.RecordBatch{LastOffsetDelta: 1}, record(0, 0, nil, nil)), Gaps},
		{"all gone", store(t, kmsg.RecordBatch{LastOffsetDelta: 1}), Gaps},
		{"the only one gone", store(t, kmsg.RecordBatch{}), Gaps},
		{"more than offsets", store(t, kmsg.RecordBatch{}, record(0, 0, nil, nil), record(0, 0, nil, nil)), Gaps},
		{"codec 5", unknown, Codec},
	} {
		if b, _, err := Next(c.b); err != nil || b.Obstacle() != c.want {
			t.Errorf("%s: obstacle %q, %v; want %q", c.why, c.b.Obstacle(), err, c.want)
		}
	}
}
