package source

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// way is a lane to read: an implementation of the door, and the broker that it meets.
type way struct {
	name    string
	batches bool
	broker  []kfake.Opt
}

var (
	recordLane = way{name: "record"}
	batchLane  = way{name: "batch", batches: true}
	// Fetch below v13 names topics instead of their ids.
	oldLane = way{name: "batch from an old broker", batches: true,
		broker: []kfake.Opt{kfake.MaxVersions(kversion.V2_8_0())}}
)

// onLanes runs a test in every lane, each with a source of its own.
func onLanes(t *testing.T, test func(*fixture), opts ...kfake.Opt) {
	t.Helper()
	on(t, []way{recordLane, batchLane, oldLane}, test, opts...)
}

// onBatchLanes does so with what only whole batches have.
func onBatchLanes(t *testing.T, test func(*fixture), opts ...kfake.Opt) {
	t.Helper()
	on(t, []way{batchLane, oldLane}, test, opts...)
}

func on(t *testing.T, lanes []way, test func(*fixture), opts ...kfake.Opt) {
	t.Helper()
	t.Parallel()
	for _, lane := range lanes {
		t.Run(lane.name, func(t *testing.T) { test(newFixture(t, lane, opts...)) })
	}
}

// fixture is a source with topic orders of two partitions, and a reader of it.
type fixture struct {
	way
	t      *testing.T
	ctx    context.Context
	fake   *kafkatest.Cluster
	client *kgo.Client // transactional
	plain  *kgo.Client
	reader interface {
		Assign([]chunk.Position) error
		Next(context.Context, Limit) (chunk.Chunk, error)
		Close() error
	}
	most    int // see chunk.Position
	rack    string
	leftOut func(context.Context, chunk.Written) (bool, error)

	mu       sync.Mutex
	rebuilt  map[string]int // batches, by reason
	answers  []says         // that a scripted broker has left
	asked    []int64        // offsets of orders/0 that it was asked for
	epochs   []int32        // of the sessions that it was asked in
	troubles []error        // that were told
}

var (
	orders  = chunk.Partition{Topic: "orders"}
	orders1 = chunk.Partition{Topic: "orders", Number: 1}
)

