package replicate

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/compare"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// sourceOnDisk gives the world a source that can be put back.
func (w *world) sourceOnDisk() {
	w.t.Helper()
	w.source = kafkatest.OnDisk(w.t, kfake.ClusterID("old"))
	w.sides.Source, w.from = w.source.Address(), w.source.Admin()
}

// look opens a look at the flow.
func (w *world) look() *Inspection {
	w.t.Helper()
	view, err := Inspect(w.ctx, map[string]kafka.Config{
		"old": w.kafka("old", w.sides.Source), "new": w.kafka("new", w.sides.Target)}, w.cfg, nil)
	w.must("look", err)
	w.t.Cleanup(view.Close)
	return view
}

// cutAt makes a source whose log was cut at 60 of 100, all copied, before anybody looked.
func (w *world) cutAt60() {
	w.t.Helper()
	w.sourceOnDisk()
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 60)
	saved := w.source.Save()
	w.plain(w.sides.Source, "orders", 0, 40)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.source.Restore(saved)
}

// openCut is the ledger's word on the cut of orders/0.
func (w *world) openCut() ledger.Cut {
	w.t.Helper()
	cut := w.state("orders", 0).Cuts.Open()
	if cut == nil {
		w.t.Fatal("the ledger knows of no cut that waits for an order")
	}
	return *cut
}

// place is where a record is on the target by a map without sealed segments.
func place(w *world, state *ledger.State, at offsets.Source) offsets.Target {
	w.t.Helper()
	answer, err := state.Map.Translate(at, state.Progress, nil)
	w.must("translate", err)
	return answer.Target
}

// TestCutIsRemembered: a source that was put back to an earlier state stops the
// partition, and it stays stopped however long the log grows, over a restart, for
// groups, for all who look, and in a one-off copy.
func TestCutIsRemembered(t *testing.T) { onLanes(t, testCutIsRemembered) }

func testCutIsRemembered(t *testing.T, w *world) {
	w.cutAt60()
	w.commit("before", "orders", 0, 30)
	r := w.start(nil)
	stop := r.stopped("orders", 0, chunk.StopTruncated)
	w.plain(w.sides.Source, "orders", 0, 80) // up to 140
	w.commit("after", "orders", 0, 70)
	w.stands("before", "orders", 0, place(w, w.state("orders", 0), 30))
	w.topic("others", 1) // the partitions are arranged anew
	w.plain(w.sides.Source, "others", 0, 5)
	w.equal([]string{"others"})
	r.stopped("orders", 0, chunk.StopTruncated)
	r.stop()
	r = w.start(nil)
	if again := r.stopped("orders", 0, chunk.StopTruncated); again.Reason != stop.Reason {
		t.Errorf("the reason is %q by now, it was %q", again.Reason, stop.Reason)
	}
	r.stop()
	if cut := w.openCut(); cut.At != 60 || cut.Copied != 100 || w.state("orders", 0).Progress != 100 {
		t.Errorf("the ledger says that %+v, want a cut at 60 of 100", cut)
	}
	var unfinished *UnfinishedError
	if err := w.ends(w.once()); !errors.As(err, &unfinished) || len(unfinished.Stops) != 1 {
		t.Errorf("a one-off copy ends with %v, want the stopped partition", err)
	}
	if at := w.position(w.to, "after", "orders", 0); at != -1 {
		t.Errorf("a group beyond the cut was moved to %d", at)
	}
	if n := strings.Count(w.log.String(), "partition goes on"); n != 0 {
		t.Errorf("the partition went on %d times", n)
	}
	w.everybodySeesCut(80)
}

// everybodySeesCut: whoever looks finds orders/0 stopped, with that many offsets that are not copied.
func (w *world) everybodySeesCut(behind int64) {
	w.t.Helper()
	view := w.look()
	status, err := view.Status(w.ctx)
	w.must("status", err)
	p := status.Partitions[0]
	if p.Phase != partition.PhaseStopped || !p.Cuts.Open() || p.Cuts.At != 60 || p.Behind != behind || status.CaughtUp ||
		!strings.Contains(p.Remedy, "replicator resume orders/0") {
		w.t.Errorf("status says %+v of the partition", p)
	}
	plan, err := view.Plan(w.ctx)
	w.must("plan", err)
	if list := plan.InTheWay(); len(list) == 0 || !strings.Contains(list[0].Error(), "cut at offset 60") {
		w.t.Errorf("check says %v", list)
	}
	v, err := view.Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if one := v.Partitions[0]; one.State != partition.PhaseStopped || v.Verdict != Incomplete || one.NotCopied != behind ||
		one.Error != "" || one.Compared != 60 {
		w.t.Errorf("verify says %s, %d compared, %+v", v.Verdict, v.Compared, one)
	}
}

// TestCutIsSeenByLookers: also before any replica has noted it.
func TestCutIsSeenByLookers(t *testing.T) {
	w := newWorld(t)
	w.cutAt60()
	w.everybodySeesCut(0)
}

