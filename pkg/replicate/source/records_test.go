package source

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// fixture is a source with topic orders of two partitions, and a reader of it.
type fixture struct {
	t      *testing.T
	ctx    context.Context
	fake   *kfake.Cluster
	client *kgo.Client // transactional
	reader *Records
}

var orders = chunk.Partition{Topic: "orders"}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	f := &fixture{t: t, ctx: ctx, fake: fake, client: open(t, fake, kgo.TransactionalID("writer"))}
	f.reader, err = OpenRecords(Config{Flow: "old->new", PrefetchBytes: 1 << 20, PrefetchRecords: 1000,
		Cluster: kafka.Config{Name: "old",
			Properties: map[string]string{"bootstrap.servers": strings.Join(fake.ListenAddrs(), ",")}},
		Trouble: func(err error) { t.Logf("trouble: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.reader.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func open(t *testing.T, fake *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(fake.ListenAddrs()...), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// begin writes n numbered records into an open transaction.
func (f *fixture) begin(n int) {
	f.t.Helper()
	if err := f.client.BeginTransaction(); err != nil {
		f.t.Fatal(err)
	}
	for i := range n {
		r := &kgo.Record{Topic: "orders", Value: fmt.Append(nil, i), Timestamp: time.UnixMilli(int64(1000 + i))}
		if err := f.client.ProduceSync(f.ctx, r).FirstErr(); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) end(commit bool) {
	f.t.Helper()
	if err := f.client.EndTransaction(f.ctx, kgo.TransactionEndTry(commit)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) assign(at ...chunk.Position) {
	f.t.Helper()
	if err := f.reader.Assign(at); err != nil {
		f.t.Fatal(err)
	}
}

func from(at offsets.Source) chunk.Position {
	return chunk.Position{Partition: orders, Offset: at, Epoch: chunk.UnknownEpoch}
}

// upTo reads until a partition's progress is at least there, and gives the offsets of
// its records and its last part.
func (f *fixture) upTo(next offsets.Source) (seen []offsets.Source, last chunk.Part) {
	f.t.Helper()
	for last.Next < next {
		c, err := f.reader.Next(f.ctx, Limit{Records: 100, Bytes: 1 << 20, Wait: 200 * time.Millisecond})
		if err != nil || f.ctx.Err() != nil {
			f.t.Fatalf("at %d on the way to %d: %v, %v", last.Next, next, err, f.ctx.Err())
		}
		n := 0
		for _, part := range c.Parts {
			n += len(part.Records)
			if part.Partition != orders {
				continue
			}
			for _, r := range part.Records {
				seen = append(seen, r.Offset)
			}
			last = part
		}
		if n != c.Records {
			f.t.Errorf("the chunk says %d records and holds %d", c.Records, n)
		}
	}
	return seen, last
}

// TestCommittedOnly: aborted records and markers do not come out; progress stands
// behind them, and in front of an open transaction.
func TestCommittedOnly(t *testing.T) {
	f := newFixture(t)
	f.begin(2)
	f.end(true) // 0 1, marker 2
	f.begin(3)
	f.end(false) // 3 4 5, marker 6
	f.begin(1)
	f.end(true) // 7, marker 8
	f.begin(2)
	f.end(false) // 9 10, marker 11
	f.assign(from(0))
	seen, last := f.upTo(12)
	want := []offsets.Source{0, 1, 7}
	if !reflect.DeepEqual(seen, want) || last.Next != 12 || last.Epoch != chunk.UnknownEpoch {
		t.Errorf("read %v up to %d (epoch %d), want %v up to 12, epoch unknown", seen, last.Next, last.Epoch, want)
	}
	f.begin(2) // 12 13, open
	plain := open(t, f.fake)
	if err := plain.ProduceSync(f.ctx, &kgo.Record{Topic: "orders", Value: []byte("behind it")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c, err := f.reader.Next(f.ctx, Limit{Records: 100, Bytes: 1 << 20, Wait: 300 * time.Millisecond})
	if err != nil || len(c.Parts) != 0 {
		t.Errorf("from an open transaction on, %v comes out, %v", c.Parts, err)
	}
	f.end(true) // marker 15
	seen, last = f.upTo(16)
	if want := []offsets.Source{12, 13, 14}; !reflect.DeepEqual(seen, want) || last.Next != 16 {
		t.Errorf("read %v up to %d, want %v up to 16", seen, last.Next, want)
	}
}

// TestFromPosition: reading begins exactly there, also between records and at the end.
func TestFromPosition(t *testing.T) {
	f := newFixture(t)
	f.begin(2)
	f.end(true)
	f.begin(2)
	f.end(true) // 3 4, marker 5
	for at, want := range map[offsets.Source][]offsets.Source{1: {1, 3, 4}, 2: {3, 4}, 4: {4}, 5: nil} {
		f.assign(from(at))
		if seen, _ := f.upTo(6); !reflect.DeepEqual(seen, want) {
			t.Errorf("from %d: read %v, want %v", at, seen, want)
		}
	}
}

// TestContent: what may be in a record comes out as it is.
func TestContent(t *testing.T) {
	f := newFixture(t)
	plain := open(t, f.fake)
	var want []chunk.Record
	for i, bytes := range [][]byte{nil, {}, []byte("x"), {0, 255, 0}} {
		for j, ms := range []int64{0, 5, -1, -1500, 1_700_000_000_123} {
			r := chunk.Record{Offset: offsets.Source(5*i + j), Timestamp: ms, Key: bytes, Value: bytes}
			if j > 1 {
				r.Headers = []chunk.Header{{Key: "b", Value: bytes}, {Key: "a"}, {Key: "b", Value: []byte{}}, {Value: []byte("1")}}
			}
			want = append(want, r)
			out := &kgo.Record{Topic: "orders", Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(ms)}
			for _, h := range r.Headers {
				out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			if err := plain.ProduceSync(f.ctx, out).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.assign(from(0))
	var got []chunk.Record
	for len(got) < len(want) {
		c, err := f.reader.Next(f.ctx, Limit{Records: 7, Bytes: 1 << 20, Wait: time.Second})
		if err != nil || f.ctx.Err() != nil {
			t.Fatal(err, f.ctx.Err())
		}
		if c.Records > 7 {
			t.Errorf("%d records at once, the limit is 7", c.Records)
		}
		for _, p := range c.Parts {
			got = append(got, p.Records...)
		}
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("record %d came as %+v, want %+v", i, got[i], want[i])
		}
	}
}

// TestReassign: what was assigned before is not heard of any more, and what is
// assigned again begins anew.
func TestReassign(t *testing.T) {
	f := newFixture(t)
	f.begin(5)
	f.end(true)
	f.assign(from(0))
	f.upTo(1)
	f.assign(chunk.Position{Partition: chunk.Partition{Topic: "orders", Number: 1}, Epoch: chunk.UnknownEpoch})
	for range 3 {
		c, err := f.reader.Next(f.ctx, Limit{Records: 10, Bytes: 1 << 20, Wait: 100 * time.Millisecond})
		if err != nil || len(c.Parts) != 0 {
			t.Errorf("from a partition that is not assigned any more: %v, %v", c.Parts, err)
		}
	}
	f.assign(from(2))
	if seen, _ := f.upTo(6); !reflect.DeepEqual(seen, []offsets.Source{2, 3, 4}) {
		t.Errorf("assigned again from 2: read %v", seen)
	}
}

// TestUnreadable: a position outside the log is refused, not replaced by another.
func TestUnreadable(t *testing.T) {
	f := newFixture(t)
	f.begin(5)
	f.end(true)
	var below kadm.Offsets
	below.AddOffset("orders", 0, 3, -1)
	if _, err := kadm.NewClient(f.client).DeleteRecords(f.ctx, below); err != nil {
		t.Fatal(err)
	}
	for why, at := range map[string]offsets.Source{"before the log's start": 1, "behind its end": 100} {
		f.assign(from(at))
		var err error
		for err == nil && f.ctx.Err() == nil {
			var c chunk.Chunk
			c, err = f.reader.Next(f.ctx, Limit{Records: 10, Bytes: 1 << 20, Wait: time.Second})
			if len(c.Parts) != 0 {
				t.Fatalf("%s: %v comes out", why, c.Parts)
			}
		}
		var unreadable *Unreadable
		if !errors.As(err, &unreadable) {
			t.Errorf("%s: %v, want Unreadable", why, err)
		}
	}
}

// TestCancelled: a cancelled context ends the waiting.
func TestCancelled(t *testing.T) {
	f := newFixture(t)
	f.assign(from(0))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	began := time.Now()
	c, err := f.reader.Next(ctx, Limit{Records: 10, Bytes: 1 << 20, Wait: 20 * time.Second})
	if err != nil || len(c.Parts) != 0 || time.Since(began) > 10*time.Second {
		t.Errorf("after %s: %v, %v", time.Since(began), c.Parts, err)
	}
}
