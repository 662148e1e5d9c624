package replicate_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/partition"
)

// TestCutIsRemembered: a source that was put back to an earlier state stops the
// partition, and it stays stopped however long the log grows, over a restart, for
// groups, for all who look, and in a one-off copy.
func TestCutIsRemembered(t *testing.T) { flowtest.OnLanes(t, testCutIsRemembered) }

func testCutIsRemembered(t *testing.T, w *flowtest.World) {
	w.CutAt60()
	w.Commit("before", "orders", 0, 30)
	r := w.Start(nil)
	stop := r.Stopped("orders", 0, chunk.StopSourceTruncated)
	w.Plain(w.Sides.Source, "orders", 0, 80) // up to 140
	w.Commit("after", "orders", 0, 70)
	w.Stands("before", "orders", 0, flowtest.Place(w, w.State("orders", 0), 30))
	w.Topic("others", 1) // the partitions are arranged anew
	w.Plain(w.Sides.Source, "others", 0, 5)
	w.Equal([]string{"others"})
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	r.Stop()
	r = w.Start(nil)
	if again := r.Stopped("orders", 0, chunk.StopSourceTruncated); again.Reason != stop.Reason {
		t.Errorf("the reason is %q by now, it was %q", again.Reason, stop.Reason)
	}
	r.Stop()
	if cut := w.OpenCut(); cut.At != 60 || cut.Copied != 100 || w.State("orders", 0).Progress != 100 {
		t.Errorf("the ledger says that %+v, want a cut at 60 of 100", cut)
	}
	var unfinished *replicate.UnfinishedError
	if err := w.Ends(w.Once()); !errors.As(err, &unfinished) || len(unfinished.Stops) != 1 {
		t.Errorf("a one-off copy ends with %v, want the stopped partition", err)
	}
	if at := w.Position(w.To, "after", "orders", 0); at != -1 {
		t.Errorf("a group beyond the cut was moved to %d", at)
	}
	if n := strings.Count(w.Log.String(), "partition goes on"); n != 0 {
		t.Errorf("the partition went on %d times", n)
	}
	everybodySeesCut(w, 80)
}

// everybodySeesCut: whoever looks finds orders/0 stopped, with that many offsets that are not copied.
func everybodySeesCut(w *flowtest.World, behind int64) {
	w.T.Helper()
	view := w.Look()
	status, err := inspect.Status(w.Ctx, view)
	w.Must("status", err)
	p := status.Partitions[0]
	if p.Phase != partition.PhaseStopped || !p.Cuts.Open() || p.Cuts.At != 60 || p.Behind != behind || status.CaughtUp ||
		!strings.Contains(p.Remedy, "replicator resume orders/0") {
		w.T.Errorf("status says %+v of the partition", p)
	}
	plan, err := preflight.Plan(w.Ctx, view)
	w.Must("plan", err)
	if list := plan.InTheWay(); len(list) == 0 || !strings.Contains(list[0].Error(), "cut at offset 60") {
		w.T.Errorf("check says %v", list)
	}
	v, err := verify.Flow(w.Ctx, view, verify.Options{})
	w.Must("verify", err)
	if one := v.Partitions[0]; one.State != partition.PhaseStopped || v.Verdict != verify.Incomplete ||
		one.NotCopied != behind ||
		one.Error != "" || one.Compared != 60 {
		w.T.Errorf("verify says %s, %d compared, %+v", v.Verdict, v.Compared, one)
	}
}

// TestCutIsSeenBeforeItIsNoted: also before any replica has noted it.
func TestCutIsSeenBeforeItIsNoted(t *testing.T) {
	w := flowtest.New(t)
	w.CutAt60()
	everybodySeesCut(w, 0)
}

// TestCutIsFoundWhereItIs: the log was cut at 60 and has grown to 80 by the first look.
func TestCutIsFoundWhereItIs(t *testing.T) { flowtest.OnLanes(t, testCutIsFoundWhereItIs) }