// newFixture opens a source of one broker, unless an option says otherwise.
func newFixture(t *testing.T, lane way, opts ...kfake.Opt) *fixture {
	t.Helper()
	t.Parallel()
	fake := kafkatest.Start(t, slices.Concat([]kfake.Opt{kfake.SeedTopics(2, "orders")}, lane.broker, opts)...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	f := &fixture{way: lane, t: t, ctx: ctx, fake: fake, rebuilt: map[string]int{},
		client: fake.Writer(kgo.TransactionalID("writer")), plain: fake.Writer()}
	f.open(8 << 20)
	return f
}

// open opens a reader, and closes the one before.
func (f *fixture) open(answerBytes int) {
	f.t.Helper()
	f.close()
	cluster := kafka.Config{Name: "old", Properties: f.fake.Properties()}
	cluster.Properties["topic.metadata.propagation.max.ms"] = "100" // how long librdkafka hopes for a topic that is gone
	if f.rack != "" {
		cluster.Properties["client.rack"] = f.rack
	}
	trouble := func(err error) {
		f.t.Logf("trouble: %v", err)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.troubles = append(f.troubles, err)
	}
	var err error
	if f.batches {
		f.reader, err = OpenBatches(BatchesConfig{Cluster: cluster, AnswerBytes: answerBytes, Trouble: trouble,
			LeftOut: f.leftOut, Rebuilt: func(why string) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.rebuilt[why]++
			}})
	} else {
		f.reader, err = OpenRecords(Config{Flow: "old->new", PrefetchBytes: 1 << 20, PrefetchRecords: 1000,
			Cluster: cluster, Trouble: trouble})
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(f.close)
}

func (f *fixture) close() {
	if f.reader == nil {
		return
	}
	if err := f.reader.Close(); err != nil {
		f.t.Error(err)
	}
	f.reader = nil
}

func (f *fixture) must(what string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// begin writes n numbered records into an open transaction, each in a batch of its own.
func (f *fixture) begin(n int) {
	f.t.Helper()
	f.must("begin", f.client.BeginTransaction())
	f.more(n)
}

// more writes into the transaction that is open.
func (f *fixture) more(n int) {
	f.t.Helper()
	for _, r := range numbered(n) {
		r.Topic = "orders"
		f.must("produce", f.client.ProduceSync(f.ctx, r).FirstErr())
	}
}

func (f *fixture) end(commit bool) {
	f.t.Helper()
	f.must("end", f.client.EndTransaction(f.ctx, kgo.TransactionEndTry(commit)))
}

// numbered makes n records of one transaction or batch.
func numbered(n int) []*kgo.Record {
	all := make([]*kgo.Record, n)
	for i := range all {
		all[i] = &kgo.Record{Value: fmt.Append(nil, i), Timestamp: time.UnixMilli(int64(1000 + i))}
	}
	return all
}

// encode makes one batch of records.
func (f *fixture) encode(records ...*kgo.Record) wire.Batch {
	f.t.Helper()
	b, err := wire.Encode(records, kgo.CodecNone)
	f.must("encode", err)
	return b
}

// store writes a batch to the source as it is.
func (f *fixture) store(p chunk.Partition, b wire.Batch) {
	f.t.Helper()
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = -1, 10_000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = p.Topic, f.fake.TopicInfo(p.Topic).TopicID
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Partition, partition.Records = p.Number, b
	topic.Partitions = append(topic.Partitions, partition)
	request.Topics = append(request.Topics, topic)
	answer, err := f.plain.Broker(int(f.fake.LeaderFor(p.Topic, p.Number))).Request(f.ctx, request)
	f.must("store", err)
	f.must("store", kerr.ErrorForCode(answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode))
}

func (f *fixture) assign(at ...chunk.Position) {
	f.t.Helper()
	f.must("assign", f.reader.Assign(at))
}

func (f *fixture) from(at offsets.Source) chunk.Position {
	return chunk.Position{Partition: orders, Offset: at, Epoch: chunk.UnknownEpoch, Most: f.most}
}

// start is a position at the beginning.
func start(p chunk.Partition) chunk.Position {
	return chunk.Position{Partition: p, Epoch: chunk.UnknownEpoch}
}

// next makes one call of Next that brings news.
func (f *fixture) next() chunk.Chunk {
	f.t.Helper()
	for {
		c, err := f.reader.Next(f.ctx, Limit{Records: 100, Bytes: 1 << 20, Wait: 200 * time.Millisecond})
		if err != nil || f.ctx.Err() != nil {
			f.t.Fatalf("next: %v, %v", err, f.ctx.Err())
		}
		if len(c.Parts) > 0 {
			f.check(c)
			return c
		}
	}
}

// refusal reads until there is an error; nothing may come out before it.
func (f *fixture) refusal() error {
	f.t.Helper()
	for f.ctx.Err() == nil {
		c, err := f.reader.Next(f.ctx, Limit{Records: 10, Bytes: 1 << 20, Wait: time.Second})
		if len(c.Parts) != 0 {
			f.t.Fatalf("%v comes out", c.Parts)
		}
		if err != nil {
			return err
		}
	}
	f.t.Fatal("no error came")
	return nil
}

// silent is certain that nothing comes out for a while.
func (f *fixture) silent(why string) {
	f.t.Helper()
	for range 3 {
		c, err := f.reader.Next(f.ctx, Limit{Records: 10, Bytes: 1 << 20, Wait: 100 * time.Millisecond})
		if err != nil || len(c.Parts) != 0 {
			f.t.Errorf("%s: %v, %v", why, c.Parts, err)
		}
	}
}

// check holds a chunk against what it promises.
func (f *fixture) check(c chunk.Chunk) {
	f.t.Helper()
	n := 0
	seen := map[chunk.Partition]bool{}
	for _, part := range c.Parts {
		if seen[part.Partition] {
			f.t.Errorf("%s appears twice in a chunk", part.Partition)
		}
		seen[part.Partition] = true
		last := offsets.Source(-1)
		for _, r := range f.records(part) {
			n++
			if r.Offset <= last {
				f.t.Errorf("%s: offset %d comes after %d", part.Partition, r.Offset, last)
			}
			last = r.Offset
		}
		if part.Next <= last {
			f.t.Errorf("%s: progress is %d, and the last record has offset %d", part.Partition, part.Next, last)
		}
	}
	if n != c.Records {
		f.t.Errorf("the chunk says %d records and holds %d", c.Records, n)
	}
}

// records gives what a part holds; batches are decoded, and must be such as a broker takes.
func (f *fixture) records(part chunk.Part) []chunk.Record {
	f.t.Helper()
	all := slices.Clone(part.Records)
	for _, b := range part.Batches {
		raw, rest, err := wire.Next(b.Raw)
		if err != nil || len(rest) != 0 || raw.Obstacle() != "" || raw.Control() {
			f.t.Fatalf("%s: batch at %d: %v, %d bytes too many, obstacle %q, control %t",
				part.Partition, b.First, err, len(rest), raw.Obstacle(), raw.Control())
		}
		got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: raw.Base()},
			&kmsg.FetchResponseTopicPartition{RecordBatches: b.Raw}, kgo.DefaultDecompressor(), nil)
		if got.Err != nil || len(got.Records) != b.Count {
			f.t.Fatalf("%s: batch at %d has %d records, not %d: %v",
				part.Partition, b.First, len(got.Records), b.Count, got.Err)
		}
		for i, r := range got.Records {
			have := chunk.Record{Offset: b.First + offsets.Source(i), Timestamp: r.Timestamp.UnixMilli(),
				Key: r.Key, Value: r.Value}
			if b.Offsets != nil {
				have.Offset = b.Offsets[i]
			}
			for _, h := range r.Headers {
				have.Headers = append(have.Headers, chunk.Header{Key: h.Key, Value: h.Value})
			}
			all = append(all, have)
		}
	}
	return all
}

