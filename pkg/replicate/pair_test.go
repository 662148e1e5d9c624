package replicate_test

import (
	"fmt"
	"github.com/prometheus/client_golang/prometheus"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/ownership"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
)

// TestPairCarriesEachRecordOnce: two flows under the same names, both topics with records of their own from the start;
// each record is on each side once, whoever is restarted.
func TestPairCarriesEachRecordOnce(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 2)
	w.Must("make the topic", workload.Topics(w.Ctx, w.Sides.Target, 2, workload.KeepConfigs(), "orders"))
	written := 0
	write := func(n int) {
		for number := range int32(2) {
			w.Plain(w.Sides.Source, "orders", number, n)
			w.Plain(w.Sides.Target, "orders", number, n)
		}
		written += 4 * n
	}
	write(10)
	before := written / 2 // on the target when the flow first comes to it
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", written)
	write(15)
	p.SameOnBoth("orders", written)
	r.Stop()
	write(5)
	p.StartFlows(p.There)
	p.StartFlows(p.Back)
	write(5)
	p.SameOnBoth("orders", written)

	look := w.Look()
	w.Await("all is copied", func() bool { return w.Partition(look).Behind == 0 })
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	if !slices.Equal(status.Pair, []string{"new->old"}) {
		t.Errorf("status says that it makes a pair with %v", status.Pair)
	}
	v := w.Verify(verify.Options{})
	if v.Verdict != verify.Equal || v.Compared != int64(written/2) ||
		v.Unverified[compare.Native] != int64(written/2-before) || v.Unverified[compare.LeftOut] != int64(written/2) {
		t.Errorf("verify says %+v", v)
	}
}

// TestVerifyWhereOnlyTheOtherSideWrites: a flow that has left out all that there is has nothing that could differ.
func TestVerifyWhereOnlyTheOtherSideWrites(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Target, "orders", 0, 10)
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 10)
	look := w.Look()
	w.Await("all is left out", func() bool { return w.Partition(look).Behind == 0 })
	v := w.Verify(verify.Options{})
	if v.Verdict != verify.Equal || v.Compared != 0 || v.Unverified[compare.LeftOut] != 10 {
		t.Errorf("verify says %s, %+v, %+v", v.Verdict, v.Incomplete, v.Unverified)
	}
}

// TestLostTopicIsRefilled: a topic that is deleted on one side and made again gets all that the other has, what began
// on it among that, in order and once; and both flows go on.
func TestLostTopicIsRefilled(t *testing.T) {
	for _, lost := range []string{"old", "new"} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running %t", lost, running), func(t *testing.T) {
				testLostTopicIsRefilled(t, lost, running)
			})
		}
	}
}

func testLostTopicIsRefilled(t *testing.T, lost string, running bool) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	written := 0
	write := func(n int) {
		w.Plain(w.Sides.Source, "orders", 0, n)
		w.Plain(w.Sides.Target, "orders", 0, n)
		written += 2 * n
	}
	write(10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", written)
	write(10)
	p.SameOnBoth("orders", written)
	admin, side, kept := w.From, w.Sides.Source, w.Sides.Target
	if lost == "new" {
		admin, side, kept = w.To, w.Sides.Target, w.Sides.Source
	}
	if !running {
		r.Stop()
	}
	before := w.Holds(kept, "orders")
	w.Delete(admin, "orders")
	w.Await("the topic is there again", func() bool { return !running || w.There(admin, "orders") })
	if !running {
		w.Must("make it again", w.MakeTopic(side, "orders"))
		p.StartFlows(p.There)
		p.StartFlows(p.Back)
	}
	p.SameOnBoth("orders", written)
	if got := w.Holds(side, "orders"); !slices.Equal(got, before) {
		t.Errorf("it was refilled with %q, want %q", got, before)
	}
	write(10)
	p.SameOnBoth("orders", written)
}

