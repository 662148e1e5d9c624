package failover_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/failover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
)

var errAway = errors.New("away")

// run fails over, and answers what is known.
func run(w *flowtest.World, o failover.Options) *failover.Report {
	w.T.Helper()
	report, err := open(w, o).Run(w.Ctx)
	w.Must("fail over", err)
	return report
}

// refused makes sure that a failover is refused, in a plan as well.
func refused(w *flowtest.World, what ...string) {
	w.T.Helper()
	f := open(w, options(w))
	_, err := f.Run(w.Ctx)
	for _, text := range what {
		if err == nil || !strings.Contains(err.Error(), text) || chunk.Remedy(err) == "" {
			w.T.Errorf("it ended with %v, want a refusal with %q and a remedy", err, text)
		}
	}
	states, _, err := f.Preview(w.Ctx)
	w.Must("look", err)
	if !states[0].Refused || states[1].Done {
		w.T.Errorf("the plan says %+v", states)
	}
}

// What the source was last seen to hold is known when it is dead: records and open transactions that were not copied,
// and since when.
func TestLossIsKnown(t *testing.T) {
	w := flowtest.New(t)
	w.Tune = func(o *replicate.Options) { o.SeenEvery = 200 * time.Millisecond }
	w.MayClose = true
	w.Topic("orders", 1)
	w.Topic("audit", 1)
	w.Topic("sparse", 4) // three of which nothing comes to: their shards are noted at times of their own
	w.Plain(w.Sides.Source, "sparse", 3, 1)
	r := w.Start(nil)
	for _, topic := range []string{"orders", "audit"} { // nothing is beyond what was copied
		w.Await("the ledger has noted that all of "+topic+" was copied", func() bool {
			if end := noted(w, topic); end.Known() && !end.Since.IsZero() {
				return true
			}
			w.Plain(w.Sides.Source, topic, 0, 1) // notes go with commits
			return false
		})
	}
	w.Equal([]string{"orders", "audit", "sparse"})
	before := w.State("orders", 0).Progress
	stopped := w.Target.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Count: -1})
	defer stopped.Remove()
	w.Plain(w.Sides.Source, "orders", 0, 40)
	client := w.Source.Writer(kgo.TransactionalID("open"))
	w.Must("begin", client.BeginTransaction())
	w.Must("write", client.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("late")}).FirstErr())
	w.Await("the ledger has noted what was seen", func() bool { return noted(w, "orders").High == before+41 })
	w.Source.Close()
	report := run(w, options(w))
	for _, topic := range report.Topics {
		records, unknown := topic.NotCopied()
		want, open := int64(40), int64(1)
		if topic.Topic != "orders" {
			want, open = 0, 0
		}
		if records != want || unknown != 0 || topic.Open() != open || topic.SeenAt.IsZero() ||
			topic.NotCopiedSince.IsZero() != (want == 0) {
			t.Errorf("of %s %d records are not copied, %d partitions not known: %+v, want %d", topic.Topic, records, unknown,
				topic, want)
		}
	}
	if got := report.Record; got.NotCopied != 40 || got.EndsUnknown != 0 || got.SeenAt.IsZero() ||
		got.NotCopiedSince.IsZero() {
		t.Errorf("the record is %+v", got)
	}
	for _, topic := range report.Topics {
		if report.Record.SeenAt.After(topic.SeenAt) {
			t.Errorf("%s was last seen at %s, and all of the source at %s", topic.Topic, topic.SeenAt, report.Record.SeenAt)
		}
	}
	look, err := snapshot.OpenTolerant(w.Ctx, w.Clusters(), w.Cfg, nil)
	w.Must("look", err)
	defer look.Close()
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	if at := status.LastSeen.Seen; at == nil || !at.Equal(report.Record.SeenAt) {
		t.Errorf("status says %v, the record %s", at, report.Record.SeenAt)
	}
	<-r.Done
	r.Done <- nil
}

// A source of two brokers, one of which is dead, is asked for what it still tells; who writes to the other one is a
// reason to refuse.
func TestHalfOfTheSourceIsDead(t *testing.T) {
	w := flowtest.New(t)
	w.MayClose = true
	w.Source, w.Sides.Source, w.From = w.Cluster("old", kfake.NumBrokers(2))
	w.Topic("orders", 2)
	for number := range int32(2) {
		w.Must("move", w.Source.MoveTopicPartition("orders", number, number))
		w.Plain(w.Sides.Source, "orders", number, 10)
	}
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 3)
	w.Source.Control(func(request kmsg.Request) (kmsg.Response, error, bool) { // its connections break
		w.Source.KeepControl()
		return nil, errAway, w.Source.CurrentNode() == 1 &&
			(request.Key() == int16(kmsg.ListOffsets) || request.Key() == int16(kmsg.DescribeProducers))
	})
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Target,
		[]workload.Position{{Group: "billing", Topic: "orders", Partition: 1, At: 3}}))
	stop := writes(w, "orders", 0)
	refused(w, "old answers, and somebody writes there: orders")
	stop()
	o := options(w)
	o.SourceIsDead = true // the producer has written a moment ago
	began := time.Now()
	report := run(w, o)
	if took := time.Since(began); took > 3*failover.Patience {
		t.Errorf("it took %s", took)
	}
	if got := report.Groups[0]; !slices.Equal(got.Nowhere, []string{"orders/0"}) || got.Positions[0].Source != -1 ||
		got.Positions[0].Lag != 8 {
		t.Errorf("billing stands at %+v", got)
	}
	got := report.Topics[0]
	if report.Record.Source != handover.Partly || got.SeenEnds[0] < 13 || got.SeenEnds[1] >= 0 ||
		report.Record.EndsUnknown != 1 {
		t.Errorf("the source is told as %+v, its topic as %+v", report.Record, got)
	}
}

