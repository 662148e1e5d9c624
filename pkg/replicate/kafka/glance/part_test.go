package glance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// reading is a cluster with topic orders of one partition, and a client that reads it.
type reading struct {
	t      *testing.T
	ctx    context.Context
	fake   *kafkatest.Cluster
	client *kgo.Client
	writer *kgo.Client
}

func newReading(t *testing.T, opts ...kfake.Opt) *reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	fake := kafkatest.Start(t, opts...)
	fake.Topic("orders", 1, "cleanup.policy=compact")
	fake.Topic("kept", 1)
	client, err := kafka.NewFranz(kafka.Config{Name: "new", Properties: fake.Properties()},
		kgo.RequestTimeoutOverhead(time.Second), kgo.RetryTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &reading{t, ctx, fake, client, fake.Writer(kgo.TransactionalID("writer"))}
}

// put writes records in a transaction, which takes one offset more.
func (r *reading) put(end kgo.TransactionEndTry, values ...string) {
	r.t.Helper()
	if err := r.writer.BeginTransaction(); err != nil {
		r.t.Fatal(err)
	}
	for _, v := range values {
		if err := r.writer.ProduceSync(r.ctx, &kgo.Record{Topic: "orders", Value: []byte(v)}).FirstErr(); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.writer.EndTransaction(r.ctx, end); err != nil {
		r.t.Fatal(err)
	}
}

// read reads a part, and shows its records as offset=value, and where it ended.
func (r *reading) read(p Part) (string, error) {
	if p.Topic == "" {
		p.Topic = "orders"
	}
	if p.Silence == 0 {
		p.Silence = Silence
	}
	var all []string
	end, err := p.Read(r.ctx, r.client, func() func(*kgo.Record) error {
		all = nil
		return func(r *kgo.Record) error {
			all = append(all, fmt.Sprintf("%d=%.5s", r.Offset, r.Value))
			return nil
		}
	})
	return strings.Join(append(all, fmt.Sprint(end)), " "), err
}

func (r *reading) want(what string, p Part, want string) {
	r.t.Helper()
	if got, err := r.read(p); err != nil || got != want {
		r.t.Errorf("%s: read %q, %v, want %q", what, got, err, want)
	}
}

// answer lets the next n fetches be answered so; below 0: all of them.
func (r *reading) answer(n int32, as func(*kmsg.FetchResponseTopicPartition) (leftOut bool)) (asked *atomic.Int32) {
	asked = new(atomic.Int32)
	r.fake.ControlKey(int16(kmsg.Fetch), func(in kmsg.Request) (kmsg.Response, error, bool) {
		r.fake.KeepControl()
		if asked.Add(1) > n && n >= 0 {
			return nil, nil, false
		}
		req := in.(*kmsg.FetchRequest)
		out := req.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range req.Topics {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			one := kmsg.NewFetchResponseTopicPartition()
			one.Partition = t.Partitions[0].Partition
			if as(&one) {
				continue
			}
			topic.Partitions = append(topic.Partitions, one)
			out.Topics = append(out.Topics, topic)
		}
		return out, nil, true
	})
	return asked
}

func code(e *kerr.Error) func(*kmsg.FetchResponseTopicPartition) bool {
	return func(p *kmsg.FetchResponseTopicPartition) bool {
		p.ErrorCode = e.Code
		return false
	}
}

// TestPart: what is visible is read, exactly as far as was asked for, whatever passes meanwhile.
func TestPart(t *testing.T) {
	r := newReading(t)
	large := strings.Repeat("x", 900<<10) // the first page does not hold it
	r.put(kgo.TryCommit, "a", "b")        // 0, 1, and a marker at 2
	r.put(kgo.TryAbort, "c", "d")         // 3, 4
	r.put(kgo.TryCommit, large, "e")      // 6, 7, and a marker at 8
	all := "0=a 1=b 6=xxxxx 7=e 9"
	r.want("committed", Part{To: -1, Committed: true}, all)
	r.want("all", Part{To: -1}, "0=a 1=b 3=c 4=d 6=xxxxx 7=e 9")
	r.want("from within what was aborted", Part{From: 4, To: 7, Committed: true}, "6=xxxxx 7")
	r.want("up to a record", Part{To: 1, Committed: true}, "0=a 1")
	r.want("beyond the end", Part{From: 20, To: 30, Committed: true}, "20")
	for what, as := range map[string]func(*kmsg.FetchResponseTopicPartition) bool{
		"another leader":         code(kerr.NotLeaderForPartition),
		"a new leader":           code(kerr.UnknownLeaderEpoch),
		"a start that has moved": code(kerr.OffsetOutOfRange),
		"throttled":              func(*kmsg.FetchResponseTopicPartition) bool { return true },
		"empty":                  func(*kmsg.FetchResponseTopicPartition) bool { return false },
	} {
		asked := r.answer(2, as)
		if r.want(what, Part{To: -1, Committed: true}, all); asked.Load() <= 2 {
			t.Errorf("%s: asked %d times", what, asked.Load())
		}
	}
	gone := kadm.Offsets{"orders": {0: {Topic: "orders", At: 1}}}
	if _, err := kadm.NewClient(r.client).DeleteRecords(r.ctx, gone); err != nil {
		t.Fatal(err)
	}
	r.want("from before the start", Part{To: -1, Committed: true}, "1=b 6=xxxxx 7=e 9")
	r.want("all of it is gone", Part{To: 1, Committed: true}, "1")
}

// TestPartWaitsForTheEnd: what was promised is awaited, and what does not come is an error.
func TestPartWaitsForTheEnd(t *testing.T) {
	r := newReading(t)
	if err := r.writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := r.writer.ProduceSync(r.ctx, &kgo.Record{Topic: "orders", Value: []byte("a")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	least := Part{To: -1, Committed: true, Least: 1, Silence: 300 * time.Millisecond}
	if got, err := r.read(least); err == nil || !strings.Contains(err.Error(), "awaited up to 1") {
		t.Errorf("a transaction is open, and %q is read, %v", got, err)
	}
	var ended atomic.Bool
	least.Silence, least.Waiting = Silence, func(error) {
		if !ended.Swap(true) {
			if err := r.writer.EndTransaction(r.ctx, kgo.TryCommit); err != nil {
				t.Error(err)
			}
		}
	}
	r.want("a transaction that is committed meanwhile", least, "0=a 2")
}

// TestPartGivesUp: what does not pass is told, and in time.
func TestPartGivesUp(t *testing.T) {
	r := newReading(t)
	r.put(kgo.TryCommit, "a")
	for _, p := range []Part{{Topic: "nowhere"}, {Number: 7}} {
		p.To, p.Silence = -1, 200*time.Millisecond
		if got, err := r.read(p); !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Errorf("of %+v %q is read, %v", p, got, err)
		}
	}
	short := Part{To: -1, Silence: 200 * time.Millisecond}
	r.answer(1, code(kerr.TopicAuthorizationFailed))
	if got, err := r.read(short); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("without the right %q is read, %v", got, err)
	}
	refused := errors.New("refused")
	tries := 0
	if _, err := short.with("orders").Read(r.ctx, r.client, func() func(*kgo.Record) error {
		tries++
		return func(*kgo.Record) error { return refused }
	}); !errors.Is(err, refused) || tries != 1 {
		t.Errorf("a record is refused, after %d tries with %v", tries, err)
	}
	r.answer(1, func(p *kmsg.FetchResponseTopicPartition) bool {
		p.RecordBatches = bytes.Repeat([]byte{2}, 70) // magic 2 and a wrong checksum
		copy(p.RecordBatches[8:], []byte{0, 0, 0, 58})
		return false
	})
	if got, err := r.read(short); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("of a damaged batch %q is read, %v", got, err)
	}
	begun := time.Now()
	hold := make(chan struct{})
	defer close(hold)
	r.fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.fake.KeepControl()
		r.fake.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	if got, err := r.read(short); err == nil || time.Since(begun) > 15*time.Second {
		t.Errorf("of a broker that is silent %q is read, after %s: %v", got, time.Since(begun), err)
	}
}

