package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// handmade is a batch in which a test may spoil whatever it wants: the records
// first, then the header, then the bytes. No line of the product is in it.
type handmade struct {
	kmsg.RecordBatch
	inside []kmsg.Record
	codec  kgo.CompressionCodec
	spoil  func(whole []byte) []byte // after the checksum
}

// batchOf has n records with keys, a millisecond apart.
func batchOf(n int, first time.Time) *handmade {
	h := &handmade{RecordBatch: kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(n - 1),
		FirstTimestamp: first.UnixMilli(), MaxTimestamp: first.UnixMilli() + int64(n-1),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n),
	}}
	for i := range n {
		h.inside = append(h.inside, kmsg.Record{OffsetDelta: int32(i), TimestampDelta64: int64(i),
			Key: fmt.Appendf(nil, "key %d", i), Value: []byte("value")})
	}
	return h
}

// bytes is the batch as it goes out; header fields are what the test left in them.
func (h *handmade) bytes(t *testing.T) []byte {
	t.Helper()
	var body []byte
	for _, r := range h.inside {
		r.Length = int32(len(r.AppendTo(nil)) - 1) // whose own length is one byte as long as it is 0
		body = r.AppendTo(body)
	}
	if h.codec != (kgo.CompressionCodec{}) {
		compressor, err := kgo.DefaultCompressor(h.codec)
		must(t, err)
		var used kgo.CompressionCodecType
		body, used = compressor.Compress(&bytes.Buffer{}, body)
		h.Attributes |= int16(used)
	}
	b := h.RecordBatch
	b.Records = body
	const frame, checked = 12, 21
	b.Length = int32(len(b.AppendTo(nil)) - frame)
	whole := b.AppendTo(nil)
	binary.BigEndian.PutUint32(whole[checked-4:], crc32.Checksum(whole[checked:], crc32.MakeTable(crc32.Castagnoli)))
	if h.spoil != nil {
		whole = h.spoil(whole)
	}
	return whole
}

// talker sends single requests to a cluster of one broker. Which versions of them
// it may use is an option: by these a broker takes it for an older client.
type talker struct {
	t      *testing.T
	ctx    context.Context
	client *kgo.Client
}

func newTalker(ctx context.Context, t *testing.T, bootstrap string, opts ...kgo.Opt) *talker {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(bootstrap))...)
	must(t, err)
	t.Cleanup(client.Close)
	return &talker{t: t, ctx: ctx, client: client}
}

// direct sends a request that the client would not route.
func direct[T kmsg.Response](k *talker, request kmsg.Request) T {
	k.t.Helper()
	answer, err := k.client.SeedBrokers()[0].Request(k.ctx, request)
	must(k.t, err)
	return answer.(T)
}

// produce sends the bytes of the partition, once for each of records, and gives
// what each answer says.
func (k *talker) produce(transactional *string, topic string, partition int32,
	records ...[]byte) []kmsg.ProduceResponseTopicPartition {
	k.t.Helper()
	request := kmsg.NewPtrProduceRequest()
	request.TransactionID, request.Acks, request.TimeoutMillis = transactional, -1, 10_000
	wanted := kmsg.NewProduceRequestTopic()
	wanted.Topic = topic
	for _, r := range records {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = partition, r
		wanted.Partitions = append(wanted.Partitions, p)
	}
	request.Topics = append(request.Topics, wanted)
	answer := direct[*kmsg.ProduceResponse](k, request)
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) == 0 {
		k.t.Fatalf("the broker does not answer about %s: %+v", topic, answer)
	}
	return answer.Topics[0].Partitions
}

// log is what a partition holds, as the broker stored it. One answer ends with a
// segment.
func (k *talker) log(topic string, partition int32) []byte {
	k.t.Helper()
	var all []byte
	for from, end := int64(0), int64(1); from < end; {
		request := kmsg.NewPtrFetchRequest()
		request.MaxBytes, request.SessionEpoch = 64<<20, -1
		wanted := kmsg.NewFetchRequestTopic()
		wanted.Topic = topic
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, 64<<20
		wanted.Partitions = append(wanted.Partitions, p)
		request.Topics = append(request.Topics, wanted)
		got := direct[*kmsg.FetchResponse](k, request).Topics[0].Partitions[0]
		must(k.t, kerr.ErrorForCode(got.ErrorCode))
		all, end = append(all, got.RecordBatches...), got.HighWatermark
		split := batches(k.t, got.RecordBatches)
		if len(split) == 0 {
			break
		}
		last := split[len(split)-1]
		from = last.FirstOffset + int64(last.LastOffsetDelta) + 1
	}
	return all
}

// batches splits a log; what is left behind the last whole batch is left out.
func batches(t *testing.T, log []byte) []kmsg.RecordBatch {
	t.Helper()
	var all []kmsg.RecordBatch
	for len(log) > 12 {
		size := 12 + int(binary.BigEndian.Uint32(log[8:]))
		if size > len(log) {
			break
		}
		var b kmsg.RecordBatch
		must(t, b.ReadFrom(log[:size]))
		all, log = append(all, b), log[size:]
	}
	return all
}

// name is an error as Kafka calls it.
func name(code int16) string {
	if err, ok := kerr.ErrorForCode(code).(*kerr.Error); ok {
		return err.Message
	}
	return "OK"
}

// changes tells how the broker stored a batch otherwise than it was sent, beside
// its leader's epoch; times are told from a moment on.
func changes(t *testing.T, sent []byte, stored kmsg.RecordBatch, began time.Time) string {
	t.Helper()
	was := batches(t, sent)[0]
	var all []string
	field := func(name string, was, is any) {
		if was != is {
			all = append(all, fmt.Sprintf("%s %v became %v", name, was, is))
		}
	}
	moment := func(at int64) string {
		if at >= began.UnixMilli() {
			return "the time of writing"
		}
		return fmt.Sprint(at - began.Add(-time.Hour).UnixMilli())
	}
	field("attributes", was.Attributes, stored.Attributes)
	field("last offset delta", was.LastOffsetDelta, stored.LastOffsetDelta)
	field("count", was.NumRecords, stored.NumRecords)
	field("base timestamp", moment(was.FirstTimestamp), moment(stored.FirstTimestamp))
	field("max timestamp", moment(was.MaxTimestamp), moment(stored.MaxTimestamp))
	field("producer", [3]int64{was.ProducerID, int64(was.ProducerEpoch), int64(was.FirstSequence)},
		[3]int64{stored.ProducerID, int64(stored.ProducerEpoch), int64(stored.FirstSequence)})
	if !bytes.Equal(was.Records, stored.Records) {
		all = append(all, "other bytes")
	}
	if all == nil {
		return "as sent"
	}
	return strings.Join(all, ", ")
}
