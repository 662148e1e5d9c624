package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unhex reads hex with a comment after each "//".
func unhex(t *testing.T, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(code), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var codecs = map[kgo.CompressionCodecType]string{
	kgo.CodecNone: "none", kgo.CodecGzip: "gzip", kgo.CodecSnappy: "snappy", kgo.CodecLz4: "lz4", kgo.CodecZstd: "zstd",
}

// unpacker serves every test: one for each call would leave gigabytes to the collector.
var unpacker = kgo.DefaultDecompressor()

// pack compresses what a producer would send.
func pack(t testing.TB, codec kgo.CompressionCodecType, body []byte) []byte {
	t.Helper()
	c := compressors[codec]
	if c == nil {
		return body
	}
	packed, used := c.Compress(&bytes.Buffer{}, body)
	if used != codec {
		t.Fatalf("codec %d was used for %d", used, codec)
	}
	return packed
}

// record is one of a batch to be stored: number and age count from the batch's base.
func record(number int32, age int64, key, value []byte, headers ...kmsg.Header) kmsg.Record {
	r := kmsg.Record{OffsetDelta: number, TimestampDelta64: age, Key: key, Value: value, Headers: headers}
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	return r
}

// store writes a batch as a broker would have it, with no line of the product. Length,
// checksum, magic and records are filled in; the rest is the caller's to say.
func store(t testing.TB, h kmsg.RecordBatch, records ...kmsg.Record) Batch {
	t.Helper()
	var body []byte
	for _, r := range records {
		body = r.AppendTo(body)
	}
	h.Magic, h.NumRecords = 2, int32(len(records))
	h.Records = pack(t, kgo.CompressionCodecType(h.Attributes&0x07), body)
	return finish(h)
}

// finish fills in length and checksum.
func finish(h kmsg.RecordBatch) Batch {
	h.Length = int32(len(h.AppendTo(nil)) - 12)
	h.CRC = int32(crc32.Checksum(h.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))
	return h.AppendTo(nil)
}

// message0 and message1 write one message of the older formats.
func message0(offset int64, attributes int8, key, value []byte) []byte {
	m := kmsg.MessageV0{Offset: offset, Attributes: attributes, Key: key, Value: value}
	m.MessageSize = int32(len(m.AppendTo(nil)) - 12)
	m.CRC = int32(crc32.ChecksumIEEE(m.AppendTo(nil)[16:]))
	return m.AppendTo(nil)
}

func message1(offset, at int64, attributes int8, key, value []byte) []byte {
	m := kmsg.MessageV1{Offset: offset, Magic: 1, Timestamp: at, Attributes: attributes, Key: key, Value: value}
	m.MessageSize = int32(len(m.AppendTo(nil)) - 12)
	m.CRC = int32(crc32.ChecksumIEEE(m.AppendTo(nil)[16:]))
	return m.AppendTo(nil)
}

// show writes a record such that null and empty differ: `5@1000 "k"=null h=""`.
func show(r *kgo.Record) string {
	part := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	text := fmt.Sprintf("%d@%d %s=%s", r.Offset, r.Timestamp.UnixMilli(), part(r.Key), part(r.Value))
	for _, h := range r.Headers {
		text += " " + h.Key + "=" + part(h.Value)
	}
	return text
}

// theirs decodes batches of any magic the way franz-go's consumer does.
func theirs(t testing.TB, raw []byte, from int64) []string {
	t.Helper()
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from},
		&kmsg.FetchResponseTopicPartition{RecordBatches: raw}, unpacker, nil)
	if got.Err != nil {
		t.Fatalf("franz-go cannot decode %x: %v", raw, got.Err)
	}
	all := []string{}
	for _, r := range got.Records {
		if r.Attrs.TimestampType() < 0 {
			r.Timestamp = time.UnixMilli(-1) // magic 0 has none
		}
		all = append(all, show(r))
	}
	return all
}

