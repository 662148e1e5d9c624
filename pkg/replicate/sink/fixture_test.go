package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

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

// way is a lane to write: an implementation of the door, and the broker that it meets.
type way struct {
	name    string
	batches bool
	v2      bool // of the transaction protocol is to be spoken
	broker  []kfake.Opt
}

var (
	recordLane = way{name: "record"}
	batchLane  = way{name: "batch", batches: true, v2: true}
	oldLane    = way{name: "batch to an old broker", batches: true,
		broker: []kfake.Opt{kfake.MaxVersions(kversion.V2_8_0())}}
)

// onLanes runs a test in every lane, each with a target of its own.
func onLanes(t *testing.T, test func(*fixture)) {
	t.Helper()
	on(t, []way{recordLane, batchLane, oldLane}, test)
}

// onBatchLanes does so with what only whole batches have.
func onBatchLanes(t *testing.T, test func(*fixture)) {
	t.Helper()
	on(t, []way{batchLane, oldLane}, test)
}

func on(t *testing.T, lanes []way, test func(*fixture)) {
	t.Helper()
	t.Parallel()
	for _, lane := range lanes {
		t.Run(lane.name, func(t *testing.T) { test(newFixture(t, lane)) })
	}
}

// door is what a worker uses.
type door interface {
	Init(context.Context) error
	Begin() error
	Write(context.Context, chunk.Part, string) error
	Push(context.Context) error
	AwaitAcks(context.Context) ([]Acked, error)
	Commit(context.Context, []chunk.LedgerRecord) ([]int64, error)
	Close()
}

// fixture is a target with topics orders (2 partitions), small and the ledger.
type fixture struct {
	way
	t    *testing.T
	ctx  context.Context
	fake *kafkatest.Cluster
	cfg  Config
}

func newFixture(t *testing.T, lane way, opts ...kfake.Opt) *fixture {
	t.Helper()
	t.Parallel()
	fake := kafkatest.Start(t, slices.Concat([]kfake.Opt{kfake.SeedTopics(2, "orders", "ledger")}, lane.broker, opts)...)
	fake.Topic("small", 1, "max.message.bytes=1000")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return &fixture{way: lane, t: t, ctx: ctx, fake: fake, cfg: Config{
		Target:          kafka.Config{Name: "new", Properties: fake.Properties()},
		TransactionalID: "replicator.old.new.1", ExactlyOnce: true, Ledger: "ledger", Shard: 1,
		Interval: 100 * time.Millisecond, Window: NewWindow(1 << 20), Rebuilt: func(string) {},
	}}
}