// all reads until every partition's progress is at least there, and gives the records.
func (f *fixture) all(ends map[chunk.Partition]offsets.Source) map[chunk.Partition][]chunk.Record {
	f.t.Helper()
	got := map[chunk.Partition][]chunk.Record{}
	for left := maps.Clone(ends); len(left) > 0; {
		for _, part := range f.next().Parts {
			if n := len(got[part.Partition]); n > 0 && len(f.records(part)) > 0 &&
				f.records(part)[0].Offset <= got[part.Partition][n-1].Offset {
				f.t.Errorf("%s: offset %d comes again", part.Partition, f.records(part)[0].Offset)
			}
			got[part.Partition] = append(got[part.Partition], f.records(part)...)
			if end, ok := left[part.Partition]; ok && part.Next >= end {
				delete(left, part.Partition)
			}
		}
	}
	return got
}

// upTo reads orders/0 until its progress is at least there, and gives the offsets of its
// records and its last part.
func (f *fixture) upTo(next offsets.Source) (seen []offsets.Source, last chunk.Part) {
	f.t.Helper()
	for last.Next < next {
		for _, part := range f.next().Parts {
			if part.Partition == orders {
				seen = append(seen, offsetsOf(f.records(part))...)
				last = part
			}
		}
	}
	return seen, last
}

func offsetsOf(records []chunk.Record) []offsets.Source {
	var all []offsets.Source
	for _, r := range records {
		all = append(all, r.Offset)
	}
	return all
}

// upward counts from one offset up to, not including, another.
func upward(from, to offsets.Source) []offsets.Source {
	var all []offsets.Source
	for ; from < to; from++ {
		all = append(all, from)
	}
	return all
}

// wasRebuilt compares how many batches could not travel as they were, where whole ones do.
func (f *fixture) wasRebuilt(want map[string]int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.batches && !maps.Equal(f.rebuilt, want) {
		f.t.Errorf("rebuilt %v, want %v", f.rebuilt, want)
	}
}
