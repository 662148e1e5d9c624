package wire

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
)

// broker is one that keeps batches as producers send them, with topic orders of one partition.
type broker struct {
	t    *testing.T
	ctx  context.Context
	fake *kafkatest.Cluster
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return &broker{t: t, ctx: ctx, fake: kafkatest.Start(t, kfake.SeedTopics(1, "orders"))}
}

func (b *broker) must(what string, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func (b *broker) open(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	return b.fake.Client(append(opts, kgo.DefaultProduceTopic("orders"))...)
}

// sent is what every producer sends; it shrinks with each codec, or librdkafka would leave
// it as it is.
func sent() []*kgo.Record {
	long := []byte(strings.Repeat("compressible ", 100))
	return []*kgo.Record{
		{Timestamp: time.UnixMilli(1_700_000_000_000), Key: []byte("k"), Value: long},
		{Timestamp: time.UnixMilli(1_699_999_999_000), Value: long, Headers: []kgo.RecordHeader{
			{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte{}}, {Key: "h"}}},
		{Timestamp: time.UnixMilli(1_700_000_000_000), Key: []byte("gone")}, // a tombstone
		{Timestamp: time.UnixMilli(4_000_000_000_000), Key: []byte{}, Value: []byte{}},
		{Timestamp: time.UnixMilli(1_700_000_000_007), Key: []byte("k"), Value: long},
	}
}

// shown are sent records with the offsets that they got.
func shown(first int64) []string {
	var all []string
	for i, r := range sent() {
		r.Offset = first + int64(i)
		all = append(all, show(r))
	}
	return all
}

// expects is what a whole log of one producer looks like.
type expects struct {
	codec         kgo.CompressionCodecType
	transactional bool
	producer      bool // has an id
	bases         []int64
}

// check walks through the log: data of five records each, and the markers between.
func (b *broker) check(e expects) {
	b.t.Helper()
	var bases []int64
	next := int64(0)
	for data := b.fake.Stored("orders", 0); len(data) > 0; {
		raw, rest, err := Next(data)
		b.must("Next", err)
		data = rest
		if raw.Base() != next || raw.Obstacle() != "" || raw.Magic() != 2 {
			b.t.Errorf("base %d, obstacle %q, magic %d; want %d", raw.Base(), raw.Obstacle(), raw.Magic(), next)
		}
		next = raw.Last() + 1
		if raw.Control() {
			if raw.Count() != 1 || !raw.Transactional() {
				b.t.Errorf("the marker at %d has %d records", raw.Base(), raw.Count())
			}
			continue
		}
		bases = append(bases, raw.Base())
		b.checkData(raw, e)
	}
	if !slices.Equal(bases, e.bases) {
		b.t.Errorf("batches begin at %v, want %v", bases, e.bases)
	}
}

func (b *broker) checkData(raw Batch, e expects) {
	b.t.Helper()
	if raw.Count() != 5 || raw.Last() != raw.Base()+4 || raw.MaxTimestamp() != 4_000_000_000_000 ||
		raw.Transactional() != e.transactional || (raw.ProducerID() >= 0) != e.producer || raw.Codec() != e.codec {
		b.t.Errorf("at %d: %d records up to %d, newest %d, transactional %t, producer %d, codec %d; want %+v", raw.Base(),
			raw.Count(), raw.Last(), raw.MaxTimestamp(), raw.Transactional(), raw.ProducerID(), raw.Codec(), e)
	}
	want := shown(raw.Base())
	same(b.t, "as franz-go reads it", theirs(b.t, raw, 0), want)
	same(b.t, "rebuilt", ours(b.t, raw, raw.Base(), 0), want)
	same(b.t, "rebuilt from inside", ours(b.t, raw, raw.Base()+2, 1500), want[2:])
	stamped := slices.Clone(raw)
	stamped.Stamp(Producer{ID: 1, Epoch: 2, Transactional: true}, 3)
	same(b.t, "stamped", theirs(b.t, stamped, 0), shown(0))
}

// TestFranzBatches: what franz-go writes.
func TestFranzBatches(t *testing.T) {
	options := map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecNone: kgo.NoCompression(), kgo.CodecGzip: kgo.GzipCompression(), kgo.CodecSnappy: kgo.SnappyCompression(),
		kgo.CodecLz4: kgo.Lz4Compression(), kgo.CodecZstd: kgo.ZstdCompression(),
	}
	for codec, name := range codecs {
		batch := func() kgo.Opt { return kgo.ProducerBatchCompression(options[codec]) } // a client writes into its own
		linger := kgo.ProducerLinger(100 * time.Millisecond)                            // the five become one batch
		t.Run(name+" idempotent", func(t *testing.T) {
			b := newBroker(t)
			b.must("produce", b.open(batch(), linger).ProduceSync(b.ctx, sent()...).FirstErr())
			b.check(expects{codec: codec, producer: true, bases: []int64{0}})
		})
		t.Run(name+" nobody's", func(t *testing.T) {
			b := newBroker(t)
			client := b.open(batch(), linger, kgo.DisableIdempotentWrite())
			b.must("produce", client.ProduceSync(b.ctx, sent()...).FirstErr())
			b.check(expects{codec: codec, bases: []int64{0}})
		})
		t.Run(name+" transactional", func(t *testing.T) {
			b := newBroker(t)
			client := b.open(batch(), linger, kgo.TransactionalID("writer"))
			for _, commit := range []bool{true, false, true} {
				b.must("begin", client.BeginTransaction())
				b.must("produce", client.ProduceSync(b.ctx, sent()...).FirstErr())
				b.must("end", client.EndTransaction(b.ctx, kgo.TransactionEndTry(commit)))
			}
			b.check(expects{codec: codec, producer: true, transactional: true, bases: []int64{0, 6, 12}})
		})
	}
}