func (p Part) with(topic string) *Part {
	p.Topic = topic
	return &p
}

// TestPartCompacted: offsets that compaction has left without a record are passed, also at the
// end of the log. Of a topic that is not compacted nothing is concluded from silence.
func TestPartCompacted(t *testing.T) {
	r := newReading(t)
	r.put(kgo.TryCommit, "a", "b", "c", "d") // up to 5
	batch, err := wire.Encode([]*kgo.Record{{Value: []byte("x")}, {Value: []byte("y")}}, kgo.CodecNone)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	first := func(p *kmsg.FetchResponseTopicPartition) bool {
		p.LastStableOffset, p.HighWatermark = 5, 5
		if n++; n == 1 {
			p.RecordBatches = batch // offsets 0 and 1
		}
		return false
	}
	r.answer(4, first)
	r.want("from within a batch to an end without a record", Part{From: 1, To: -1, Committed: true}, "1=y 5")
	at := &kgo.Record{Topic: "kept", Value: []byte("a")}
	if err := r.fake.Writer().ProduceSync(r.ctx, at).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r.answer(-1, func(p *kmsg.FetchResponseTopicPartition) bool {
		p.LastStableOffset, p.HighWatermark = 1, 1
		return false
	})
	got, err := r.read(Part{Topic: "kept", To: -1, Committed: true, Silence: 300 * time.Millisecond})
	if !errors.Is(err, ErrSilent) {
		t.Errorf("of a log of which nothing comes %q is read, %v", got, err)
	}
}

// TestPartWithoutIDs: brokers that give topics no ids take requests by id all the same, and
// find nothing by them.
func TestPartWithoutIDs(t *testing.T) {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.Metadata), 9)
	r := newReading(t, kfake.MaxVersions(versions))
	r.put(kgo.TryCommit, "a")
	r.want("without ids", Part{To: -1, Committed: true, Silence: time.Second}, "0=a 2")
}
