package replicate

import (
	"slices"
	"testing"
)

// sinceCutover is what a rollback says before it begins.
func (w *world) sinceCutover() BackState {
	w.t.Helper()
	back, err := OpenRollback(w.ctx, w.handoverOptions())
	w.must("open rollback", err)
	defer back.Close()
	return back.State()
}

// What a rollback says was written is what was: our own markers are no records, and topics
// that nobody wrote to are not counted.
func TestRollbackCountsWhatWasWritten(t *testing.T) { onLanes(t, testRollbackCounts) }

func testRollbackCounts(t *testing.T, w *world) {
	topics := []string{"orders", "payments"}
	w.cfg.Shards = 2
	for _, topic := range topics {
		w.topic(topic, 1)
		w.mixed(topic, 1, 100)
	}
	r := w.start(nil)
	w.equal(topics)
	r.stop()
	w.cutOver()
	if s := w.sinceCutover(); s.Records != 0 || len(s.Written) > 0 || s.Topics != 2 || len(s.GivenUp) > 0 {
		t.Errorf("nothing was written: %+v", s)
	}
	w.plain(w.sides.Target, "payments", 0, 2)
	if s := w.sinceCutover(); s.Records != 2 || !slices.Equal(s.Written, []string{"payments"}) || s.Topics != 2 {
		t.Errorf("two records were written to payments: %+v", s)
	}
	w.rollBack()
	w.cutOver() // both logs end with markers now
	if s := w.sinceCutover(); s.Records != 0 || len(s.Written) > 0 || len(s.GivenUp) > 0 {
		t.Errorf("nothing was written since the second cutover: %+v", s)
	}
}