// held reads a new batch and holds it against what is promised of one.
func held(t testing.TB, b Batch) []*kgo.Record {
	t.Helper()
	again, rest, err := Next(b)
	if err != nil || len(rest) != 0 || again.Obstacle() != "" || again.Base() != 0 || again.LeaderEpoch() != -1 ||
		again.ProducerID() != -1 || again.Transactional() || again.Control() {
		t.Fatalf("made %x: %v, %d bytes too many, obstacle %q", []byte(b), err, len(rest), again.Obstacle())
	}
	newest := int64(-1 << 63)
	all := plain(t, again)
	for i, r := range all {
		if r.Offset != int64(i) {
			t.Fatalf("%x: record %d has offset %d", []byte(b), i, r.Offset)
		}
		newest = max(newest, r.Timestamp.UnixMilli())
	}
	if len(all) != again.Count() || again.MaxTimestamp() != newest {
		t.Fatalf("%x: %d records, the largest time is %d, not %d", []byte(b), len(all), again.MaxTimestamp(), newest)
	}
	return all
}

// remade is what Rebuild makes, which it must.
func remade(t testing.TB, b Batch, from int64, most int) []Rebuilt {
	t.Helper()
	made, _, err := Rebuild(b, from, most)
	if err != nil {
		t.Fatalf("Rebuild(%x, %d, %d): %v", []byte(b), from, most, err)
	}
	return made
}

// split rebuilds into small batches.
func split(t testing.TB, b Batch, from int64, most int) []Batch {
	t.Helper()
	var all []Batch
	for _, m := range remade(t, b, from, most) {
		all = append(all, m.Batch)
	}
	return all
}

// joined holds what becomes of batches against the records that they have; what stands
// before the @, an offset, is no part of them.
func joined(t testing.TB, what string, batches []Batch, want []string) {
	t.Helper()
	b, n := Join(batches, math.MaxInt)
	if n != len(batches) && len(batches) > 1 {
		t.Fatalf("%s: %d of %d batches were joined", what, n, len(batches))
	}
	if n < 2 {
		return
	}
	if b.Codec() != batches[0].Codec() {
		t.Errorf("%s: codec %d became %d", what, batches[0].Codec(), b.Codec())
	}
	var got, bare []string
	for _, r := range held(t, b) {
		got = append(got, show(r)[strings.Index(show(r), "@"):])
	}
	for _, text := range want {
		bare = append(bare, text[strings.Index(text, "@"):])
	}
	same(t, what, got, bare)
}

// ours rebuilds, holds each new batch against what it promises, and gives the records,
// each with the offset that it is said to have had.
func ours(t testing.TB, b Batch, from int64, most int) []string {
	t.Helper()
	all := []string{}
	for _, m := range remade(t, b, from, most) {
		if len(m.Offsets) != m.Batch.Count() {
			t.Fatalf("Rebuild(%x) made %d records of offsets %v", []byte(b), m.Batch.Count(), m.Offsets)
		}
		for i, r := range held(t, m.Batch) {
			r.Offset = m.Offsets[i]
			all = append(all, show(r))
		}
	}
	return all
}

// plain decodes a batch with kmsg alone, as franz-go's consumer does but for times, which
// that one turns into nanoseconds: beyond the year 2262 they would become others.
func plain(t testing.TB, b Batch) []*kgo.Record {
	t.Helper()
	var h kmsg.RecordBatch
	if err := h.ReadFrom(b); err != nil {
		t.Fatalf("%x: %v", []byte(b), err)
	}
	body, err := unpacker.Decompress(h.Records, kgo.CompressionCodecType(h.Attributes&0x07))
	if err != nil {
		t.Fatalf("%x: %v", []byte(b), err)
	}
	var all []*kgo.Record
	for range h.NumRecords {
		var in kmsg.Record
		if err := in.ReadFrom(body); err != nil {
			t.Fatalf("%x: record %d: %v", []byte(b), len(all), err)
		}
		r := &kgo.Record{Offset: h.FirstOffset + int64(in.OffsetDelta), Key: in.Key, Value: in.Value,
			Timestamp: time.UnixMilli(h.FirstTimestamp + in.TimestampDelta64)}
		for _, one := range in.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: one.Key, Value: one.Value})
		}
		all = append(all, r)
		body = body[len(in.AppendTo(nil)):]
	}
	if len(body) != 0 {
		t.Fatalf("%x: %d bytes follow the records", []byte(b), len(body))
	}
	return all
}

// same compares records; what names the case.
func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got  %s\n want %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

// sealOld makes the checksum of an old message right again.
func sealOld(b []byte) {
	binary.BigEndian.PutUint32(b[12:], crc32.ChecksumIEEE(b[16:]))
}
