package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz-go's own decoder is not used: it counts a time in nanoseconds, so that one
// beyond the year 2262 (microseconds taken for milliseconds) becomes another one,
// and it passes over what does not fit together.

var decompressor = kgo.DefaultDecompressor()

// decode reads the records from an offset on. That they ascend is what [Rebuilt]
// promises; a batch where they do not is damaged, or was written so.
func decode(b Batch, from int64) ([]*kgo.Record, error) {
	read := b.records
	if b.Magic() < 2 {
		read = b.messages
	}
	all, err := read()
	for i := 1; err == nil && i < len(all); i++ {
		if all[i].Offset <= all[i-1].Offset {
			err = fmt.Errorf("offset %d comes after %d", all[i].Offset, all[i-1].Offset)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decode the batch at offset %d: %w", b.Base(), err)
	}
	return all[sort.Search(len(all), func(i int) bool { return all[i].Offset >= from }):], nil
}

// records reads a batch of magic 2; a marker holds none.
func (b Batch) records() ([]*kgo.Record, error) {
	if b.Control() {
		return nil, nil
	}
	body, err := decompressor.Decompress(b[HeaderBytes:], b.Codec())
	if err != nil {
		return nil, err
	}
	const least = 7 // bytes of a record: a count that is a lie must not become memory
	all := make([]*kgo.Record, 0, min(b.Count(), len(body)/least))
	for i := range b.Count() {
		length, n := binary.Varint(body)
		if n <= 0 || length < 0 || length > int64(len(body)-n) {
			return nil, fmt.Errorf("it breaks off at record %d of %d", i, b.Count())
		}
		var r kmsg.Record
		if err := r.ReadFrom(body[:n+int(length)]); err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i, b.Count(), err)
		}
		body = body[n+int(length):]
		if r.OffsetDelta < 0 || r.OffsetDelta > b.int32(atLastOffsetDelta) {
			return nil, fmt.Errorf("record %d of %d claims offset %d, and the last is %d",
				i, b.Count(), b.Base()+int64(r.OffsetDelta), b.Last())
		}
		all = append(all, b.record(&r))
	}
	if len(body) > 0 {
		return nil, fmt.Errorf("%d bytes follow its %d records", len(body), b.Count())
	}
	return all, nil
}

// record gives a record the offset and the time that its batch says.
func (b Batch) record(r *kmsg.Record) *kgo.Record {
	at := b.int64(atBaseTimestamp) + r.TimestampDelta64
	if b.attributes()&logAppendTimeBit != 0 {
		at = b.MaxTimestamp()
	}
	made := &kgo.Record{Key: r.Key, Value: r.Value, Offset: b.Base() + int64(r.OffsetDelta), Timestamp: time.UnixMilli(at)}
	for _, h := range r.Headers {
		made.Headers = append(made.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return made
}

// messages reads a message of magic 0 or 1, or those that it holds compressed.
func (b Batch) messages() ([]*kgo.Record, error) {
	outer, err := b.message()
	if err != nil || b.Codec() == 0 {
		return []*kgo.Record{outer}, err
	}
	inside, err := decompressor.Decompress(outer.Value, b.Codec())
	if err != nil {
		return nil, err
	}
	var all []*kgo.Record
	for len(inside) > 0 {
		var one Batch
		if one, inside, err = Next(inside); err != nil {
			return nil, err
		}
		m, err := one.message()
		if err != nil {
			return nil, err
		}
		if one.Codec() != 0 {
			return nil, errors.New("a compressed message holds another")
		}
		if b.Magic() == 1 && b[atChecksum]&logAppendTimeBit != 0 {
			m.Timestamp = outer.Timestamp // a broker writes its time there only
		}
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, errors.New("a compressed message holds none")
	}
	// With magic 1 the offsets inside are relative, and the outer one is the last. Where
	// it is 0, an old librdkafka wrote it, and they are not.
	if last := all[len(all)-1].Offset; b.Magic() == 1 && b.Base() != 0 {
		if last > b.Base() {
			return nil, fmt.Errorf("it holds offset %d", last)
		}
		for _, m := range all {
			m.Offset += b.Base() - last
		}
	}
	return all, nil
}

// message reads one message of magic 0, which has no time, or 1.
func (b Batch) message() (*kgo.Record, error) {
	const atOldChecksum = atMagic - 4
	if got, want := crc32.ChecksumIEEE(b[atMagic:]), uint32(b.int32(atOldChecksum)); got != want {
		return nil, fmt.Errorf("the message at offset %d is damaged: its checksum is %08x, not %08x", b.Base(), got, want)
	}
	made := &kgo.Record{Offset: b.Base(), Timestamp: time.UnixMilli(-1)}
	switch b.Magic() {
	case 0:
		var m kmsg.MessageV0
		if err := m.ReadFrom(b); err != nil {
			return nil, err
		}
		made.Key, made.Value = m.Key, m.Value
	case 1:
		var m kmsg.MessageV1
		if err := m.ReadFrom(b); err != nil {
			return nil, err
		}
		made.Key, made.Value, made.Timestamp = m.Key, m.Value, time.UnixMilli(m.Timestamp)
	default:
		return nil, fmt.Errorf("a message has magic %d", b.Magic())
	}
	return made, nil
}