func testCutIsFoundWhereItIs(t *testing.T, w *flowtest.World) {
	w.CutAt60()
	w.Mixed("orders", 1, 10) // aborted records and markers are in the place of what was copied
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	if cut := w.OpenCut(); cut.At != 60 {
		t.Errorf("the cut was found at %d, want 60", cut.At)
	}
}

// TestCutBeforeTheTargetWasMadeAgain: whoever looks tells of a cut no more where a run of the flow fills the target
// topic anew, whether or not the cut was noted, and so it does.
func TestCutBeforeTheTargetWasMadeAgain(t *testing.T) {
	testMadeAgain := func(t *testing.T, noted bool) {
		w := flowtest.New(t)
		w.CutAt60()
		if noted {
			r := w.Start(nil)
			r.Stopped("orders", 0, chunk.StopSourceTruncated)
			r.Stop()
		}
		_, err := w.To.DeleteTopic(w.Ctx, "orders")
		w.Must("delete the target topic", err)
		_, err = w.To.CreateTopic(w.Ctx, 1, 1, nil, "orders")
		w.Must("make it again", err)
		view := w.Look()
		status, err := inspect.Status(w.Ctx, view)
		w.Must("status", err)
		p := status.Partitions[0]
		if p.Behind != 60 || p.Phase != partition.PhaseWaiting || !strings.Contains(p.Remedy, "it is filled anew") {
			t.Errorf("status says %+v of the partition", p)
		}
		if plan, err := preflight.Plan(w.Ctx, view); err != nil || len(plan.InTheWay()) > 0 {
			t.Errorf("check says %v, %v", plan.InTheWay(), err)
		}
		if cuts, err := inspect.OpenCuts(w.Ctx, view); err != nil || len(cuts) > 0 {
			t.Errorf("resume offers %+v, %v", cuts, err)
		}
		r := w.Start(nil)
		w.Equal([]string{"orders"})
		r.Stop()
	}
	t.Run("noted", func(t *testing.T) { testMadeAgain(t, true) })
	t.Run("unseen", func(t *testing.T) { testMadeAgain(t, false) })
}

// TestResumeFromCut: what the source holds from the cut on follows what it has lost;
// the map goes on, groups stand right on both sides of the cut, and verify knows what
// is on the target alone. The flow takes the order up while it runs.
func TestResumeFromCut(t *testing.T) { flowtest.OnLanes(t, testResumeFromCut) }

func testResumeFromCut(t *testing.T, w *flowtest.World) {
	w.Cfg.Shards = 1
	w.CutAt60()
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	w.Mixed("orders", 1, 80)
	before := w.State("orders", 0)
	w.Resume(false)
	r.Copies("orders", 0)
	from := map[string]map[int32]int64{"orders": {0: int64(w.State("orders", 0).Cuts.List[0].Left.To)}}
	onward := judge.SourceFrom(map[string]map[int32]int64{"orders": {0: 60}})
	w.Equal([]string{"orders"}, onward, judge.TargetFrom(from))
	w.Commit("early", "orders", 0, 30)
	w.Stands("early", "orders", 0, flowtest.Place(w, before, 30))
	w.Plain(w.Sides.Source, "orders", 0, 1)
	for _, at := range []int64{60, 61, 90} {
		w.Commit(fmt.Sprintf("g%d", at), "orders", 0, at)
	}
	w.GroupsStand([]string{"g60", "g61", "g90"}, []string{"orders"}, onward, judge.TargetFrom(from))
	v, err := verify.Flow(w.Ctx, w.Look(), verify.Options{})
	w.Must("verify", err)
	if v.Verdict != verify.Equal || v.Unverified[compare.SourceCut] != 40 || v.Compared < 100 {
		t.Errorf("verify says %s: %d compared, %v unverified, %+v", v.Verdict, v.Compared, v.Unverified,
			v.Partitions[0].Differences)
	}
	r.Stop()
	cuts := w.State("orders", 0).Cuts
	if cuts.Count != 1 || cuts.Lost != 40 || cuts.List[0].Resumed != 60 || cuts.List[0].Decided.IsZero() {
		t.Errorf("the ledger keeps %+v", cuts)
	}
	status, err := inspect.Status(w.Ctx, w.Look())
	w.Must("status", err)
	if p := status.Partitions[0]; !p.Phase.Free() || p.Cuts == nil || p.Cuts.Open() || p.Cuts.Offsets != 40 {
		t.Errorf("status says %+v", p)
	}
}

