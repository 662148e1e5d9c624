package inspect_test

import (
	"strings"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/groups"
)

// Records that the target's retention deletes before a group has read them are counted, to the record, wherever a
// position is shown, and a cutover is refused. What the group has read is no loss; what the source has deleted as well
// is told apart.
func TestUnreadRecordsDeletedOnTheTarget(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 3000)
	w.Commit("billing", "orders", 0, 200)
	w.Commit("ahead", "orders", 0, 2900)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	look := w.Look()
	start := int64(w.OnTarget(look, "orders", 2500).Target)
	w.Stands("billing", "orders", 0, w.OnTarget(look, "orders", 200).Target)
	w.Cut(w.To, "orders", start)

	w.Stands("billing", "orders", 0, offsets.Target(start))
	lost := w.StatusOf(look, "billing", "orders", func(p *inspect.PositionStatus) bool { return p.UnreadDeleted > 0 })
	if lost.State != string(groups.UnreadDeleted) || lost.UnreadDeleted != 2300 || lost.UnreadDeletedOnBoth != 0 ||
		!strings.Contains(lost.Why, "2300 records") || lost.Remedy == "" {
		t.Errorf("the group is told as %+v, want 2300 records lost", lost)
	}
	ahead := w.StatusOf(look, "ahead", "orders",
		func(p *inspect.PositionStatus) bool { return p.State == string(groups.InSync) })
	if ahead.UnreadDeleted != 0 {
		t.Errorf("a group that had read them: %+v", ahead)
	}
	if got := w.OnTarget(look, "orders", 200); got.Deleted != 2300 {
		t.Errorf("the translation is %+v, want 2300 deleted", got)
	}
	w.Await("the metric counts them", func() bool {
		seen := r.Scrape("replicator_group_unread_deleted_records")
		return seen["billing/orders"] == 2300 && seen["ahead/orders"] == 0 && flowtest.Known(seen, "ahead/orders")
	})
	status, err := inspect.Status(w.Ctx, look)
	w.Must("look", err)
	if status.UnreadDeleted != 2300 {
		t.Errorf("the flow's sum is %d", status.UnreadDeleted)
	}
	d, err := inspect.Drained(w.Ctx, look)
	w.Must("look", err)
	for _, g := range d.Groups {
		if want := map[string]int64{"billing": 2300}[g.Group]; g.UnreadDeleted != want {
			t.Errorf("drained: %+v, want %d", g, want)
		}
	}
	v, err := verify.Flow(w.Ctx, look, verify.Options{})
	w.Must("verify", err)
	if v.Verdict != verify.Incomplete || len(v.Incomplete) != 1 || v.Incomplete[0].Remedy == "" ||
		!strings.Contains(v.Incomplete[0].String(), "orders/0: group billing has not read 2300 records") {
		t.Errorf("a group that would pass records by: verdict %s, %+v", v.Verdict, v.Incomplete)
	}
	w.RefusedFor("2300 records")

	w.Cut(w.From, "orders", 700) // 500 of them are gone there too
	lost = w.StatusOf(look, "billing", "orders", func(p *inspect.PositionStatus) bool { return p.UnreadDeletedOnBoth > 0 })
	if lost.UnreadDeleted != 1800 || lost.UnreadDeletedOnBoth != 500 {
		t.Errorf("after the source deleted below 700: %+v, want 1800 and 500", lost)
	}
	w.Cut(w.From, "orders", 2500)
	lost = w.StatusOf(look, "billing", "orders", func(p *inspect.PositionStatus) bool { return p.UnreadDeleted == 0 })
	if lost.State != string(groups.InSync) || lost.UnreadDeletedOnBoth == 0 {
		t.Errorf("with both gone: %+v, want right, with the count of both", lost)
	}
}
