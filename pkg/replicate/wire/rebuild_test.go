package wire

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// everyKind has records that differ in what is null and what is empty.
func everyKind() []kmsg.Record {
	long := []byte(strings.Repeat("long ", 2000))
	return []kmsg.Record{
		record(0, 0, nil, nil),
		record(1, 5, []byte{}, []byte{}),
		record(2, -7, []byte("k"), nil), // older than the first
		record(3, 0, nil, []byte("v"), kmsg.Header{Key: "h"}),
		record(4, 0, []byte("k"), long, kmsg.Header{Key: "h", Value: []byte{}}, kmsg.Header{Key: "h", Value: []byte("1")},
			kmsg.Header{Key: "h"}, kmsg.Header{Key: "", Value: []byte("2")}), // the same key again, and none
		record(5, 1, []byte{0, 255}, []byte("\xff\xfe")), // no text
	}
}

// TestRebuild: what is new holds what is old, as a consumer reads it, for every codec.
func TestRebuild(t *testing.T) {
	const base, first, newest = 1000, 1_700_000_000_000, 1_700_000_000_005
	for codec, name := range codecs {
		for what, c := range map[string]struct {
			attributes int16
			last       int32
			keep       []int // nil: all
		}{
			"as it was":          {0, 5, nil},
			"transaction":        {0x10, 5, nil},
			"time of the broker": {0x08, 5, nil},
			"delete horizon":     {0x40, 5, nil},
			"first gone":         {0, 5, []int{1, 2, 3, 4, 5}},
			"gaps":               {0x40, 5, []int{1, 4}},
			"last gone":          {0, 5, []int{0, 1}},
			"end far beyond":     {0, math.MaxInt32, []int{0, 5}},
			"all gone":           {0, 5, []int{}},
			"broker and holes":   {0x08, 9, []int{2, 3}},
		} {
			records := everyKind()
			if c.keep != nil {
				records = nil
				for _, i := range c.keep {
					records = append(records, everyKind()[i])
				}
			}
			b := store(t, kmsg.RecordBatch{FirstOffset: base, Attributes: c.attributes | int16(codec),
				LastOffsetDelta: c.last, FirstTimestamp: first, MaxTimestamp: newest, ProducerID: 4,
				PartitionLeaderEpoch: 2}, records...)
			for _, from := range []int64{0, base, base + 1, base + 3, base + 5, base + 6, base + 100, math.MaxInt64} {
				at := fmt.Sprintf("%s, %s, from %d", name, what, from)
				same(t, at, ours(t, b, from, 0), theirs(t, b, from))
			}
			if made, _, err := Rebuild(b, 0, 0); err == nil && len(made) > 0 && made[0].Batch.Codec() != codec {
				t.Errorf("%s, %s: rebuilt with codec %d", name, what, made[0].Batch.Codec())
			}
		}
	}
}

// A broker's time is in the header, and each record gets it.
func TestRebuildLogAppendTime(t *testing.T) {
	b := store(t, kmsg.RecordBatch{FirstOffset: 9, Attributes: 0x08, LastOffsetDelta: 1, FirstTimestamp: 5,
		MaxTimestamp: 777}, record(0, 0, nil, []byte("a")), record(1, 1, nil, []byte("b")))
	same(t, "records", ours(t, b, 0, 0), []string{`9@777 null="a"`, `10@777 null="b"`})
}

// Producers take microseconds for milliseconds, and "for ever" for a time; a topic keeps them.
func TestRebuildKeepsTimes(t *testing.T) {
	for _, first := range []int64{
		0, -1, -1000, math.MinInt64, math.MaxInt64, math.MaxInt64 - 3,
		9_223_372_036_854, 9_223_372_036_855, -9_223_372_036_855, // where nanoseconds have an end
		1_700_000_000_000_000, 1_700_000_000_000_000_000,
	} {
		for _, age := range []int64{0, 3, -3, math.MaxInt64, math.MinInt64, 1 << 40} {
			for _, attributes := range []int16{0, 0x08, 0x40} {
				b := store(t, kmsg.RecordBatch{FirstOffset: 1, Attributes: attributes, LastOffsetDelta: 3,
					FirstTimestamp: first, MaxTimestamp: first}, record(0, 0, nil, nil), record(3, age, nil, nil))
				second := first + age // beyond the largest it begins again below, as in Java
				if attributes == 0x08 {
					second = first
				}
				same(t, fmt.Sprintf("base %d, age %d, attributes %#x", first, age, attributes), ours(t, b, 0, 0),
					[]string{fmt.Sprintf("1@%d null=null", first), fmt.Sprintf("4@%d null=null", second)})
			}
		}
	}
}

