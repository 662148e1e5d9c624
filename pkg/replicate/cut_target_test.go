package replicate

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// cutTarget makes a target with 60 records of orders/0, of which it keeps the log, and then a
// source with 100. The log can be put back while the ledger stays.
func (w *world) cutTarget() (saved kafkatest.Saved) {
	w.t.Helper()
	w.target = kafkatest.OnDisk(w.t, kfake.ClusterID("new"))
	w.sides.Target, w.to = w.target.Address(), w.target.Admin()
	w.tune = func(o *Options) { o.troubleFor = 2 * time.Second }
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 60)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	saved = w.target.SaveLog("orders", 0)
	w.plain(w.sides.Source, "orders", 0, 40)
	return saved
}

// targetWasCut checks that the partition stops for that, at the right place.
func (w *world) targetWasCut(r *replica) {
	w.t.Helper()
	r.stopped("orders", 0, chunk.StopTargetCut)
	if cut := w.openCut(); !cut.Target || cut.At != 60 || cut.Copied != 100 {
		w.t.Errorf("the ledger says that %+v, want a cut of the target at 60 of 100", cut)
	}
}

// TestTargetIsPutBack: a target whose log lost its end, while the ledger knows of it, stops
// the partition; it stays stopped until an operator decides. Then all that it lost is copied
// again, once, and groups stand exactly.
func TestTargetIsPutBack(t *testing.T) { onLanes(t, testTargetIsPutBack) }

func testTargetIsPutBack(t *testing.T, w *world) {
	saved := w.cutTarget()
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.target.Restore(saved)
	r = w.start(nil)
	w.targetWasCut(r)
	w.plain(w.sides.Source, "orders", 0, 30)
	r.stop()
	r = w.start(nil)
	r.stopped("orders", 0, chunk.StopTargetCut)
	w.resume(false)
	w.equal([]string{"orders"})
	w.groups([]string{"orders"})
	r.stop()
	if state := w.state("orders", 0); state.Cuts.Open() != nil || state.Progress != 130 || state.Holes != 0 {
		t.Errorf("in the end the ledger says %+v", state.Header)
	}
}

// TestTargetIsPutBackWhileRunning: what lands below the last record of the map shows it too, and
// nothing of what follows is committed, however far the log grows by that.
func TestTargetIsPutBackWhileRunning(t *testing.T) { onLanes(t, testTargetIsPutBackWhileRunning) }

func testTargetIsPutBackWhileRunning(t *testing.T, w *world) {
	saved := w.cutTarget()
	r := w.start(nil)
	w.equal([]string{"orders"})
	w.target.Restore(saved)
	w.plain(w.sides.Source, "orders", 0, 200)
	w.targetWasCut(r)
	w.resume(false)
	w.equal([]string{"orders"})
	w.groups([]string{"orders"})
	r.stop()
}

// TestTargetComesBack: the log that was lost is put back before the order is carried out; then
// nothing is copied twice.
func TestTargetComesBack(t *testing.T) { onLanes(t, testTargetComesBack) }

func testTargetComesBack(t *testing.T, w *world) {
	saved := w.cutTarget()
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	whole := w.target.Restore(saved)
	r = w.start(nil)
	w.targetWasCut(r)
	r.stop()
	w.target.Restore(whole)
	w.plain(w.sides.Source, "orders", 0, 30)
	w.resume(false)
	r = w.start(nil)
	w.equal([]string{"orders"})
	w.groups([]string{"orders"})
	r.stop()
	if state := w.state("orders", 0); state.Progress != 130 || len(state.GivenUp()) != 0 {
		t.Errorf("in the end the ledger says %+v", state.Header)
	}
}

// TestTargetLosesWhatIsGivenUp: --from-end leaves out what the target lost, and counts it.
func TestTargetLosesWhatIsGivenUp(t *testing.T) {
	w := newWorld(t)
	saved := w.cutTarget()
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.target.Restore(saved)
	r = w.start(nil)
	w.targetWasCut(r)
	w.resume(true)
	w.await("copying goes on", func() bool { return w.state("orders", 0).Cuts.Open() == nil })
	w.plain(w.sides.Source, "orders", 0, 5)
	w.await("what comes now is copied", func() bool { return w.count(w.sides.Target, "orders", 1) == 65 })
	r.stop()
	given := w.state("orders", 0).GivenUp()
	if len(given) != 1 || given[0].From != offsets.Source(60) || given[0].To != 100 {
		t.Errorf("given up: %+v", given)
	}
}

// TestTargetCutIsSeenByLookers: also before any replica has noted it, and with the reason that is true. Where the good
// copy is there again, nothing is said.
func TestTargetCutIsSeenByLookers(t *testing.T) {
	w := newWorld(t)
	saved := w.cutTarget()
	w.commit("behind", "orders", 0, 80)
	r := w.start(nil)
	w.equal([]string{"orders"})
	at := place(w, w.state("orders", 0), 80)
	w.stands("behind", "orders", 0, at)
	r.stop()
	good := w.target.Restore(saved)
	view := w.look()
	status, err := view.Status(w.ctx)
	w.must("status", err)
	p := status.Partitions[0]
	if p.Phase != partition.PhaseStopped || status.CaughtUp || p.Behind != 40 || !p.Cuts.Open() ||
		p.Cuts.Side != "target" || p.Cuts.At != 60 || p.Cuts.Undecided() ||
		!strings.Contains(p.Reason, "the target's log was cut") {
		t.Errorf("status says %+v of the partition", p)
	}
	group := w.statusOf(view, "behind", "orders", func(*PositionStatus) bool { return true })
	if group.State != string(groups.NoAnswer) || !strings.Contains(group.Why, "the target's log was cut") {
		t.Errorf("status says %+v of a group behind the cut", group)
	}
	_, err = view.Translate(w.ctx, chunk.Partition{Topic: "orders"}, 80)
	if err == nil || !strings.Contains(err.Error(), "the target's log was cut") {
		t.Errorf("an offset that the target has lost is translated: %v", err)
	}
	drained, err := view.Drained(w.ctx)
	w.must("drained", err)
	if drained.AgedOut() || len(drained.Cuts) != 1 {
		t.Errorf("the source holds nothing that the target lacks: %+v", drained.Topics)
	}
	v, err := view.Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if one := v.Partitions[0]; v.Verdict != Incomplete || v.Compared != 60 || one.Error != "" || one.NotCopied != 40 {
		t.Errorf("verify says %s, %d compared, %+v", v.Verdict, v.Compared, one)
	}
	w.target.Restore(good)
	if status, err = w.look().Status(w.ctx); err != nil || !status.CaughtUp || status.Partitions[0].Cuts != nil {
		t.Errorf("status says %+v, %v, where the target holds it again", status.Partitions[0], err)
	}
}

// TestCutsOfBothSides: what each side has lost is not laid at the door of the one that lost last.
func TestCutsOfBothSides(t *testing.T) {
	s := &spot{state: &ledger.State{}}
	s.state.Cuts = s.state.Cuts.Add(ledger.Cut{At: 60, Copied: 100, Resumed: 60})
	if c := s.cutStatus(); c.BothSides || c.Side != "source" {
		t.Errorf("of one cut: %+v", c)
	}
	s.state.Cuts = s.state.Cuts.Add(ledger.Cut{At: 120, Copied: 120, Resumed: 120, Target: true})
	if c := s.cutStatus(); !c.BothSides || c.Side != "target" || c.Offsets != 40 {
		t.Errorf("of a cut on each side: %+v", c)
	}
}
