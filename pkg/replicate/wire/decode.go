package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz-go's own decoder is not used: it counts a time in nanoseconds, so that one
// beyond the year 2262 (microseconds taken for milliseconds) becomes another one,
// and it passes over what does not fit together.

// Records gives the records of a batch, of any magic, from an offset on, one after
// another as they are unpacked, until yield has enough. That they ascend is what
// [Rebuilt] promises; a batch where they do not is damaged, or was written so. What
// was given stays as it is, and is good even if an error follows.
func Records(b Batch, from int64, yield func(*kgo.Record) (more bool)) error {
	return decode(b, from, func() {}, yield)
}

// decode is Records; large is called before a record is unpacked that takes much memory.
func decode(b Batch, from int64, large func(), yield func(*kgo.Record) (more bool)) error {
	d := decoder{b, large}
	read := d.records
	if b.Magic() < 2 {
		read = d.messages
	}
	before := int64(math.MinInt64)
	enough := false
	err := read(func(r *kgo.Record) error {
		if r.Offset <= before {
			return fmt.Errorf("offset %d comes after %d", r.Offset, before)
		}
		before = r.Offset
		if r.Offset >= from && !yield(r) {
			enough = true
			return errEnough
		}
		return nil
	})
	if err != nil && !enough {
		return fmt.Errorf("decode the batch at offset %d: %w", b.Base(), err)
	}
	return nil
}

// errEnough ends the reading of a batch before its end.
var errEnough = errors.New("enough")

// decoder unpacks a batch.
type decoder struct {
	Batch
	large func() // is called before a record is unpacked that takes much memory
}

// records reads a batch of magic 2; a marker holds none.
func (b decoder) records(yield func(*kgo.Record) error) error {
	if b.Control() {
		return nil
	}
	w, err := unpacked(b.Batch[HeaderBytes:], b.Codec())
	if err != nil {
		return err
	}
	defer w.close()
	w.large = b.large
	for i := range b.Count() {
		head, err := w.ahead(binary.MaxVarintLen64)
		if err != nil {
			return err
		}
		length, n := binary.Varint(head)
		if n <= 0 || length < 0 || length > math.MaxInt32 {
			return fmt.Errorf("it breaks off at record %d of %d", i, b.Count())
		}
		whole, err := w.ahead(n + int(length))
		if err != nil {
			return fmt.Errorf("record %d of %d: %w", i, b.Count(), err)
		}
		if len(whole) < n+int(length) {
			return fmt.Errorf("it breaks off at record %d of %d", i, b.Count())
		}
		if headers(whole[n:]) > MostHeaders {
			return fmt.Errorf("record %d of %d: %w", i, b.Count(), &TooMuchError{"headers in a record", MostHeaders})
		}
		var r kmsg.Record
		if err := r.ReadFrom(whole); err != nil {
			return fmt.Errorf("record %d of %d: %w", i, b.Count(), err)
		}
		w.take(n + int(length))
		if r.OffsetDelta < 0 || r.OffsetDelta > b.int32(atLastOffsetDelta) {
			return fmt.Errorf("record %d of %d claims offset %d, and the last is %d",
				i, b.Count(), b.Base()+int64(r.OffsetDelta), b.Last())
		}
		if err := yield(b.record(&r)); err != nil {
			return err
		}
	}
	rest, err := w.ahead(1)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("something follows its %d records", b.Count())
	}
	return err
}

// headers is the number of headers that a record claims, of which each takes 40 bytes of
// memory and 2 of the batch; 0 where it breaks off before.
func headers(record []byte) int64 {
	if len(record) == 0 {
		return 0
	}
	record = record[1:]    // attributes
	for field := range 5 { // two deltas, key, value, headers
		number, n := binary.Varint(record)
		if n <= 0 {
			return 0
		}
		record = record[n:]
		switch {
		case field == 4:
			return number
		case field < 2 || number < 0:
		case number > int64(len(record)):
			return 0
		default:
			record = record[number:]
		}
	}
	return 0
}

// record gives a record the offset and the time that its batch says.
func (b decoder) record(r *kmsg.Record) *kgo.Record {
	at := b.int64(atBaseTimestamp) + r.TimestampDelta64
	if b.attributes()&logAppendTimeBit != 0 {
		at = b.MaxTimestamp()
	}
	made := &kgo.Record{Key: r.Key, Value: r.Value, Offset: b.Base() + int64(r.OffsetDelta), Timestamp: time.UnixMilli(at),
		ProducerID: b.ProducerID()}
	for _, h := range r.Headers {
		made.Headers = append(made.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return made
}

// messages reads a message of magic 0 or 1, or those that it holds compressed.
func (b decoder) messages(yield func(*kgo.Record) error) error {
	outer, err := b.message()
	if err != nil {
		return err
	}
	if b.Codec() == 0 {
		return yield(outer)
	}
	shift := int64(0)
	if b.Magic() == 1 && b.Base() != 0 {
		// With magic 1 the offsets inside are relative, and the outer one is the last. Where
		// it is 0, an old librdkafka wrote it, and they are not.
		last := int64(0)
		if err := b.inside(outer, func(m *kgo.Record) error { last = m.Offset; return nil }); err != nil {
			return err
		}
		if last > b.Base() {
			return fmt.Errorf("it holds offset %d", last)
		}
		shift = b.Base() - last
	}
	return b.inside(outer, func(m *kgo.Record) error {
		m.Offset += shift
		return yield(m)
	})
}

// inside reads the messages that one holds compressed, with the offsets that they have there.
func (b decoder) inside(outer *kgo.Record, yield func(*kgo.Record) error) error {
	w, err := unpacked(outer.Value, b.Codec())
	if err != nil {
		return err
	}
	defer w.close()
	w.large = b.large
	for none := true; ; none = false {
		head, err := w.ahead(atChecksum)
		if err != nil {
			return err
		}
		if len(head) == 0 {
			if none {
				return errors.New("a compressed message holds none")
			}
			return nil
		}
		whole := head
		if len(head) == atChecksum {
			if length := int64(int32(binary.BigEndian.Uint32(head[atLength:]))) + frame; length > atChecksum {
				if whole, err = w.ahead(int(length)); err != nil {
					return err
				}
			}
		}
		one, _, err := Next(whole)
		if err != nil {
			return err
		}
		m, err := one.message()
		if err != nil {
			return err
		}
		if one.Codec() != 0 {
			return errors.New("a compressed message holds another")
		}
		if b.Magic() == 1 && b.Batch[atChecksum]&logAppendTimeBit != 0 {
			m.Timestamp = outer.Timestamp // a broker writes its time there only
		}
		w.take(len(one))
		if err := yield(m); err != nil {
			return err
		}
	}
}

// message reads one message of magic 0, which has no time, or 1.
func (b Batch) message() (*kgo.Record, error) {
	const atOldChecksum = atMagic - 4
	if got, want := crc32.ChecksumIEEE(b[atMagic:]), uint32(b.int32(atOldChecksum)); got != want {
		return nil, fmt.Errorf("the message at offset %d is damaged: its checksum is %08x, not %08x", b.Base(), got, want)
	}
	made := &kgo.Record{Offset: b.Base(), Timestamp: time.UnixMilli(-1), ProducerID: -1}
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