// TestConfluentBatches: what librdkafka writes.
func TestConfluentBatches(t *testing.T) {
	for codec, name := range codecs {
		for _, kind := range []string{"nobody's", "idempotent", "transactional"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				b := newBroker(t)
				settings := ck.ConfigMap{"bootstrap.servers": b.fake.Address(), "linger.ms": 100,
					"compression.type": name, "enable.metrics.push": false, "enable.idempotence": kind != "nobody's"}
				if kind == "transactional" {
					settings["transactional.id"] = "writer"
				}
				producer, err := ck.NewProducer(&settings)
				b.must("open", err)
				defer producer.Close()
				if kind != "transactional" {
					b.confluent(producer)
					b.check(expects{codec: codec, producer: kind == "idempotent", bases: []int64{0}})
					return
				}
				b.must("init", producer.InitTransactions(b.ctx))
				for _, end := range []func(context.Context) error{producer.CommitTransaction, producer.AbortTransaction} {
					b.must("begin", producer.BeginTransaction())
					b.confluent(producer)
					b.must("end", end(b.ctx))
				}
				b.check(expects{codec: codec, producer: true, transactional: true, bases: []int64{0, 6}})
			})
		}
	}
}

// confluent sends the records and waits until the broker has them.
func (b *broker) confluent(producer *ck.Producer) {
	b.t.Helper()
	topic := "orders"
	reports := make(chan ck.Event, len(sent())) // one for each record
	for _, r := range sent() {
		m := &ck.Message{TopicPartition: ck.TopicPartition{Topic: &topic}, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, ck.Header{Key: h.Key, Value: h.Value})
		}
		b.must("produce", producer.Produce(m, reports))
	}
	for range sent() {
		select {
		case report := <-reports:
			b.must(fmt.Sprint("report of ", report), report.(*ck.Message).TopicPartition.Error)
		case <-b.ctx.Done():
			b.t.Fatal("no report came")
		}
	}
}
