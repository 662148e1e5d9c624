package replicate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
)

// cut deletes the records of partition 0 below an offset.
func (w *world) cut(admin *kadm.Client, topic string, below int64) {
	w.t.Helper()
	var o kadm.Offsets
	o.AddOffset(topic, 0, below, -1)
	_, err := admin.DeleteRecords(w.ctx, o)
	w.must("delete records", err)
}

// onTarget translates an offset of partition 0.
func (w *world) onTarget(look *Inspection, topic string, at int64) *Translation {
	w.t.Helper()
	t, err := look.Translate(w.ctx, chunk.Partition{Topic: topic}, offsets.Source(at))
	w.must("translate", err)
	return t
}

// statusOf waits until the positions of a group in partition 0 of a topic are as wanted.
func (w *world) statusOf(look *Inspection, group, topic string, as func(*PositionStatus) bool) PositionStatus {
	w.t.Helper()
	var last PositionStatus
	w.await(fmt.Sprintf("the position of %s is as wanted", group), func() bool {
		list, err := look.Groups(w.ctx)
		w.must("look", err)
		for i := range list {
			for _, p := range list[i].Positions {
				if list[i].Group == group && p.Topic == topic {
					last = p
				}
			}
		}
		return as(&last)
	})
	return last
}

func (w *world) inspect() *Inspection {
	w.t.Helper()
	look, err := Inspect(w.ctx, w.handoverOptions().Clusters, w.cfg, nil)
	w.must("inspect", err)
	w.t.Cleanup(look.Close)
	return look
}

// Records that the target's retention deletes before a group has read them are counted, to the record, wherever a
// position is shown, and a cutover is refused. What the group has read is no loss; what the source has deleted as well
// is told apart.
func TestUnreadRecordsDeletedOnTheTarget(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 3000)
	w.commit("billing", "orders", 0, 200)
	w.commit("ahead", "orders", 0, 2900)
	r := w.start(nil)
	w.equal([]string{"orders"})
	look := w.inspect()
	start := int64(w.onTarget(look, "orders", 2500).Target)
	w.stands("billing", "orders", 0, w.onTarget(look, "orders", 200).Target)
	w.cut(w.to, "orders", start)

	w.stands("billing", "orders", 0, offsets.Target(start))
	lost := w.statusOf(look, "billing", "orders", func(p *PositionStatus) bool { return p.UnreadDeleted > 0 })
	if lost.State != string(groups.UnreadDeleted) || lost.UnreadDeleted != 2300 || lost.UnreadDeletedOnBoth != 0 ||
		!strings.Contains(lost.Why, "2300 records") || lost.Remedy == "" {
		t.Errorf("the group is told as %+v, want 2300 records lost", lost)
	}
	ahead := w.statusOf(look, "ahead", "orders", func(p *PositionStatus) bool { return p.State == string(groups.Right) })
	if ahead.UnreadDeleted != 0 {
		t.Errorf("a group that had read them: %+v", ahead)
	}
	if got := w.onTarget(look, "orders", 200); got.Deleted != 2300 {
		t.Errorf("the translation is %+v, want 2300 deleted", got)
	}
	w.await("the metric counts them", func() bool {
		seen := r.scrape("replicator_group_unread_deleted_records")
		return seen["billing/orders"] == 2300 && seen["ahead/orders"] == 0 && known(seen, "ahead/orders")
	})
	status, err := look.Status(w.ctx)
	w.must("look", err)
	if status.UnreadDeleted != 2300 {
		t.Errorf("the flow's sum is %d", status.UnreadDeleted)
	}
	d, err := look.Drained(w.ctx)
	w.must("look", err)
	for _, g := range d.Groups {
		if want := map[string]int64{"billing": 2300}[g.Group]; g.UnreadDeleted != want {
			t.Errorf("drained: %+v, want %d", g, want)
		}
	}
	v, err := look.Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if v.Verdict != Incomplete || len(v.Incomplete) != 1 || v.Incomplete[0].Remedy == "" ||
		!strings.Contains(v.Incomplete[0].String(), "orders/0: group billing has not read 2300 records") {
		t.Errorf("a group that would pass records by: verdict %s, %+v", v.Verdict, v.Incomplete)
	}
	w.refusedFor("2300 records")

	w.cut(w.from, "orders", 700) // 500 of them are gone there too
	lost = w.statusOf(look, "billing", "orders", func(p *PositionStatus) bool { return p.UnreadDeletedOnBoth > 0 })
	if lost.UnreadDeleted != 1800 || lost.UnreadDeletedOnBoth != 500 {
		t.Errorf("after the source deleted below 700: %+v, want 1800 and 500", lost)
	}
	w.cut(w.from, "orders", 2500)
	lost = w.statusOf(look, "billing", "orders", func(p *PositionStatus) bool { return p.UnreadDeleted == 0 })
	if lost.State != string(groups.Right) || lost.UnreadDeletedOnBoth == 0 {
		t.Errorf("with both gone: %+v, want right, with the count of both", lost)
	}
}

// refusedFor makes sure that a cutover is refused, in a plan as well, and goes on by force.
func (w *world) refusedFor(figure string) {
	w.t.Helper()
	c, err := OpenCutover(w.ctx, w.handoverOptions())
	w.must("open cutover", err)
	defer c.Close()
	states, err := c.Look(w.ctx)
	w.must("look", err)
	var refused *stepwise.RefusedError
	if err := stepwise.Refusal(states); !errors.As(err, &refused) || !strings.Contains(err.Error(), figure) ||
		refused.Remedy() == "" {
		w.t.Errorf("the plan says %v, want a refusal that says %s", err, figure)
	}
	if _, err = c.Run(w.ctx); err == nil || !strings.Contains(err.Error(), figure) || chunk.Remedy(err) == "" {
		w.t.Errorf("the cutover ends with %v, want a refusal that says %s", err, figure)
	}
	o := w.handoverOptions()
	o.Force = true
	f, err := OpenCutover(w.ctx, o)
	w.must("open cutover", err)
	defer f.Close()
	record, err := f.Run(w.ctx)
	w.must("force", err)
	if !strings.Contains(strings.Join(record.GivenUp, "\n"), figure) {
		w.t.Errorf("by force it gives up %q, want %s", record.GivenUp, figure)
	}
}