// TestCutIsFoundWhereItIs: the log was cut at 60 and has grown to 80 by the first look.
func TestCutIsFoundWhereItIs(t *testing.T) { onLanes(t, testCutIsFoundWhereItIs) }

func testCutIsFoundWhereItIs(t *testing.T, w *world) {
	w.cutAt60()
	w.mixed("orders", 1, 10) // aborted records and markers are in the place of what was copied
	r := w.start(nil)
	r.stopped("orders", 0, chunk.StopTruncated)
	if cut := w.openCut(); cut.At != 60 {
		t.Errorf("the cut was found at %d, want 60", cut.At)
	}
}

// TestResumeFromCut: what the source holds from the cut on follows what it has lost;
// the map goes on, groups stand right on both sides of the cut, and verify knows what
// is on the target alone. The flow takes the order up while it runs.
// TestCutBeforeTheTargetWasMadeAgain: whoever looks tells of a cut no more where a run of the flow fills the target
// topic anew, whether or not the cut was noted, and so it does.
func TestCutBeforeTheTargetWasMadeAgain(t *testing.T) {
	testMadeAgain := func(t *testing.T, noted bool) {
		w := newWorld(t)
		w.cutAt60()
		if noted {
			r := w.start(nil)
			r.stopped("orders", 0, chunk.StopTruncated)
			r.stop()
		}
		_, err := w.to.DeleteTopic(w.ctx, "orders")
		w.must("delete the target topic", err)
		_, err = w.to.CreateTopic(w.ctx, 1, 1, nil, "orders")
		w.must("make it again", err)
		view := w.look()
		status, err := view.Status(w.ctx)
		w.must("status", err)
		p := status.Partitions[0]
		if p.Behind != 60 || p.Phase != partition.PhaseWaiting || !strings.Contains(p.Remedy, "it is filled anew") {
			t.Errorf("status says %+v of the partition", p)
		}
		if plan, err := view.Plan(w.ctx); err != nil || len(plan.InTheWay()) > 0 {
			t.Errorf("check says %v, %v", plan.InTheWay(), err)
		}
		if cuts, err := view.OpenCuts(w.ctx); err != nil || len(cuts) > 0 {
			t.Errorf("resume offers %+v, %v", cuts, err)
		}
		r := w.start(nil)
		w.equal([]string{"orders"})
		r.stop()
	}
	t.Run("noted", func(t *testing.T) { testMadeAgain(t, true) })
	t.Run("unseen", func(t *testing.T) { testMadeAgain(t, false) })
}

func TestResumeFromCut(t *testing.T) { onLanes(t, testResumeFromCut) }

func testResumeFromCut(t *testing.T, w *world) {
	w.cfg.Shards = 1
	w.cutAt60()
	r := w.start(nil)
	r.stopped("orders", 0, chunk.StopTruncated)
	w.mixed("orders", 1, 80)
	before := w.state("orders", 0)
	w.resume(false)
	r.copies("orders", 0)
	from := map[string]map[int32]int64{"orders": {0: int64(w.state("orders", 0).Cuts.List[0].Left.To)}}
	onward := judge.SourceFrom(map[string]map[int32]int64{"orders": {0: 60}})
	w.equal([]string{"orders"}, onward, judge.TargetFrom(from))
	w.commit("early", "orders", 0, 30)
	w.stands("early", "orders", 0, place(w, before, 30))
	w.plain(w.sides.Source, "orders", 0, 1)
	for _, at := range []int64{60, 61, 90} {
		w.commit(fmt.Sprintf("g%d", at), "orders", 0, at)
	}
	w.groupsStand([]string{"g60", "g61", "g90"}, []string{"orders"}, onward, judge.TargetFrom(from))
	v, err := w.look().Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if v.Verdict != Equal || v.Unverified[compare.SourceCut] != 40 || v.Compared < 100 {
		t.Errorf("verify says %s: %d compared, %v unverified, %+v", v.Verdict, v.Compared, v.Unverified,
			v.Partitions[0].Differences)
	}
	r.stop()
	cuts := w.state("orders", 0).Cuts
	if cuts.Count != 1 || cuts.Lost != 40 || cuts.List[0].Resumed != 60 || cuts.List[0].Decided.IsZero() {
		t.Errorf("the ledger keeps %+v", cuts)
	}
	status, err := w.look().Status(w.ctx)
	w.must("status", err)
	if p := status.Partitions[0]; !p.Phase.Free() || p.Cuts == nil || p.Cuts.Open() || p.Cuts.Offsets != 40 {
		t.Errorf("status says %+v", p)
	}
}

// resume orders what to do about the cut of orders/0.
func (w *world) resume(fromEnd bool) {
	w.t.Helper()
	view := w.look()
	cuts, err := view.OpenCuts(w.ctx)
	w.must("list cuts", err)
	if len(cuts) != 1 || cuts[0].At != 60 || cuts[0].Lost != 40 {
		w.t.Fatalf("cuts: %+v", cuts)
	}
	w.must("resume", view.Resume(w.ctx, cuts, fromEnd, "test"))
}