func (f *fixture) must(what string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// open opens a writer and takes over. It is closed at the end, if not before.
func (f *fixture) open() door {
	f.t.Helper()
	var s door
	if f.batches {
		s = OpenBatches(f.cfg)
	} else {
		records, err := OpenRecords(f.cfg)
		f.must("open", err)
		s = records
	}
	f.must("init", s.Init(f.ctx))
	once := &closedOnce{door: s}
	f.t.Cleanup(once.Close)
	return once
}

// closedOnce can be closed by a test, and at its end once more.
type closedOnce struct {
	door
	once sync.Once
}

func (c *closedOnce) Close() { c.once.Do(c.door.Close) }

// part is n records of a partition from a source offset on, every other offset.
func part(topic string, number int32, from offsets.Source, n int) chunk.Part {
	p := chunk.Part{Partition: chunk.Partition{Topic: topic, Number: number}}
	for i := range n {
		at := from + offsets.Source(2*i)
		p.Records = append(p.Records, chunk.Record{Offset: at, Timestamp: 1000 + int64(at), Value: fmt.Append(nil, at)})
	}
	return p
}

// dense is n records without gaps.
func dense(topic string, number int32, from offsets.Source, n int) chunk.Part {
	p := part(topic, number, from, 0)
	for i := range n {
		p.Records = append(p.Records, part(topic, number, from+offsets.Source(i), 1).Records...)
	}
	return p
}

// carried is a part as the lane has it: as records, or with most so many of them in a batch.
func (f *fixture) carried(p chunk.Part, most int) chunk.Part {
	f.t.Helper()
	if !f.batches {
		return p
	}
	for some := range slices.Chunk(p.Records, most) {
		b := chunk.Batch{First: some[0].Offset, Count: len(some)}
		var records []*kgo.Record
		for i, r := range some {
			out := &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
			for _, h := range r.Headers {
				out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			records, b.Offsets = append(records, out), append(b.Offsets, r.Offset)
			if i == len(some)-1 && r.Offset == b.First+offsets.Source(i) {
				b.Offsets = nil // they follow each other
			}
		}
		raw, err := wire.Encode(records, kgo.CodecNone)
		f.must("encode", err)
		b.Raw = raw
		p.Batches = append(p.Batches, b)
	}
	p.Records = nil
	return p
}

// transaction writes parts and gives where they were acknowledged.
func (f *fixture) transaction(s door, parts ...chunk.Part) []Acked {
	f.t.Helper()
	acked, err := f.attempt(s, parts...)
	f.must("transaction", err)
	return acked
}

// attempt is a transaction that may fail.
func (f *fixture) attempt(s door, parts ...chunk.Part) ([]Acked, error) {
	f.t.Helper()
	f.must("begin", s.Begin())
	for _, p := range parts {
		if len(p.Batches) == 0 {
			p = f.carried(p, len(p.Records))
		}
		if err := s.Write(f.ctx, p, p.Partition.Topic); err != nil {
			return nil, err
		}
	}
	return s.AwaitAcks(f.ctx)
}

// commit ends a transaction with one ledger record.
func (f *fixture) commit(s door, value string) []int64 {
	f.t.Helper()
	at, err := s.Commit(f.ctx, []chunk.LedgerRecord{{Key: []byte("k"), Value: []byte(value)}})
	f.must("commit", err)
	return at
}

// stopped expects a Stop.
func (f *fixture) stopped(err error, kind string, p chunk.Partition) {
	f.t.Helper()
	var stop *chunk.Stop
	if !errors.As(err, &stop) || stop.Kind != kind || stop.Partition != p || stop.Remedy() == "" {
		f.t.Errorf("failed with %v, want a stop of %s: %s", err, p, kind)
	}
}

// visible is what a committed reader sees of a partition.
func (f *fixture) visible(topic string, number int32) []*kgo.Record {
	f.t.Helper()
	if f.stable(topic, number) == 0 {
		return nil
	}
	return f.fake.Read(topic, number, 0)
}

// values are what a committed reader sees of a partition, in short.
func (f *fixture) values(topic string, number int32) []string {
	f.t.Helper()
	var all []string
	for _, r := range f.visible(topic, number) {
		all = append(all, string(r.Value))
	}
	return all
}

// stable is a partition's last stable offset.
func (f *fixture) stable(topic string, number int32) int64 {
	f.t.Helper()
	ends, err := f.fake.Admin().ListCommittedOffsets(f.ctx, topic)
	f.must("list offsets", err)
	end, _ := ends.Lookup(topic, number)
	return end.Offset
}

func runsOf(acked []Acked, p chunk.Partition) []offsets.Run {
	for _, l := range acked {
		if l.Partition == p {
			return l.Runs
		}
	}
	return nil
}

// heard is one request of a writer, as a broker got it.
type heard struct {
	key     string
	version int16
	of      map[chunk.Partition]wire.Batch // partitions it names; of Produce with what it holds for each
}

// ear lists the requests of transactions in their order.
type ear struct {
	mu  sync.Mutex
	all []heard
}

func (e *ear) heard() []heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// keys names them, one word each.
func (e *ear) keys() []string {
	var all []string
	for _, h := range e.heard() {
		all = append(all, h.key)
	}
	return all
}

// listen notes requests, and fails the test where one holds two batches of a partition.
func (f *fixture) listen() *ear {
	e := &ear{}
	names := map[[16]byte]string{}
	for _, name := range []string{"orders", "ledger", "small"} {
		names[f.fake.TopicInfo(name).TopicID] = name
	}
	f.fake.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		h := heard{key: kmsg.NameForKey(r.Key()), version: r.GetVersion(), of: map[chunk.Partition]wire.Batch{}}
		switch r := r.(type) {
		case *kmsg.AddPartitionsToTxnRequest:
			for _, topic := range r.Topics {
				for _, p := range topic.Partitions {
					h.of[chunk.Partition{Topic: topic.Topic, Number: p}] = nil
				}
			}
		case *kmsg.ProduceRequest:
			for _, topic := range r.Topics {
				if topic.Topic == "" {
					topic.Topic = names[topic.TopicID]
				}
				for _, p := range topic.Partitions {
					at := chunk.Partition{Topic: topic.Topic, Number: p.Partition}
					b, rest, err := wire.Next(p.Records)
					if _, twice := h.of[at]; err != nil || len(rest) > 0 || twice {
						f.t.Errorf("a request holds for %v: %v, %d more bytes, another batch: %t", at, err, len(rest), twice)
					}
					h.of[at] = slices.Clone(b)
				}
			}
		case *kmsg.EndTxnRequest, *kmsg.InitProducerIDRequest:
		default:
			return nil, nil, false
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, h)
		return nil, nil, false
	})
	return e
}

// acknowledge lets the broker answer all batches of the partitions with the offsets given,
// request by request, and store nothing; a partition without any is left out of the answer.
func (f *fixture) acknowledge(said map[int32][]int64) { f.acknowledgeAt(said, -1) }

// stamp lets the broker answer as one that gives all records that time, and store nothing.
func (f *fixture) stamp(ms int64) { f.acknowledgeAt(map[int32][]int64{0: {0}, 1: {0}}, ms) }

func (f *fixture) acknowledgeAt(said map[int32][]int64, stamped int64) {
	said = maps.Clone(said)
	f.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		request := r.(*kmsg.ProduceRequest)
		response := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, asked := range request.Topics {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
			for _, p := range asked.Partitions {
				if len(said[p.Partition]) == 0 {
					continue
				}
				answer := kmsg.NewProduceResponseTopicPartition()
				answer.Partition, answer.BaseOffset = p.Partition, said[p.Partition][0]
				answer.LogAppendTime = stamped
				said[p.Partition] = said[p.Partition][1:]
				topic.Partitions = append(topic.Partitions, answer)
			}
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
}