// TestLostSideIsRefilled: a cluster whose topics are all gone, the ledger among them, is one.
func TestLostSideIsRefilled(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 20)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	p.SameOnBoth("orders", 40)
	r.Stop()
	w.Delete(w.From, "orders")
	w.Delete(w.From, p.Back.LedgerTopic())
	w.Plain(w.Sides.Target, "orders", 0, 5)
	p.StartFlows(p.There)
	p.StartFlows(p.Back)
	p.SameOnBoth("orders", 45)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	p.SameOnBoth("orders", 65)
}

// TestLostLedgerOfAPair: where the ledger of one flow is gone, and the topics that it filled are not, neither flow goes
// on; an operator may have them go on.
func TestLostLedgerOfAPair(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 20)
	w.Await("each has noted the other", func() bool { return w.Noted(p.There) && w.Noted(p.Back) })
	r.Stop()
	w.Delete(w.From, p.Back.LedgerTopic())
	r = p.StartFlows(p.There, p.Back)
	w.Await("both stand still", func() bool {
		return strings.Contains(w.Log.String(), "had another ledger topic") &&
			strings.Contains(w.Log.String(), "is gone, or another one by now")
	})
	r.Stop()
	p.SameOnBoth("orders", 20)
	seen, err := ownership.Read(w.Ctx, w.Clusters(), p.There)
	w.Must("read", err)
	if !strings.Contains(seen.Refused, "(orders)") || !strings.Contains(seen.Remedy, "--accept-opposite") {
		t.Errorf("ledger says %q; %q", seen.Refused, seen.Remedy)
	}
	seen, err = ownership.AcceptOpposite(w.Ctx, w.Clusters(), p.There, nil)
	w.Must("accept", err)
	if seen.Refused != "" {
		t.Errorf("it was accepted, and is refused: %s", seen.Refused)
	}
}

// TestSideBuiltAnew: an empty cluster of another id takes the place of a lost one, once an operator has said so; it
// gets all, what began on the former one among that.
func TestSideBuiltAnew(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 20)
	w.Await("each has noted the other", func() bool { return w.Noted(p.There) && w.Noted(p.Back) })
	r.Stop()
	w.Source, w.Sides.Source, w.From = w.Cluster("built-anew")
	w.Plain(w.Sides.Target, "orders", 0, 5)
	seen, err := ownership.Read(w.Ctx, w.Clusters(), p.There)
	w.Must("read", err)
	if !strings.Contains(seen.Refused, "cluster") {
		t.Errorf("another cluster in its place is refused with %q", seen.Refused)
	}
	back := p.StartFlows(p.Back) // it has begun before anybody says so
	w.Await("it is refilled", func() bool {
		return w.There(w.From, "orders") && len(w.Holds(w.Sides.Source, "orders")) == 25
	})
	_, err = ownership.Accept(w.Ctx, w.Clusters(), p.There, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "replicas of the opposite flow new->old are at work") {
		t.Errorf("while the opposite flow runs it is accepted: %v", err)
	}
	back.Stop()
	_, err = ownership.Accept(w.Ctx, w.Clusters(), p.There, slog.New(slog.DiscardHandler))
	w.Must("accept", err)
	p.StartFlows(p.Back)
	p.StartFlows(p.There)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	p.SameOnBoth("orders", 45)
	w.Plain(w.Sides.Source, "orders", 0, 1) // what came after the others shows that none of them came twice
	w.Plain(w.Sides.Target, "orders", 0, 1)
	p.SameOnBoth("orders", 47)
}

