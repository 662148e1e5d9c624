package drill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/drill"
	"replicator/pkg/operate/inspect"
)

// rehearse drills the world's flow.
func rehearse(w *flowtest.World, inFlight time.Duration) *drill.Report {
	w.T.Helper()
	r, err := drill.Run(w.Ctx, drill.Options{Clusters: w.Clusters(), Flow: w.Cfg, InFlight: inFlight})
	w.Must("drill", err)
	return r
}

// because says whether a drill gives that reason, with a remedy.
func because(r *drill.Report, text string) bool {
	return slices.ContainsFunc(r.Reasons, func(one drill.Reason) bool {
		return strings.Contains(one.String(), text) && one.Remedy != ""
	})
}

// testTopics lists what drills have left.
func testTopics(w *flowtest.World) []string {
	w.T.Helper()
	seen, err := w.Target.Admin().ListTopicsWithInternal(w.Ctx) // of a client that remembers nothing
	w.Must("list topics", err)
	return slices.DeleteFunc(seen.Names(), func(name string) bool { return !strings.Contains(name, "replicator-drill") })
}

// everything is all that a drill may not change: topics with their ends, on both sides, and positions of groups.
func everything(w *flowtest.World) string {
	w.T.Helper()
	var b strings.Builder
	for _, side := range []*kafkatest.Cluster{w.Source, w.Target} {
		topics, err := side.Admin().ListTopicsWithInternal(w.Ctx)
		w.Must("list topics", err)
		ends, err := side.Admin().ListEndOffsets(w.Ctx, topics.Names()...)
		w.Must("list ends", err)
		for _, e := range ends.Offsets().Sorted() {
			if !strings.HasPrefix(e.Topic, "__consumer") && !strings.HasPrefix(e.Topic, "__transaction") {
				fmt.Fprintf(&b, "%s/%d ends at %d\n", e.Topic, e.Partition, e.At)
			}
		}
		for _, group := range []string{"billing", "audit", "replicator.old.new"} {
			positions, err := side.Admin().FetchOffsets(w.Ctx, group)
			if err == nil {
				for _, p := range positions.Offsets().Sorted() {
					fmt.Fprintf(&b, "%s in %s/%d at %d %s\n", group, p.Topic, p.Partition, p.At, p.Metadata)
				}
			}
		}
	}
	return b.String()
}

// A drill of a flow at rest finds it ready, says where every group stands, and changes nothing.
func TestADrillMovesNothing(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		w.Topic("orders", 3)
		w.Mixed("orders", 3, 300)
		w.Commit("billing", "orders", 0, 20)
		w.Commit("audit", "orders", 1, 0)
		replica := w.Start(nil)
		w.Equal([]string{"orders"})
		look := w.Look()
		for _, group := range []string{"billing", "audit"} {
			w.StatusOf(look, group, "orders", func(p *inspect.PositionStatus) bool { return p.State == "right" })
		}
		replica.Stop() // it writes to its ledger by itself
		before := everything(w)
		r := rehearse(w, 5*time.Second)
		if r.Err() != nil || r.Verdict != drill.Ready || len(r.Reasons) != 0 || len(r.Problems) != 0 || len(r.Warnings) != 0 {
			t.Errorf("it is %s: %+v, problems %v, warnings %v", r.Verdict, r.Reasons, r.Problems, r.Warnings)
		}
		if after := everything(w); after != before {
			t.Errorf("before it\n%s\nand after it\n%s", before, after)
		}
		if r.RPO.Records != 0 || r.RPO.Seconds != 0 || len(r.RPO.Topics) != 1 || r.Compared.Alike != 15 ||
			r.Compared.Differs+r.Compared.Unknown != 0 {
			t.Errorf("rpo %+v, compared %+v; want nothing lost and five records of each partition alike", r.RPO, r.Compared)
		}
		for _, g := range r.Groups {
			if !g.Exactly || g.Exact == nil || *g.Exact != *g.Stands || *g.ReadAgain != 0 || *g.Lost != 0 {
				t.Errorf("receipt %+v, want exact", g)
			}
		}
		var sum float64
		for _, s := range r.RTO.Steps {
			if s.Failed || s.Seconds < 0 {
				t.Errorf("step %+v", s)
			}
			if s.Failover {
				sum += s.Seconds
			}
		}
		if len(r.Groups) != 2 || len(r.RTO.Steps) != 10 || sum != r.RTO.Seconds || sum == 0 || r.Topic == "" {
			t.Errorf("%d receipts, steps %+v, rto %f, topic %q", len(r.Groups), r.RTO.Steps, r.RTO.Seconds, r.Topic)
		}
		text, err := json.Marshal(r)
		w.Must("encode", err)
		if strings.Contains(string(text), "null") {
			t.Errorf("what is known is null: %s", text)
		}
	})
}