// TestResumeAfterAllCameBack: the source's newer data was put back before the order was
// carried out: nothing is copied twice.
func TestResumeAfterAllCameBack(t *testing.T) { flowtest.OnLanes(t, testResumeAfterAllCameBack) }

func testResumeAfterAllCameBack(t *testing.T, w *flowtest.World) {
	w.SourceOnDisk()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 60)
	older := w.Source.Save()
	w.Plain(w.Sides.Source, "orders", 0, 40)
	newer := w.Source.Save()
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Source.Restore(older)
	r = w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	r.Stop()
	w.Source.Restore(newer)
	r = w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated) // it is not for the flow to say that this was meant so
	w.Resume(false)
	r.Copies("orders", 0)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Equal([]string{"orders"})
}

// TestCutIsSeenWithoutAReader: a reader that hears nothing is no reason to miss it.
func TestCutIsSeenWithoutAReader(t *testing.T) { flowtest.OnLanes(t, testCutIsSeenWithoutAReader) }

func testCutIsSeenWithoutAReader(t *testing.T, w *flowtest.World) {
	w.SourceOnDisk()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 60)
	saved := w.Source.Save()
	w.Plain(w.Sides.Source, "orders", 0, 40)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Source.Restore(saved)
	var speaks atomic.Bool
	w.Source.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
		return nil, errors.New("not now"), !speaks.Load()
	})
	w.Await("the watch has seen it", func() bool {
		return strings.Contains(w.Log.String(), "the source ends before the progress")
	})
	w.Plain(w.Sides.Source, "orders", 0, 80)
	speaks.Store(true)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	if cut := w.OpenCut(); cut.At != 60 {
		t.Errorf("the cut was found at %d, want 60", cut.At)
	}
}

// TestResumeFromEnd: what the source held when that was ordered is given up, and known
// as that. Nobody runs the flow when it is ordered.
func TestResumeFromEnd(t *testing.T) { flowtest.OnLanes(t, testResumeFromEnd) }

func testResumeFromEnd(t *testing.T, w *flowtest.World) {
	w.CutAt60()
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 80)
	w.Resume(true)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r = w.Start(nil)
	r.Copies("orders", 0)
	w.Await("what came after the order is copied", func() bool {
		p, _ := r.Shown("orders", 0)
		return p.Progress == 145
	})
	r.Stop()
	state := w.State("orders", 0)
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
func TestCutThatNobodySaw(t *testing.T) { flowtest.OnLanes(t, testCutThatNobodySaw) }

func testCutThatNobodySaw(t *testing.T, w *flowtest.World) {
	w.CutAt60()
	w.Plain(w.Sides.Source, "orders", 0, 80) // up to 140
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	r.Stop()
	if cut := w.OpenCut(); cut.At != 60 || cut.Copied != 100 {
		t.Errorf("the ledger says that %+v, want a cut at 60 of 100", cut)
	}
	if n := count(w, w.Sides.Target, "orders", 1); n != 100 {
		t.Errorf("the target holds %d records, want the 100 of before", n)
	}
}

// TestCutWhileRunning: the same under a daemon that runs, whose connections break and are
// made again.
func TestCutWhileRunning(t *testing.T) { flowtest.OnLanes(t, testCutWhileRunning) }

func testCutWhileRunning(t *testing.T, w *flowtest.World) {
	w.SourceOnDisk()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 60)
	saved := w.Source.Save()
	w.Plain(w.Sides.Source, "orders", 0, 40)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Source.Restore(saved)
	w.Plain(w.Sides.Source, "orders", 0, 80)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	if n := count(w, w.Sides.Target, "orders", 1); n != 100 {
		t.Errorf("the target holds %d records, want the 100 of before", n)
	}
	r.Stop()
}