// writes has somebody write to a partition of the source until it is told to stop.
func writes(w *flowtest.World, topic string, number int32) (stop func()) {
	client := w.Source.Writer(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var ending atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !ending.Load() {
			if client.ProduceSync(w.Ctx, &kgo.Record{Topic: topic, Partition: number, Value: []byte("on")}).FirstErr() != nil {
				return
			}
		}
	}()
	return func() {
		ending.Store(true)
		<-ended
	}
}

// A source that takes its time is not waited for longer than a few seconds, whatever it is asked.
func TestSlowSource(t *testing.T) {
	w := flowtest.New(t)
	copied(w).Stop()
	var asked atomic.Int32
	w.Source.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
		asked.Add(1)
		w.Source.SleepControl(func() { <-w.Ctx.Done() })
		return nil, errAway, true
	})
	began := time.Now()
	report := run(w, options(w))
	if took := time.Since(began); took > 2*failover.Patience || asked.Load() == 0 {
		t.Errorf("it took %s, with %d questions", took, asked.Load())
	}
	if report.Record.Source != handover.Silent || report.Record.State != handover.Done {
		t.Errorf("the record is %+v", report.Record)
	}
}

// Another cluster in the source's place is not asked: what it holds says nothing of the flow.
func TestAnotherClusterInThePlaceOfTheSource(t *testing.T) {
	w := flowtest.New(t)
	copied(w).Stop()
	w.Source.Close()
	w.Source, w.Sides.Source, w.From = w.Cluster("another")
	w.Topic("orders", 2)
	stop := writes(w, "orders", 0)
	defer stop()
	report := run(w, options(w))
	if got := report.Record; got.Source != handover.Another || !strings.Contains(got.Why, "another") ||
		got.NotCopied != 0 {
		t.Errorf("the record is %+v", got)
	}
}

// What the opposite flow of a pair brings to the source is no application's: it is no reason to refuse, and what an
// application writes beside it is one.
func TestOppositeFlowIsNoApplication(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 10)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() { // an application on the target, whose records the opposite flow brings
		defer close(stopped)
		client := w.Target.Writer()
		for {
			select {
			case <-ended:
				return
			default:
				_ = client.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("there")})
			}
		}
	}()
	before := len(w.Holds(w.Sides.Source, "orders"))
	w.Await("it is brought", func() bool { return len(w.Holds(w.Sides.Source, "orders")) > before+10 })
	f := open(w, options(w))
	states, report, err := f.Preview(w.Ctx)
	w.Must("look", err)
	if states[0].Refused || report.Record.Opposite != "new->old" {
		t.Errorf("the plan says %+v, the record %+v", states[0], report.Record)
	}
	stop := writes(w, "orders", 0)
	defer stop()
	f = open(w, options(w))
	if states, _, err = f.Preview(w.Ctx); err != nil || !states[0].Refused {
		t.Errorf("with an application on the source the plan says %+v, %v", states[0], err)
	}
	close(ended)
	<-stopped
}

// Where the source answers, a flow that is closed is told to be failed back, and one that is not to be cut over.
func TestSourceOfClosedFlowAnswers(t *testing.T) {
	w := flowtest.New(t)
	copied(w).Stop()
	o := options(w)
	o.SourceIsDead = true
	f := open(w, o)
	_, report, err := f.Preview(w.Ctx)
	w.Must("look", err)
	if report.Closed || report.Record.Source != handover.Whole {
		t.Errorf("before it closes it says %+v", report)
	}
	if report = run(w, o); !report.Closed {
		t.Error("it has closed the flow, and says that it has not")
	}
	again, err := open(w, o).Again(w.Ctx)
	w.Must("read the record", err)
	status, err := inspect.Status(w.Ctx, w.Look())
	w.Must("status", err)
	if closed := status.Closed(); !again.Closed || closed == nil ||
		!strings.HasPrefix(closed.Remedy(), "its source answers: 'replicator failback'") {
		t.Errorf("given again it says closed %v, status %+v", again.Closed, closed)
	}
}