func TestRebuildSplits(t *testing.T) {
	var records []kmsg.Record
	for i, size := range []int{10, 10, 10, 500, 10, 10, 2000, 2000, 10} {
		records = append(records, record(int32(i), int64(i), []byte("k"), []byte(strings.Repeat("v", size))))
	}
	for codec, name := range codecs {
		b := store(t, kmsg.RecordBatch{FirstOffset: 50, Attributes: int16(codec), LastOffsetDelta: 8, FirstTimestamp: 100,
			MaxTimestamp: 108}, records...)
		for most, want := range map[int][]int{ // records of each batch
			0:    {9},
			1:    {1, 1, 1, 1, 1, 1, 1, 1, 1},
			250:  {3, 1, 2, 1, 1, 1}, // three larger ones, alone
			700:  {3, 3, 1, 1, 1},
			900:  {6, 1, 1, 1},
			2200: {6, 1, 2}, // 2000 and 10 fit together
			9999: {9},
		} {
			made, _, err := Rebuild(b, 0, most)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, m := range made {
				got = append(got, m.Batch.Count())
				if codec == kgo.CodecNone && most > 0 && len(m.Batch) > most && m.Batch.Count() > 1 {
					t.Errorf("at most %d: %d records take %d bytes", most, m.Batch.Count(), len(m.Batch))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, at most %d: batches of %v records, want %v", name, most, got, want)
			}
			for _, from := range []int64{0, 51, 56, 58} {
				same(t, fmt.Sprintf("%s, at most %d from %d", name, most, from), ours(t, b, from, most), theirs(t, b, from))
			}
		}
	}
}

// A limit is kept however the numbers of a record are written.
func TestRecordBytesIsALimit(t *testing.T) {
	for _, r := range []*kgo.Record{
		{}, {Key: []byte{}, Value: []byte{}}, {Key: make([]byte, 200), Value: make([]byte, 1<<20)},
		{Headers: slices.Repeat([]kgo.RecordHeader{{Key: "key", Value: make([]byte, 70)}}, 300)},
	} {
		for _, age := range []int64{0, math.MinInt64} {
			if got := len(appendRecord(nil, r, age, math.MaxInt32)); got > recordBytes(r) {
				t.Errorf("%d bytes, at most %d: %s", got, recordBytes(r), show(r))
			}
		}
	}
}

func TestRebuildRefuses(t *testing.T) {
	k := []byte("k")
	batch := func(spoil func(h *kmsg.RecordBatch), records ...kmsg.Record) Batch {
		h := kmsg.RecordBatch{FirstOffset: 70, Magic: 2, LastOffsetDelta: 2, NumRecords: int32(len(records))}
		for _, r := range records {
			h.Records = r.AppendTo(h.Records)
		}
		spoil(&h)
		return finish(h)
	}
	three := []kmsg.Record{record(0, 0, k, nil), record(1, 0, k, nil), record(2, 0, k, nil)}
	for _, c := range []struct {
		why, says string
		b         Batch
	}{
		{"fewer records than told", "breaks off at record 3 of 4",
			batch(func(h *kmsg.RecordBatch) { h.NumRecords++ }, three...)},
		{"as many as can be told", "at record 3 of 2147483647",
			batch(func(h *kmsg.RecordBatch) { h.NumRecords = math.MaxInt32 }, three...)},
		{"as many, and no bytes", "at record 0 of 2147483647",
			batch(func(h *kmsg.RecordBatch) { h.NumRecords = math.MaxInt32 })},
		{"more records than told", "something follows its 2 records",
			batch(func(h *kmsg.RecordBatch) { h.NumRecords-- }, three...)},
		{"last record cut", "at record 2 of 3",
			batch(func(h *kmsg.RecordBatch) { h.Records = h.Records[:len(h.Records)-1] }, three...)},
		{"negative record length", "at record 0 of 3", batch(func(h *kmsg.RecordBatch) { h.Records[0] = 1 }, three...)},
		{"endless record length", "at record 0 of 1",
			batch(func(h *kmsg.RecordBatch) { h.Records = []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }, three[0])},
		{"record length beyond 32 bits", "at record 0 of 1",
			batch(func(h *kmsg.RecordBatch) { h.Records = []byte("\xfe\xff\xff\xff\xff\x7f0000000") }, three[0])},
		{"key longer than its record", "record 0 of 3", batch(func(h *kmsg.RecordBatch) { h.Records[4] = 0x7e }, three...)},
		{"offset twice", "offset 71 comes after 71", batch(func(*kmsg.RecordBatch) {}, three[0], three[1], three[1])},
		{"offsets fall", "offset 71 comes after 72", batch(func(*kmsg.RecordBatch) {}, three[0], three[2], three[1])},
		{"offset beyond the last", "claims offset 73, and the last is 72",
			batch(func(*kmsg.RecordBatch) {}, three[0], record(3, 0, k, nil))},
		{"offset before the base", "claims offset 69", batch(func(*kmsg.RecordBatch) {}, record(-1, 0, k, nil))},
		{"codec 5", "codec", batch(func(h *kmsg.RecordBatch) { h.Attributes = 5 }, three...)},
		{"not gzip", "gzip", batch(func(h *kmsg.RecordBatch) { h.Attributes = 1 }, three...)},
		{"not snappy", "", batch(func(h *kmsg.RecordBatch) { h.Attributes = 2 }, three...)},
		{"not lz4", "", batch(func(h *kmsg.RecordBatch) { h.Attributes = 3 }, three...)},
		{"not zstd", "", batch(func(h *kmsg.RecordBatch) { h.Attributes = 4 }, three...)},
	} {
		b, _, err := Next(c.b)
		if err != nil {
			t.Fatalf("%s: %v", c.why, err)
		}
		made, _, err := Rebuild(b, 0, 0)
		if err == nil || made != nil || !strings.Contains(err.Error(), c.says) ||
			!strings.Contains(err.Error(), "offset 70") {
			t.Errorf("%s: Rebuild(%x) = %v, %v; want an error that says %q", c.why, []byte(b), made, err, c.says)
		}
	}
}

// A marker holds no records, whatever it looks like.
func TestRebuildMarker(t *testing.T) {
	b := store(t, kmsg.RecordBatch{FirstOffset: 3, Attributes: 0x30}, record(0, 0, []byte("\x00\x00\x00\x01"), nil))
	if made, _, err := Rebuild(b, 0, 0); err != nil || len(made) != 0 {
		t.Errorf("Rebuild of a marker = %v, %v", made, err)
	}
}

// The old batch is whole afterwards, and the new one shares no byte with it.
func TestRebuildLeavesTheOldBatch(t *testing.T) {
	for codec, name := range codecs {
		b := store(t, kmsg.RecordBatch{Attributes: int16(codec), LastOffsetDelta: 5}, everyKind()...)
		before := slices.Clone(b)
		made, _, err := Rebuild(b, 2, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range made {
			clear(m.Batch)
		}
		if !slices.Equal(b, before) {
			t.Errorf("%s: the old batch has changed", name)
		}
	}
}

func TestEncode(t *testing.T) {
	records := []*kgo.Record{
		{Offset: 99, Timestamp: time.UnixMilli(7), Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "h"}, {Key: "h"}}},
		{Offset: 12, Timestamp: time.UnixMilli(-4), Value: []byte{}},
		{Timestamp: time.UnixMilli(math.MaxInt64), Value: []byte("v")},
	}
	for codec, name := range codecs {
		b, err := Encode(records, codec)
		if err != nil || b.Codec() != codec {
			t.Fatalf("%s: codec %d, %v", name, b.Codec(), err)
		}
		want := []string{`0@7 "k"=null h=null h=null`, `1@-4 null=""`, `2@9223372036854775807 null="v"`}
		same(t, name, ours(t, b, 0, 0), want)
	}
}

