package inspect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// tolerant opens a look that makes do without the source.
func tolerant(w *flowtest.World) *snapshot.Viewer {
	w.T.Helper()
	look, err := snapshot.OpenTolerant(w.Ctx, w.Clusters(), w.Cfg, nil)
	w.Must("look", err)
	w.T.Cleanup(look.Close)
	return look
}

// twoBrokers has partitions 0 and 1 of orders on two brokers of the source, with ten records each, all copied; what was
// last seen is noted, and nobody copies any more. Group readers stands at 4 and 7.
func twoBrokers(w *flowtest.World) (doors []kafkatest.Door) {
	w.T.Helper()
	w.Source, doors = kafkatest.Brokers(w.T, 2, kfake.ClusterID("old"))
	w.Sides.Source, w.From = w.Source.Address(), w.Source.Admin()
	w.Tune = func(o *replicate.Options) { o.SeenEvery = time.Second }
	w.Topic("orders", 2)
	for n := range int32(2) {
		w.Must("place", w.Source.MoveTopicPartition("orders", n, n))
		w.Plain(w.Sides.Source, "orders", n, 10)
		w.Commit("readers", "orders", n, 4+3*int64(n))
	}
	r := w.Start(nil)
	look := w.Look()
	w.Await("what was seen is noted, and the group follows", func() bool {
		status, err := inspect.Status(w.Ctx, look)
		w.Must("status", err)
		snap, err := look.Take(w.Ctx, func(string) bool { return true }, false)
		w.Must("look", err)
		for n := range int32(2) {
			view := snap.View(chunk.Partition{Topic: "orders", Number: n})
			if !status.CaughtUp || view.Last.Stable != 10 || w.Position(w.To, "readers", "orders", n) < 0 {
				return false
			}
		}
		return true
	})
	r.Stop()
	return doors
}

// Where the source does not answer, ledger and target tell what they know, and nothing is said to be right.
func TestStatusWithoutTheSource(t *testing.T) {
	w := flowtest.New(t)
	twoBrokers(w)
	orders := chunk.Partition{Topic: "orders"}
	w.Target.Commit("readers", "orders", 1, 9) // as an application does
	w.Source.Close()

	look := tolerant(w)
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	if !status.SourceAway || status.CaughtUp || status.EndsUnknown != 2 || len(status.Problems) == 0 ||
		status.LastSeen == nil || status.LastSeen.Seen == nil || status.LastSeen.Behind != 0 || status.LastSeen.Never != 0 {
		t.Errorf("away %v, caught up %v, %d ends unknown, problems %v, seen %+v", status.SourceAway, status.CaughtUp,
			status.EndsUnknown, status.Problems, status.LastSeen)
	}
	for n, p := range status.Partitions {
		if p.Progress == nil || *p.Progress != 10 || p.LastSeen == nil || p.LastSeen.SourceEnd != 10 ||
			p.Phase != partition.PhaseWaiting {
			t.Errorf("orders/%d: %+v, seen %+v", n, p, p.LastSeen)
		}
	}
	if len(status.Groups) != 1 || len(status.Groups[0].Positions) != 2 {
		t.Fatalf("groups %+v, want two positions of readers", status.Groups)
	}
	carried, own := status.Groups[0].Positions[0], status.Groups[0].Positions[1]
	if carried.State != inspect.CarriedOver || carried.Source != 4 || carried.Translation == nil ||
		carried.Target == nil || *carried.Translation != *carried.Target || !carried.SourceUnknown {
		t.Errorf("the position that was carried over: %+v", carried)
	}
	if own.State != string(groups.ForeignCommit) || own.Target == nil || *own.Target != 9 || !own.SourceUnknown {
		t.Errorf("the position of a consumer there: %+v", own)
	}

	got, err := inspect.Translate(w.Ctx, look, orders, 4)
	w.Must("translate", err)
	if got.Target != *carried.Target || !got.EndsUnknown || got.LastSeen == nil || got.LastSeen.SourceEnd != 10 {
		t.Errorf("offset 4: %+v", got)
	}
	back, err := inspect.Invert(w.Ctx, look, orders, got.Target)
	w.Must("invert", err)
	if back.Source != 4 {
		t.Errorf("target offset %d is %d, want 4", got.Target, back.Source)
	}
	if _, err := inspect.Translate(w.Ctx, look, orders, 11); err == nil {
		t.Error("an offset that was not copied has an answer")
	}
	report, err := verify.Flow(w.Ctx, look, verify.Options{})
	w.Must("verify", err)
	if report.Verdict != verify.Incomplete || report.Compared != 0 || len(report.Partitions) != 2 {
		t.Errorf("verify: %s, %d compared in %d partitions", report.Verdict, report.Compared, len(report.Partitions))
	}
}

// Where half of the source answers, that half is told as ever, and of the rest what was last seen.
func TestStatusWithHalfOfTheSource(t *testing.T) {
	w := flowtest.New(t)
	doors := twoBrokers(w)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Plain(w.Sides.Source, "orders", 1, 5) // which nobody has seen
	doors[1].Shut()

	look := tolerant(w)
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	if status.SourceAway || status.CaughtUp || status.EndsUnknown != 1 || status.Behind != 5 {
		t.Errorf("away %v, caught up %v, %d ends unknown, %d behind", status.SourceAway, status.CaughtUp,
			status.EndsUnknown, status.Behind)
	}
	heard, silent := status.Partitions[0], status.Partitions[1]
	if heard.EndsUnknown || heard.LastSeen != nil || heard.SourceEnd != 15 {
		t.Errorf("the one that is told of: %+v", heard)
	}
	if !silent.EndsUnknown || silent.LastSeen == nil || silent.LastSeen.SourceEnd != 10 || silent.LastSeen.Behind != 0 {
		t.Errorf("the one that is not: %+v, seen %+v", silent, silent.LastSeen)
	}
	for _, g := range status.Groups {
		for _, at := range g.Positions {
			if at.State == string(groups.InSync) && at.SourceUnknown {
				t.Errorf("a position that was not seen is right: %+v", at)
			}
		}
	}
	report, err := verify.Flow(w.Ctx, look, verify.Options{})
	w.Must("verify", err)
	if report.Verdict != verify.Incomplete || report.Compared != 10 {
		t.Errorf("verify: %s, %d compared, want 10 of the half that answers", report.Verdict, report.Compared)
	}
}