// TestSecondPairOfTheSameClusters: flows of the same names have the same producer ids, whatever their ledgers: a second
// pair, for other topics, is told from the first.
func TestSecondPairOfTheSameClusters(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Topics, w.Cfg.Shards = []string{"orders"}, 1
	p := w.Pair()
	w.Topic("orders", 1)
	w.Topic("users", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	p.SameOnBoth("orders", 20)
	r.Stop()
	there, back := p.There, p.Back
	there.Topics, there.Ledger, there.Flows, there.Beside = []string{"users"}, "__replicator.second", nil, nil
	back.Topics, back.Ledger, back.Flows, back.Beside = []string{"users"}, "__replicator.second-back", nil, nil
	w.Plain(w.Sides.Source, "users", 0, 10)
	r = p.StartFlows(there)
	w.Await("it is copied", func() bool { return w.There(w.To, "users") && len(w.Holds(w.Sides.Target, "users")) == 10 })
	r.Stop()
	p.StartFlows(there)
	p.StartFlows(back)
	for n := 1; n <= 3; n++ {
		w.Plain(w.Sides.Source, "users", 0, 5)
		w.Plain(w.Sides.Target, "users", 0, 5)
		p.SameOnBoth("users", 10+10*n)
	}
}

// TestPairOfAFlowThatFailedOver: what a closed flow is to carry once it was failed back is nobody else's.
func TestPairOfAFlowThatFailedOver(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 10)
	r.Stop()
	back := p.Back
	back.Beside, back.Flows = nil, nil // of a file of its own
	for failover, want := range map[string]int{"": 0, "some": 1} {
		closed := handover.Encode(handover.Direction{Closed: true, By: p.Back.Name(), Failover: failover})
		w.Must("close it", ledger.WriteNotes(w.Ctx, w.Clusters()["new"], p.There.LedgerTopic(), 0,
			[]ledger.Record{ledger.NoteRecord(handover.DirectionName, closed)}))
		look, err := snapshot.Open(w.Ctx, w.Clusters(), back, nil)
		w.Must("look", err)
		defer look.Close()
		if pair := look.Around.Pair(); len(pair) != want {
			t.Errorf("closed, with failover %q, it makes a pair with %v", failover, pair)
		}
	}
}

// TestPairWantsAllReplicas: a replica that does not see who wrote a record would carry back what an opposite flow
// brings: beside one the opposite flow is refused, and begins once it is gone.
func TestPairWantsAllReplicas(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 8)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	alone := p.There
	alone.Beside, alone.Flows = nil, nil // of a file of its own
	blind := alone
	blind.Lane = settings.LaneRecord
	first, second := p.StartFlows(alone), p.StartFlows(blind)
	w.Await("each sees the other", func() bool {
		differing := func(r *flowtest.Replica) float64 { return r.Scrape("replicator_replicas_differing")[""] }
		return second.Owned() > 0 && differing(first) == 1 && differing(second) == 1
	})
	says := func(want string) bool {
		books, err := ledger.ReadAsItIs(w.Ctx, w.Clusters()["new"], p.There.LedgerTopic())
		w.Must("read", err)
		return strings.Contains(string(books[0].Note(ledger.RulesName)), "leaves_out") == (want != "")
	}
	w.Await("it is noted that not all leave out", func() bool { return says("") })
	for _, late := range []string{"late-1", "late-2", "late-3", "late-4", "late-5"} { // each shows one more refresh
		w.Topic(late, 1)
		w.Await("it is made on the target", func() bool {
			if !says("") {
				t.Fatal("one replica notes for itself")
			}
			return w.There(w.To, late)
		})
	}
	back := p.Back
	back.Beside, back.Flows = nil, nil
	_, refused := launch(w, replicate.Options{Clusters: w.Clusters(), Flows: []settings.Config{back},
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&w.Log, nil))})
	if err := <-refused; !provenance.IsConflict(err) || !strings.Contains(chunk.Remedy(err), "flow old->new does not") {
		t.Errorf("the opposite flow ends with %v; %s", err, chunk.Remedy(err))
	}
	second.Stop()
	w.Await("all leave out", func() bool { return says("opposite") })
	p.StartFlows(back)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	p.SameOnBoth("orders", 20)
	w.Plain(w.Sides.Source, "orders", 0, 1)
	p.SameOnBoth("orders", 21)
}
