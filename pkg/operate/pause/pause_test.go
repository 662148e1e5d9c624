package pause_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/pause"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// say gives a word about names, and answers what it changed.
func say(w *flowtest.World, pauses bool, names ...string) (changed []string) {
	w.T.Helper()
	word := ledger.PauseWord{At: time.UnixMilli(1_700_000_000_000), By: "eve@desk", Why: "the disk is full", Pause: pauses}
	look := w.Look()
	found, err := pause.Look(w.Ctx, look, names)
	w.Must("look", err)
	list, err := found.Of(word)
	w.Must("compare", err)
	w.Must("say", found.Say(w.Ctx, look, list, word))
	for i := range list {
		if list[i].Changes {
			changed = append(changed, list[i].String())
		}
	}
	return changed
}

// TestPausedUntilResumed: nothing of what is paused is copied from the word on, over restarts, with partitions that
// come later, while all else is; whoever looks sees who paused it and why; then it goes on where it was, with nothing
// lost and nothing doubled.
func TestPausedUntilResumed(t *testing.T) { flowtest.OnLanes(t, testPausedUntilResumed) }

func testPausedUntilResumed(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 2)
	w.Topic("others", 1)
	w.Plain(w.Sides.Source, "orders", 0, 50)
	r := w.Start(nil)
	w.Equal([]string{"orders", "others"})
	if got := say(w, true, "orders", "others/0"); len(got) != 2 {
		t.Fatalf("changed %q", got)
	}
	if again := say(w, true, "orders"); len(again) != 0 {
		t.Errorf("it is paused, and paused again: %q", again)
	}
	before := w.State("orders", 0).Progress
	w.Plain(w.Sides.Source, "orders", 0, 30)
	w.Plain(w.Sides.Source, "others", 0, 30)
	stop := r.Stopped("orders", 0, chunk.StopPaused)
	if !strings.Contains(stop.Reason, "eve@desk: the disk is full") || !strings.Contains(stop.Fix, "resume orders") {
		t.Errorf("stopped with %q, %q", stop.Reason, stop.Fix)
	}
	if changed := say(w, false, "others/0"); len(changed) != 1 {
		t.Errorf("others/0 goes on: %q", changed)
	}
	w.Equal([]string{"others"})
	_, err := w.From.UpdatePartitions(w.Ctx, 3, "orders")
	w.Must("more partitions", err)
	w.Plain(w.Sides.Source, "orders", 2, 10)
	r.Stopped("orders", 2, chunk.StopPaused)
	r.Stop()
	everybodySeesThePause(w)
	r = w.Start(nil)
	r.Stopped("orders", 0, chunk.StopPaused)
	if after := w.State("orders", 0).Progress; after != before {
		t.Errorf("progress went on from %d to %d", before, after)
	}
	if n := strings.Count(w.Log.String(), "partition goes on"); n > 2 {
		t.Errorf("partitions went on %d times", n)
	}
	if changed := say(w, false, "orders"); len(changed) != 1 {
		t.Errorf("orders goes on: %q", changed)
	}
	w.Equal([]string{"orders", "others"})
	r.Stop()
}

func everybodySeesThePause(w *flowtest.World) {
	w.T.Helper()
	var unfinished *replicate.UnfinishedError
	if err := w.Ends(w.Once()); !errors.As(err, &unfinished) {
		w.T.Errorf("a one-off copy ends with %v", err)
	}
	look := w.Look()
	p := w.Partition(look)
	if p.Topic != "orders" || p.Phase != partition.PhaseStopped || !p.Lasting || !strings.Contains(p.Reason, "eve@desk") ||
		p.StoppedSince == nil || p.Behind != 30 {
		w.T.Errorf("status says %+v", p)
	}
	if v := w.Verify(verify.Options{}); v.Verdict != verify.Incomplete {
		w.T.Errorf("verify says %s", v.Verdict)
	}
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	if list := plan.InTheWay(); len(list) == 0 || !strings.Contains(list[0].Error(), "paused by eve@desk") {
		w.T.Errorf("check says %v", list)
	}
}

// TestPartsOfAPause: a partition of a topic that is paused as a whole cannot go on alone; a topic goes on with all its
// partitions; and a topic that the flow does not copy is refused.
func TestPartsOfAPause(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 3)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	say(w, true, "orders/0", "orders/2", "orders")
	look := w.Look()
	for name, why := range map[string]string{
		"order": "copies no topic order", "orders/3": "has 3 partitions", "orders/x": "neither a topic nor a partition"} {
		if _, err := pause.Look(w.Ctx, look, []string{name}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", name, err, why)
		}
	}
	found, err := pause.Look(w.Ctx, look, []string{"orders/0"})
	w.Must("look", err)
	if _, err := found.Of(ledger.PauseWord{}); err == nil || !strings.Contains(err.Error(), "paused as a whole") {
		t.Errorf("one partition alone: %v", err)
	}
	if changed := say(w, false, "orders"); len(changed) != 3 {
		t.Errorf("all go on: %q", changed)
	}
	w.Plain(w.Sides.Source, "orders", 2, 5)
	w.Equal([]string{"orders"})
	if changed := say(w, false, "orders"); len(changed) != 0 {
		t.Errorf("they go on, and go on again: %q", changed)
	}
	r.Stop()
}
