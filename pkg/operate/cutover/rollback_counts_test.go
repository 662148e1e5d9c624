package cutover_test

import (
	"slices"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
)

// sinceCutover is what a rollback says before it begins.
func sinceCutover(w *flowtest.World) cutover.BackState {
	w.T.Helper()
	back, err := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	w.Must("open rollback", err)
	defer back.Close()
	return back.State()
}

// What a rollback says was written is what was: our own markers are no records, and topics
// that nobody wrote to are not counted.
func TestRollbackCountsWhatWasWritten(t *testing.T) { flowtest.OnLanes(t, testRollbackCounts) }

func testRollbackCounts(t *testing.T, w *flowtest.World) {
	topics := []string{"orders", "payments"}
	w.Cfg.Shards = 2
	for _, topic := range topics {
		w.Topic(topic, 1)
		w.Mixed(topic, 1, 100)
	}
	r := w.Start(nil)
	w.Equal(topics)
	r.Stop()
	w.CutOver()
	if s := sinceCutover(w); s.Records != 0 || len(s.Written) > 0 || s.Topics != 2 || len(s.GivenUp) > 0 {
		t.Errorf("nothing was written: %+v", s)
	}
	w.Plain(w.Sides.Target, "payments", 0, 2)
	if s := sinceCutover(w); s.Records != 2 || !slices.Equal(s.Written, []string{"payments"}) || s.Topics != 2 {
		t.Errorf("two records were written to payments: %+v", s)
	}
	w.RollBack()
	w.CutOver() // both logs end with markers now
	if s := sinceCutover(w); s.Records != 0 || len(s.Written) > 0 || len(s.GivenUp) > 0 {
		t.Errorf("nothing was written since the second cutover: %+v", s)
	}
}