// TestResumeAfterAllCameBack: the source's newer data was put back before the order was
// carried out: nothing is copied twice.
func TestResumeAfterAllCameBack(t *testing.T) { onLanes(t, testResumeAfterAllCameBack) }

func testResumeAfterAllCameBack(t *testing.T, w *world) {
	w.sourceOnDisk()
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 60)
	older := w.source.Save()
	w.plain(w.sides.Source, "orders", 0, 40)
	newer := w.source.Save()
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.source.Restore(older)
	r = w.start(nil)
	r.stopped("orders", 0, chunk.StopTruncated)
	r.stop()
	w.source.Restore(newer)
	r = w.start(nil)
	r.stopped("orders", 0, chunk.StopTruncated) // it is not for the flow to say that this was meant so
	w.resume(false)
	r.copies("orders", 0)
	w.plain(w.sides.Source, "orders", 0, 5)
	w.equal([]string{"orders"})
}

// TestCutIsSeenByWhoWatches: a reader that hears nothing is no reason to miss it.
func TestCutIsSeenByWhoWatches(t *testing.T) { onLanes(t, testCutIsSeenByWhoWatches) }

func testCutIsSeenByWhoWatches(t *testing.T, w *world) {
	w.sourceOnDisk()
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 60)
	saved := w.source.Save()
	w.plain(w.sides.Source, "orders", 0, 40)
	r := w.start(nil)
	w.equal([]string{"orders"})
	w.source.Restore(saved)
	var speaks atomic.Bool
	w.source.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.source.KeepControl()
		return nil, errors.New("not now"), !speaks.Load()
	})
	w.await("the watch has seen it", func() bool {
		return strings.Contains(w.log.String(), "the source ends before the progress")
	})
	w.plain(w.sides.Source, "orders", 0, 80)
	speaks.Store(true)
	r.stopped("orders", 0, chunk.StopTruncated)
	if cut := w.openCut(); cut.At != 60 {
		t.Errorf("the cut was found at %d, want 60", cut.At)
	}
}

// TestResumeFromEnd: what the source held when that was ordered is given up, and known
// as that. Nobody runs the flow when it is ordered.
func TestResumeFromEnd(t *testing.T) { onLanes(t, testResumeFromEnd) }

func testResumeFromEnd(t *testing.T, w *world) {
	w.cutAt60()
	r := w.start(nil)
	r.stopped("orders", 0, chunk.StopTruncated)
	r.stop()
	w.plain(w.sides.Source, "orders", 0, 80)
	w.resume(true)
	w.plain(w.sides.Source, "orders", 0, 5)
	r = w.start(nil)
	r.copies("orders", 0)
	w.await("what came after the order is copied", func() bool {
		p, _ := r.shown("orders", 0)
		return p.Progress == 145
	})
	r.stop()
	state := w.state("orders", 0)
	given := state.GivenUp()
	if state.Holes != 0 || state.Lost != 0 || state.Cuts.Open() != nil || state.Cuts.List[0].Resumed != 140 ||
		len(given) != 1 || given[0].From != 60 || given[0].To != 140 || given[0].Ordered.IsZero() {
		t.Errorf("the ledger says %+v, %+v", state.Header, state.Cuts)
	}
	first, _ := state.Map.First()
	last, _ := state.Map.Last()
	if first.Source != 0 || last.Source != 140 || last.SourceEnd() != 145 {
		t.Errorf("the map goes from %v to %v", first, last)
	}
}

// TestCutThatNobodySaw: a source that was put back, and has grown beyond the progress with
// the same leader epoch before anybody looks, is told by its records; and nothing that
// follows them is copied.
func TestCutThatNobodySaw(t *testing.T) { onLanes(t, testCutThatNobodySaw) }

func testCutThatNobodySaw(t *testing.T, w *world) {
	w.cutAt60()
	w.plain(w.sides.Source, "orders", 0, 80) // up to 140
	r := w.start(nil)
	r.stopped("orders", 0, chunk.StopTruncated)
	r.stop()
	if cut := w.openCut(); cut.At != 60 || cut.Copied != 100 {
		t.Errorf("the ledger says that %+v, want a cut at 60 of 100", cut)
	}
	if n := w.count(w.sides.Target, "orders", 1); n != 100 {
		t.Errorf("the target holds %d records, want the 100 of before", n)
	}
}

// TestCutWhileRunning: the same under a daemon that runs, whose connections break and are
// made again.
func TestCutWhileRunning(t *testing.T) { onLanes(t, testCutWhileRunning) }

func testCutWhileRunning(t *testing.T, w *world) {
	w.sourceOnDisk()
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 60)
	saved := w.source.Save()
	w.plain(w.sides.Source, "orders", 0, 40)
	r := w.start(nil)
	w.equal([]string{"orders"})
	w.source.Restore(saved)
	w.plain(w.sides.Source, "orders", 0, 80)
	r.stopped("orders", 0, chunk.StopTruncated)
	if n := w.count(w.sides.Target, "orders", 1); n != 100 {
		t.Errorf("the target holds %d records, want the 100 of before", n)
	}
	r.stop()
}