// What a failover now would lose is told by topic, with the age of its oldest record, and decides: records that are
// young and under way are no reason, those that nobody copies are.
func TestWhatIsNotCopiedIsTold(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Topic("payments", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders", "payments"})
	r.Stop()
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Source, "orders",
		&kgo.Record{Value: []byte("late"), Timestamp: time.Now().Add(-time.Hour)}, &kgo.Record{Value: []byte("later")}))
	got := rehearse(w, time.Second)
	if got.Err() == nil || !because(got, "orders/0: no replica copies it: up to 2 records") {
		t.Errorf("%s: %+v", got.Verdict, got.Reasons)
	}
	if rpo := got.RPO; rpo.Records != 2 || rpo.Seconds < 3600 || rpo.Seconds > 3700 || rpo.Topics[0].Records != 2 ||
		rpo.Topics[1].Records+rpo.Topics[1].Open != 0 {
		t.Errorf("rpo %+v", rpo)
	}
	if left := testTopics(w); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// Records of an open transaction cannot be copied: one that lasts is a reason.
func TestAnOpenTransactionHoldsRecordsBack(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Start(nil)
	w.Equal([]string{"orders"})
	open := w.Source.Writer(kgo.TransactionalID("app"))
	w.Must("begin", open.BeginTransaction())
	w.Must("write", open.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("open")}).FirstErr())
	w.Plain(w.Sides.Source, "orders", 0, 2)
	if got := rehearse(w, time.Minute); got.Verdict != drill.Ready || got.RPO.Open != 3 || got.RPO.Records != 0 {
		t.Errorf("a young one: %s, rpo %+v: %+v", got.Verdict, got.RPO, got.Reasons)
	}
	got := rehearse(w, time.Millisecond)
	held := because(got, "orders/0: a transaction that is open since")
	if got.Verdict != drill.NotReady || !held || got.RPO.Seconds == 0 {
		t.Errorf("one that lasts: %s, rpo %+v: %+v", got.Verdict, got.RPO, got.Reasons)
	}
	w.Must("end", open.EndTransaction(w.Ctx, kgo.TryCommit))
}

// A group that does not follow has a receipt of what it would read again, or not at all.
func TestReceipts(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 30)
	w.Commit("billing", "orders", 0, 10)
	w.Commit("audit", "orders", 0, 20)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	look := w.Look()
	for _, group := range []string{"billing", "audit"} {
		w.StatusOf(look, group, "orders", func(p *inspect.PositionStatus) bool { return p.State == "right" })
	}
	r.Stop()
	w.Commit("billing", "orders", 0, 25)
	w.Commit("audit", "orders", 0, 12)
	got := rehearse(w, time.Millisecond) // all that is there is older
	want := map[string][2]int64{"billing": {15, 0}, "audit": {0, 8}}
	for _, g := range got.Groups {
		if g.Exactly || g.InFlight || *g.ReadAgain != want[g.Group][0] || *g.Lost != want[g.Group][1] {
			t.Errorf("receipt %+v: again %d, lost %d, want %v", g, *g.ReadAgain, *g.Lost, want[g.Group])
		}
	}
	for _, text := range []string{
		"group billing in orders/0: it stands at 10 and ought to at 25: 15 records would be read again",
		"group audit in orders/0: it stands at 20 and ought to at 12: 8 records would not be read",
	} {
		if !because(got, text) {
			t.Errorf("no reason is %q: %+v", text, got.Reasons)
		}
	}
	r = w.Start(nil)
	got = rehearse(w, 20*time.Second)
	if got.Verdict != drill.Ready {
		t.Errorf("once they follow: %s, %+v: %+v", got.Verdict, got.Groups, got.Reasons)
	}
	for _, g := range got.Groups {
		if g.Exactly == g.InFlight {
			t.Errorf("once it follows: %+v", g)
		}
	}
	r.Stop()
}

