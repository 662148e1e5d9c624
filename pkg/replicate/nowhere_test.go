package replicate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"replicator/integration/workload"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/groups"
)

// A position that is none in today's log of the source is said to be that, and is not waited for as not copied yet.
func TestPositionsThatAreNone(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("again", 1)
	w.plain(w.sides.Source, "orders", 0, 48)
	w.plain(w.sides.Source, "again", 0, 30)
	w.commit("billing", "orders", 0, 9999)
	w.commit("audit", "orders", 0, 48)
	w.commit("made", "again", 0, 30)
	r := w.start(nil)
	w.equal([]string{"orders", "again"})
	look := w.inspect()
	beyond := func(p *PositionStatus) bool { return p.State == string(groups.BeyondEnd) }
	far := w.statusOf(look, "billing", "orders", beyond)
	if !strings.Contains(far.Why, "9999 is beyond the end of the log there, which is 48") || far.Remedy == "" ||
		far.Translation != nil || far.Target != nil {
		t.Errorf("9999 of 48 is told as %+v", far)
	}
	w.await("the engine says so too", func() bool {
		return r.scrape("replicator_group_positions")["beyond_source_end"] == 1
	})
	w.refusedFor("9999 is beyond the end")
	if at := w.position(w.to, "billing", "orders", 0); at >= 0 {
		t.Errorf("it was given position %d on the target", at)
	}
	w.commit("billing", "orders", 0, 40)
	w.statusOf(look, "billing", "orders", func(p *PositionStatus) bool { return p.State == string(groups.Right) })

	// The broker keeps commits of a topic that was deleted and made again, if they come after it was deleted.
	_, err := w.from.DeleteTopics(w.ctx, "again")
	w.must("delete topic", err)
	w.topic("again", 1)
	w.plain(w.sides.Source, "again", 0, 3)
	w.must("commit", workload.Commit(w.ctx, w.sides.Source, []workload.Position{
		{Group: "made", Topic: "again", At: 30}, {Group: "audit", Topic: "again", At: 3}}))
	w.statusOf(look, "made", "again", beyond)
}

// A time-out that falls anywhere into a cutover ends it with a step that is not done, or not known, and why.
func TestCutoverTimeOutsSayWhy(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	w.commit("billing", "orders", 0, 99) // never right
	w.start(nil)
	w.equal([]string{"orders"})
	for _, limit := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond,
		320 * time.Millisecond, 400 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(w.ctx, limit)
		o := w.handoverOptions()
		c, err := OpenCutover(w.ctx, o)
		w.must("open cutover", err)
		var waits *stepwise.WaitingError
		_, err = c.Run(ctx)
		if ctx.Err() != nil && (!errors.As(err, &waits) || waits.Missing == "" || waits.Step == "") {
			t.Errorf("after %s the cutover ends with %v, want the step and why it is not done", limit, err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(w.ctx, limit)
		_, err = c.Look(ctx)
		if ctx.Err() != nil && (!errors.As(err, &waits) || waits.Missing == "" || waits.Step == "") {
			t.Errorf("after %s the plan ends with %v, want the step and why it is not done", limit, err)
		}
		cancel()
		c.Close()
	}
}
