package replicate_test

import (
	"strings"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// targetWasCut checks that the partition stops for that, at the right place.
func targetWasCut(w *flowtest.World, r *flowtest.Replica) {
	w.T.Helper()
	r.Stopped("orders", 0, chunk.StopTargetTruncated)
	if cut := w.OpenCut(); !cut.Target || cut.At != 60 || cut.Copied != 100 {
		w.T.Errorf("the ledger says that %+v, want a cut of the target at 60 of 100", cut)
	}
}

// TestTargetIsPutBack: a target whose log lost its end, while the ledger knows of it, stops
// the partition; it stays stopped until an operator decides. Then all that it lost is copied
// again, once, and groups stand exactly.
func TestTargetIsPutBack(t *testing.T) { flowtest.OnLanes(t, testTargetIsPutBack) }

func testTargetIsPutBack(t *testing.T, w *flowtest.World) {
	saved := w.CutTarget()
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Target.Restore(saved)
	r = w.Start(nil)
	targetWasCut(w, r)
	w.Plain(w.Sides.Source, "orders", 0, 30)
	r.Stop()
	r = w.Start(nil)
	r.Stopped("orders", 0, chunk.StopTargetTruncated)
	w.Resume(false)
	w.Equal([]string{"orders"})
	w.Groups([]string{"orders"})
	r.Stop()
	if state := w.State("orders", 0); state.Cuts.Open() != nil || state.Progress != 130 || state.Holes != 0 {
		t.Errorf("in the end the ledger says %+v", state.Header)
	}
}

// TestTargetIsPutBackWhileRunning: what lands below the last record of the map shows it too, and
// nothing of what follows is committed, however far the log grows by that.
func TestTargetIsPutBackWhileRunning(t *testing.T) {
	flowtest.OnLanes(t, testTargetIsPutBackWhileRunning)
}

func testTargetIsPutBackWhileRunning(t *testing.T, w *flowtest.World) {
	saved := w.CutTarget()
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Target.Restore(saved)
	w.Plain(w.Sides.Source, "orders", 0, 200)
	targetWasCut(w, r)
	w.Resume(false)
	w.Equal([]string{"orders"})
	w.Groups([]string{"orders"})
	r.Stop()
}

// TestTargetComesBack: the log that was lost is put back before the order is carried out; then
// nothing is copied twice.
func TestTargetComesBack(t *testing.T) { flowtest.OnLanes(t, testTargetComesBack) }

func testTargetComesBack(t *testing.T, w *flowtest.World) {
	saved := w.CutTarget()
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	whole := w.Target.Restore(saved)
	r = w.Start(nil)
	targetWasCut(w, r)
	r.Stop()
	w.Target.Restore(whole)
	w.Plain(w.Sides.Source, "orders", 0, 30)
	w.Resume(false)
	r = w.Start(nil)
	w.Equal([]string{"orders"})
	w.Groups([]string{"orders"})
	r.Stop()
	if state := w.State("orders", 0); state.Progress != 130 || len(state.GivenUp()) != 0 {
		t.Errorf("in the end the ledger says %+v", state.Header)
	}
}

// TestTargetLosesWhatIsGivenUp: --from-end leaves out what the target lost, and counts it.
func TestTargetLosesWhatIsGivenUp(t *testing.T) {
	w := flowtest.New(t)
	saved := w.CutTarget()
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Target.Restore(saved)
	r = w.Start(nil)
	targetWasCut(w, r)
	w.Resume(true)
	w.Await("copying goes on", func() bool { return w.State("orders", 0).Cuts.Open() == nil })
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Await("what comes now is copied", func() bool { return count(w, w.Sides.Target, "orders", 1) == 65 })
	r.Stop()
	given := w.State("orders", 0).GivenUp()
	if len(given) != 1 || given[0].From != offsets.Source(60) || given[0].To != 100 {
		t.Errorf("given up: %+v", given)
	}
}

// TestTargetCutIsSeenBeforeItIsNoted: also before any replica has noted it, and with the reason that is true. Where the
// good copy is there again, nothing is said.
func TestTargetCutIsSeenBeforeItIsNoted(t *testing.T) {
	w := flowtest.New(t)
	saved := w.CutTarget()
	w.Commit("behind", "orders", 0, 80)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	at := flowtest.Place(w, w.State("orders", 0), 80)
	w.Stands("behind", "orders", 0, at)
	r.Stop()
	good := w.Target.Restore(saved)
	view := w.Look()
	status, err := inspect.Status(w.Ctx, view)
	w.Must("status", err)
	p := status.Partitions[0]
	if p.Phase != partition.PhaseStopped || status.CaughtUp || p.Behind != 40 || !p.Cuts.Open() ||
		p.Cuts.Side != "target" || p.Cuts.At != 60 || p.Cuts.Undecided() ||
		!strings.Contains(p.Reason, "the target's log was cut") {
		t.Errorf("status says %+v of the partition", p)
	}
	group := w.StatusOf(view, "behind", "orders", func(*inspect.PositionStatus) bool { return true })
	if group.State != string(groups.NoAnswer) || !strings.Contains(group.Why, "the target's log was cut") {
		t.Errorf("status says %+v of a group behind the cut", group)
	}
	_, err = inspect.Translate(w.Ctx, view, chunk.Partition{Topic: "orders"}, 80)
	if err == nil || !strings.Contains(err.Error(), "the target's log was cut") {
		t.Errorf("an offset that the target has lost is translated: %v", err)
	}
	drained, err := inspect.Drained(w.Ctx, view)
	w.Must("drained", err)
	if drained.AgedOut() || len(drained.Cuts) != 1 {
		t.Errorf("the source holds nothing that the target lacks: %+v", drained.Topics)
	}
	v, err := verify.Flow(w.Ctx, view, verify.Options{})
	w.Must("verify", err)
	if one := v.Partitions[0]; v.Verdict != verify.Incomplete || v.Compared != 60 || one.Error != "" ||
		one.NotCopied != 40 {
		t.Errorf("verify says %s, %d compared, %+v", v.Verdict, v.Compared, one)
	}
	w.Target.Restore(good)
	if status, err = inspect.Status(w.Ctx, w.Look()); err != nil || !status.CaughtUp || status.Partitions[0].Cuts != nil {
		t.Errorf("status says %+v, %v, where the target holds it again", status.Partitions[0], err)
	}
}

// TestCutsOfBothSides: what each side has lost is not laid at the door of the one that lost last.
func TestCutsOfBothSides(t *testing.T) {
	s := &snapshot.PartitionView{State: &ledger.State{}}
	s.State.Cuts = s.State.Cuts.Add(ledger.Cut{At: 60, Copied: 100, Resumed: 60})
	if c := inspect.CutStatusOf(s); c.BothSides || c.Side != "source" {
		t.Errorf("of one cut: %+v", c)
	}
	s.State.Cuts = s.State.Cuts.Add(ledger.Cut{At: 120, Copied: 120, Resumed: 120, Target: true})
	if c := inspect.CutStatusOf(s); !c.BothSides || c.Side != "target" || c.Offsets != 40 {
		t.Errorf("of a cut on each side: %+v", c)
	}
}