// TestJoin: what is joined holds every record of its parts in their order, whatever kind
// of batch they were in.
func TestJoin(t *testing.T) {
	for codec, name := range codecs {
		var batches []Batch
		var want []string
		for i, attributes := range []int16{0, 0x10, 0x40} {
			b := store(t, kmsg.RecordBatch{FirstOffset: int64(100 * i), Attributes: attributes | int16(codec),
				LastOffsetDelta: 5, FirstTimestamp: int64(1000 - i), MaxTimestamp: 2000, ProducerID: int64(i)}, everyKind()...)
			batches, want = append(batches, b), append(want, theirs(t, b, 0)...)
			joined(t, fmt.Sprintf("%s, %d batches", name, i+1), batches, want)
		}
	}
}

// Join takes what comes before a batch that it cannot read, and before the limit.
func TestJoinEnds(t *testing.T) {
	good := store(t, kmsg.RecordBatch{LastOffsetDelta: 5, MaxTimestamp: 5}, everyKind()...)
	marker := store(t, kmsg.RecordBatch{Attributes: 0x30, MaxTimestamp: 5}, record(0, 0, []byte("k"), nil))
	damaged := slices.Clone(good)
	damaged[HeaderBytes] += 2
	size := 0
	for _, r := range plain(t, good) {
		size += recordBytes(r)
	}
	for _, c := range []struct {
		why     string
		batches []Batch
		most    int
		want    int
	}{
		{"a marker follows", []Batch{good, good, marker, good}, math.MaxInt, 2},
		{"a damaged one follows", []Batch{good, good, good, damaged}, math.MaxInt, 3},
		{"a damaged one comes second", []Batch{good, damaged}, math.MaxInt, 0},
		{"a damaged one comes first", []Batch{damaged, good, good}, math.MaxInt, 0},
		{"all fit", []Batch{good, good, good}, HeaderBytes + 3*size, 3},
		{"two fit", []Batch{good, good, good}, HeaderBytes + 3*size - 1, 2},
		{"one fits", []Batch{good, good, good}, HeaderBytes + 2*size - 1, 0},
		{"there are none", nil, math.MaxInt, 0},
	} {
		b, n := Join(c.batches, c.most)
		if n != c.want || n > 0 && b.Count() != n*good.Count() {
			t.Errorf("%s: %d were joined, %x", c.why, n, []byte(b))
		}
	}
}
