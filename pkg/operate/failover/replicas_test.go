package failover_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/shard"
)

// noted is where partition 0 of a topic ended when the ledger noted that last.
func noted(w *flowtest.World, topic string) (end seen.End) {
	w.T.Helper()
	books, err := ledger.ReadAsItIs(w.Ctx, w.Clusters()["new"], w.Cfg.LedgerTopic())
	w.Must("read ledger", err)
	p := chunk.Partition{Topic: topic}
	if len(books) == 0 {
		return end
	}
	book := books[p.Shard(w.Cfg.Shards)]
	note, err := seen.Of(book)
	w.Must("read note", err)
	for _, key := range book.Keys() {
		if key.Partition == p {
			end = note.End(p, book.State(key).Progress)
		}
	}
	return end
}

// frozen is a writer that stops before a commit until it is let go.
type frozen struct {
	shard.Writer
	commits bool
	at      chan struct{}
	until   chan struct{}
	once    *sync.Once
}

func (f *frozen) Write(ctx context.Context, part chunk.Part, topic string) error {
	f.commits = true
	return f.Writer.Write(ctx, part, topic)
}

func (f *frozen) Commit(ctx context.Context, records []chunk.LedgerRecord) ([]int64, error) {
	if f.commits {
		f.once.Do(func() { close(f.at) })
		<-f.until
	}
	return f.Writer.Commit(ctx, records)
}

// ends are high watermark and last stable offset of partition 0 of a topic on the target.
func ends(w *flowtest.World, topic string) (high, stable int64) {
	w.T.Helper()
	all, err := w.To.ListEndOffsets(w.Ctx, topic)
	w.Must("list ends", err)
	committed, err := w.To.ListCommittedOffsets(w.Ctx, topic)
	w.Must("list ends", err)
	a, _ := all.Lookup(topic, 0)
	b, _ := committed.Lookup(topic, 0)
	return a.Offset, b.Offset
}

// A replica that was frozen with a transaction open keeps no reader waiting, and writes nothing when it wakes, though
// its source is back by then.
func TestFrozenReplica(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		w.MayClose = true
		w.Cfg.Shards = 1
		w.Topic("orders", 1)
		w.Plain(w.Sides.Source, "orders", 0, 10)
		r := w.Start(nil)
		w.Equal([]string{"orders"})
		r.Stop()
		w.Plain(w.Sides.Source, "orders", 0, 7)
		at, until, once := make(chan struct{}), make(chan struct{}), &sync.Once{}
		r = w.Start(func(_ int, out shard.Writer) shard.Writer {
			return &frozen{Writer: out, at: at, until: until, once: once}
		})
		<-at
		w.Await("its records are in an open transaction", func() bool {
			high, stable := ends(w, "orders")
			return high > stable
		})
		o := options(w)
		o.SourceIsDead = true
		report := run(w, o)
		high, stable := ends(w, "orders")
		if high != stable || len(report.Record.Open) > 0 {
			t.Errorf("readers wait at %d of %d: %v", stable, high, report.Record.Open)
		}
		if got := report.Topics[0]; got.Progress[0] != 10 || got.SeenEnds[0] != 17 || report.Record.NotCopied != 7 {
			t.Errorf("the loss is told as %+v", got)
		}
		close(until)
		err := <-r.Done
		r.Done <- nil
		if !handover.IsClosed(err) {
			t.Errorf("the replica ended with %v, want that its flow is closed", err)
		}
		if after, _ := ends(w, "orders"); after != high || len(w.Target.Read("orders", 0, 0)) != 10 {
			t.Errorf("the target ended at %d, and ends at %d with %d records now", high, after,
				len(w.Target.Read("orders", 0, 0)))
		}
	})
}

// The command may be killed at any point, and given again.
func TestGivenAgain(t *testing.T) {
	w := flowtest.New(t)
	copied(w).Stop()
	w.Source.Close()
	id := ""
	again := func(point string, fault kfake.Fault) {
		t.Helper()
		handle := w.Target.Fault(fault)
		defer handle.Remove()
		f := open(w, options(w))
		if found := f.Found(); id != "" && (found.ID != id || found.State != handover.Begun) {
			t.Errorf("before %s it finds %+v, want %s, begun", point, found, id)
		}
		_, err := f.Run(w.Ctx)
		if err == nil || handle.Hits() == 0 {
			t.Fatalf("%s: it ended with %v after %d faults", point, err, handle.Hits())
		}
	}
	produce := func(n int32) kfake.Fault { // the n-th request outside of transactions
		count := int32(0)
		return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1,
			When: func(request kmsg.Request) bool {
				if request.(*kmsg.ProduceRequest).TransactionID == nil {
					count++
				}
				return count == n && request.(*kmsg.ProduceRequest).TransactionID == nil
			}}
	}
	again("the note that it was begun", produce(1))
	if open(w, options(w)).Found().State != "" {
		t.Error("it is noted as begun")
	}
	again("the first shard", kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true,
		TxnID: w.Cfg.TransactionalID(0), Err: kerr.TransactionalIDAuthorizationFailed, Count: -1})
	id = open(w, options(w)).Found().ID
	again("the last shard", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true,
		TxnID: w.Cfg.TransactionalID(3), Err: kerr.TransactionalIDAuthorizationFailed, Count: -1})
	again("the group", kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Group: w.Cfg.GroupID(),
		Err: kerr.GroupAuthorizationFailed, Count: -1})
	again("what is known", produce(2))
	again("the record", produce(3))
	f := open(w, options(w))
	report, err := f.Run(w.Ctx)
	w.Must("fail over", err)
	if report.Record.ID != id || report.Record.State != handover.Done || len(report.Groups) != 12 {
		t.Errorf("at its end the record is %+v", report.Record)
	}
	once := w.Once()
	if err := w.Ends(once); !handover.IsClosed(err) {
		t.Errorf("a one-off copy ends with %v, want that the flow is closed", err)
	}
}

// A transaction of somebody else on the target is named, and not waited for.
func TestOpenTransactionOfOthers(t *testing.T) {
	w := flowtest.New(t)
	copied(w).Stop()
	w.Source.Close()
	client := w.Target.Writer(kgo.TransactionalID("payments-7"))
	w.Must("begin", client.BeginTransaction())
	w.Must("write", client.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr())
	report := run(w, options(w))
	if open := strings.Join(report.Record.Open, "; "); !strings.Contains(open, "transactional id payments-7") {
		t.Errorf("open are %q", open)
	}
}

// Verbs that move applications refuse a flow that failed over.
func TestNoCutoverAfterwards(t *testing.T) {
	w := flowtest.New(t)
	copied(w).Stop()
	o := options(w)
	o.SourceIsDead = true
	run(w, o)
	_, over := cutover.Open(w.Ctx, w.HandoverOptions())
	_, back := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	for verb, err := range map[string]error{"cutover": over, "rollback": back} {
		if !handover.IsClosed(err) || !strings.Contains(chunk.Remedy(err), "failback") {
			t.Errorf("%s: %v", verb, err)
		}
	}
}
