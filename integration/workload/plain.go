package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// PlainSpec says what [Plain] writes.
type PlainSpec struct {
	Seed       uint64
	Records    int
	Partitions int
	Large      int  // so many of the records have a value of 700 KB
	Uncarried  bool // add one record with timestamp 0 to partition 0, at the end; see there
}

const (
	largeValue = 700 << 10
	plainBatch = 50 // records acknowledged at once
)

// Plain writes everything that a record may be, without transactions: null and
// empty keys and values, bytes that are no UTF-8, headers in every form, and
// timestamps from 2001, before 1970, in the future and none at all (-1). The
// topic needs [KeepConfigs]. Every form of each field comes within the first 60
// records, and all combinations occur.
//
// Uncarried adds a record with timestamp 0, which librdkafka cannot write: a
// record lane must stop in front of it rather than change it.
func Plain(ctx context.Context, bootstrap, topic string, spec PlainSpec) (Written, error) {
	var written Written
	random := newRand(spec.Seed)
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	var clients []*kgo.Client
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	for _, codec := range codecs {
		client, err := newProducer(bootstrap, "", kgo.ManualFlushing(), kgo.ProducerBatchCompression(codec))
		if err != nil {
			return written, err
		}
		clients = append(clients, client)
	}
	for batch := 0; written.Visible < spec.Records; batch++ {
		n := min(plainBatch, spec.Records-written.Visible)
		records := make([]*kgo.Record, n)
		for i := range records {
			number := written.Visible + i
			records[i] = plainRecord(random, number, max(1, spec.Partitions))
			if number%7 == 3 && number/7 < spec.Large { // spread, and never the only kind in a batch
				records[i].Value = noise(random, largeValue)
			}
		}
		if err := produce(ctx, clients[batch%len(clients)], topic, records); err != nil {
			return written, fmt.Errorf("plain data: %w", err)
		}
		written.Visible += n
	}
	if !spec.Uncarried {
		return written, nil
	}
	written.Visible++
	return written, produce(ctx, clients[0], topic, []*kgo.Record{
		{Key: []byte("uncarried"), Value: []byte("timestamp 0"), Timestamp: time.UnixMilli(0)},
	})
}

func noise(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// plainRecord takes each form in turn for the first records, then at random.
func plainRecord(random *rand.Rand, number, partitions int) *kgo.Record {
	pick := func(n int) int {
		if number < 60 {
			return number % n
		}
		return random.IntN(n)
	}
	text := strconv.Itoa(number)
	keys := [][]byte{nil, {}, []byte("key-" + text), {0xff, 0xfe, 0x00, byte(number)}}
	values := [][]byte{nil, {}, []byte("value " + text), {0x00, 0xc3, 0x28, byte(number)}, document(random, number, 300)}
	return &kgo.Record{
		Partition: int32(random.IntN(partitions)),
		Key:       keys[pick(len(keys))],
		Value:     values[pick(len(values))],
		Headers:   headers(pick(9), text),
		Timestamp: timestamp(pick(7), number),
	}
}

func headers(form int, text string) []kgo.RecordHeader {
	switch form {
	case 0:
		return nil
	case 1:
		return []kgo.RecordHeader{{Key: "number", Value: []byte(text)}}
	case 2: // the order counts, and so does a key that comes twice
		return []kgo.RecordHeader{
			{Key: "b", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte("3")},
		}
	case 3:
		return []kgo.RecordHeader{
			{Key: "b", Value: []byte("3")}, {Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte("1")},
		}
	case 4:
		return []kgo.RecordHeader{{Key: "null", Value: nil}}
	case 5:
		return []kgo.RecordHeader{{Key: "null", Value: []byte{}}} // empty, whatever its name says
	case 6:
		return []kgo.RecordHeader{{Key: "", Value: []byte("empty key")}, {Key: "", Value: nil}}
	case 7:
		return []kgo.RecordHeader{{Key: "\xff\xfe", Value: []byte{0x00, 0xff}}}
	default:
		many := make([]kgo.RecordHeader, 40)
		for i := range many {
			many[i] = kgo.RecordHeader{Key: "same", Value: []byte(strconv.Itoa(i))}
		}
		return many
	}
}

func timestamp(form, number int) time.Time {
	switch form {
	case 0:
		return time.UnixMilli(1_000_000_000_000 + int64(number)) // 2001
	case 1:
		return time.UnixMilli(-5)
	case 2:
		return time.UnixMilli(-1500 - int64(number))
	case 3:
		return time.UnixMilli(-1) // Kafka's "no timestamp"
	case 4:
		return time.UnixMilli(4_000_000_000_000 + int64(number)) // 2096
	default:
		return time.Time{} // the time of writing
	}
}