// What an open transaction held when the source died is told, and what was behind.
func TestLossThatWasSeen(t *testing.T) {
	w := flowtest.New(t)
	w.Tune = func(o *replicate.Options) { o.SeenEvery = time.Second }
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	open := w.Source.Writer(kgo.TransactionalID("app"))
	w.Must("begin", open.BeginTransaction())
	for range 3 {
		w.Must("write", open.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("open")}).FirstErr())
	}
	r := w.Start(nil)
	look := w.Look()
	w.Await("the open transaction is noted", func() bool {
		snap, err := look.Take(w.Ctx, func(string) bool { return true }, false)
		w.Must("look", err)
		return snap.View(chunk.Partition{Topic: "orders"}).Last.Held() == 3
	})
	r.Stop()
	w.Source.Close()
	status, err := inspect.Status(w.Ctx, tolerant(w))
	w.Must("status", err)
	if p := status.Partitions[0]; status.LastSeen == nil || status.LastSeen.Open != 3 || p.LastSeen == nil ||
		p.LastSeen.SourceEnd != 10 || p.LastSeen.Since == nil || *p.Progress != offsets.Source(10) {
		t.Errorf("seen %+v, of the partition %+v", status.LastSeen, p.LastSeen)
	}
}

// Beside a broker that takes connections and answers nobody a look takes as long as a question to it, not as long as
// all of them, and says what was not answered.
func TestFrozenBrokerOfTheSource(t *testing.T) {
	w := flowtest.New(t)
	twoBrokers(w)[0].Freeze()
	look := tolerant(w)
	begun := time.Now()
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	report, err := verify.Flow(w.Ctx, look, verify.Options{})
	w.Must("verify", err)
	if took := time.Since(begun); took > 3*snapshot.Patience {
		t.Errorf("status and verify took %s together", took)
	}
	if status.SourceAway || status.CaughtUp || status.EndsUnknown != 1 ||
		!strings.Contains(status.Partitions[0].Reason, "does not answer") || status.Partitions[1].EndsUnknown {
		t.Errorf("away %v, %d ends unknown: %+v", status.SourceAway, status.EndsUnknown, status.Partitions)
	}
	if report.Verdict != verify.Incomplete || report.Compared != 10 {
		t.Errorf("verify: %s, %d compared, want 10 of the half that answers", report.Verdict, report.Compared)
	}
}

// The same of the target: without its part of the ledger nothing is known of the flow, which is said soon.
func TestFrozenBrokerOfTheTarget(t *testing.T) {
	w := flowtest.New(t)
	var doors []kafkatest.Door
	w.Target, doors = kafkatest.Brokers(w.T, 2, kfake.ClusterID("new"))
	w.Sides.Target, w.To = w.Target.Address(), w.Target.Admin()
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Must("copy", w.Ends(w.Once()))
	w.Must("place", w.Target.MoveTopicPartition(w.Cfg.LedgerTopic(), 0, 0))
	w.Must("place", w.Target.MoveTopicPartition(w.Cfg.LedgerTopic(), 1, 1))
	doors[1].Freeze()
	begun := time.Now()
	look := tolerant(w)
	_, ofStatus := inspect.Status(w.Ctx, look)
	_, ofVerify := verify.Flow(w.Ctx, look, verify.Options{})
	if took := time.Since(begun); took > 6*snapshot.Patience {
		t.Errorf("status and verify took %s together", took)
	}
	for verb, err := range map[string]error{"status": ofStatus, "verify": ofVerify} {
		if err == nil || !strings.Contains(err.Error(), "does not answer") || chunk.Remedy(err) == "" {
			t.Errorf("%s ends with %v", verb, err)
		}
	}
}

// Of a flow whose target is dead its source tells what it holds, and what came after the opposite flow last heard of
// that side.
func TestStatusWithoutTheTarget(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Tune = func(o *replicate.Options) { o.SeenEvery = time.Second }
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	look := w.Look()
	w.Await("the source's end is noted", func() bool {
		snap, err := look.Take(w.Ctx, func(string) bool { return true }, false)
		w.Must("look", err)
		return snap.View(chunk.Partition{Topic: "orders"}).Last.Known()
	})
	r.Stop()
	w.Plain(w.Sides.Target, "orders", 0, 3)
	w.Source.Close()
	watch := inspect.Watch(w.Clusters(), []settings.Config{p.Back})
	defer watch.Close()
	seen, failed := watch.Status(w.Ctx)
	if len(seen) != 0 || len(failed) != 1 {
		t.Fatalf("%d flows, failed %v", len(seen), failed)
	}
	said := failed[0].Error()
	for _, want := range []string{"flow new->old: cluster old (", "it is the target, and keeps the ledger: ",
		"new holds up to 14 records of its topics, of which up to 3 came after 20", ", when flow old->new last heard of it"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if fix := chunk.Remedy(failed[0]); !strings.Contains(fix, "Once old answers the flow goes on from its ledger") {
		t.Errorf("the remedy is %q", fix)
	}
}