// A group that has read what is not copied yet would read again what was copied since its last position: young records
// are in flight.
func TestAGroupAheadOfTheCopy(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 30)
	w.Commit("billing", "orders", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.StatusOf(w.Look(), "billing", "orders", func(p *inspect.PositionStatus) bool { return p.State == "right" })
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Commit("billing", "orders", 0, 33)
	for inFlight, want := range map[time.Duration]bool{time.Minute: true, time.Millisecond: false} {
		g := rehearse(w, inFlight).Groups[0]
		if g.Exactly || g.InFlight != want || *g.ReadAgain != 20 || *g.Lost != 0 || g.Exact != nil ||
			g.State != "not_copied_yet" || g.AgainSeconds == nil {
			t.Errorf("%s: receipt %+v, want in flight: %t", inFlight, g, want)
		}
	}
}

// A record that is another one on the source shows.
func TestTheLastRecordsAreCompared(t *testing.T) {
	w := flowtest.New(t)
	w.CutAt60()
	w.Plain(w.Sides.Source, "orders", 0, 60)
	got := rehearse(w, time.Second)
	if got.Verdict != drill.NotReady || got.Compared.Differs != 5 ||
		!because(got, "orders/0: the record that was copied from offset 99 to") {
		t.Errorf("%s, compared %+v: %+v", got.Verdict, got.Compared, got.Reasons)
	}
}

// What a drill has left that was killed, the next one deletes; what only has such a name it leaves.
func TestLeftoversAreDeletedOnlyIfTheyAreOurs(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Start(nil)
	w.Equal([]string{"orders"})
	const name = "__replicator-drill.old.new."
	ours := func(topic string) *kgo.Record {
		return &kgo.Record{Key: []byte("replicator drill"), Value: fmt.Appendf(nil, `{"version":1,"topic":%q}`, topic)}
	}
	written := name + "20260101T000000Z-0123456789ab"
	foreign, mixed := name+"20260101T000000Z-aaaaaaaaaaaa", name+"20260101T000000Z-bbbbbbbbbbbb"
	others := []string{foreign, mixed, name + "notes", "__replicator-drill.old.newer.20260101T000000Z-0123456789ab"}
	for _, topic := range append([]string{written, name + "20260101T000000Z-eeeeeeeeeeee"}, others...) {
		w.Must("make topic", w.MakeTopic(w.Sides.Target, topic))
	}
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Target, written, ours(written)))
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Target, foreign, ours(written))) // of another topic
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Target, mixed, ours(mixed), &kgo.Record{Value: []byte("mine")}))
	got := rehearse(w, 5*time.Second)
	slices.Sort(others)
	if left := testTopics(w); !slices.Equal(left, others) {
		t.Errorf("left are %v, want %v", left, others)
	}
	said := fmt.Sprint(got.Warnings)
	if got.Verdict != drill.Ready || len(got.Warnings) != 4 ||
		strings.Count(said, "was left by a drill that did not end") != 2 ||
		strings.Count(said, "not the content: it is left as it is") != 2 {
		t.Errorf("%s, warnings %v, reasons %+v", got.Verdict, got.Warnings, got.Reasons)
	}
}

// A drill that is told to end takes its topic away.
func TestAnInterruptedDrillLeavesNothing(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Start(nil)
	w.Equal([]string{"orders"})
	ctx, cancel := context.WithCancel(w.Ctx)
	_, err := drill.Run(ctx, drill.Options{Clusters: w.Clusters(), Flow: w.Cfg, InFlight: time.Second,
		Began: func(does string) {
			if strings.Contains(does, "a new consumer") {
				if left := testTopics(w); len(left) != 1 {
					t.Errorf("in the middle there are %v", left)
				}
				cancel()
			}
		}})
	if err == nil {
		t.Error("it ended well")
	}
	if left := testTopics(w); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// A flow that has never run cannot be rehearsed.
func TestADrillOfNothing(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	_, err := drill.Run(w.Ctx, drill.Options{Clusters: w.Clusters(), Flow: w.Cfg})
	if err == nil || !strings.Contains(err.Error(), "has never run") {
		t.Errorf("it ended with %v", err)
	}
}
