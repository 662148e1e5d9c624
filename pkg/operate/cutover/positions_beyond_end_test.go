package cutover_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/groups"
)

// A position that is none in today's log of the source is said to be that, and is not waited for as not copied yet.
func TestPositionBeyondTheEndIsRefused(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Topic("again", 1)
	w.Plain(w.Sides.Source, "orders", 0, 48)
	w.Plain(w.Sides.Source, "again", 0, 30)
	w.Commit("billing", "orders", 0, 9999)
	w.Commit("audit", "orders", 0, 48)
	w.Commit("made", "again", 0, 30)
	r := w.Start(nil)
	w.Equal([]string{"orders", "again"})
	look := w.Look()
	beyond := func(p *inspect.PositionStatus) bool { return p.State == string(groups.BeyondEnd) }
	far := w.StatusOf(look, "billing", "orders", beyond)
	if !strings.Contains(far.Why, "9999 is beyond the end of the log there, which is 48") || far.Remedy == "" ||
		far.Translation != nil || far.Target != nil {
		t.Errorf("9999 of 48 is told as %+v", far)
	}
	w.Await("the engine says so too", func() bool {
		return r.Scrape("replicator_group_positions")["beyond_source_end"] == 1
	})
	w.RefusedFor("9999 is beyond the end")
	if at := w.Position(w.To, "billing", "orders", 0); at >= 0 {
		t.Errorf("it was given position %d on the target", at)
	}
	w.Commit("billing", "orders", 0, 40)
	w.StatusOf(look, "billing", "orders", func(p *inspect.PositionStatus) bool { return p.State == string(groups.InSync) })

	// The broker keeps commits of a topic that was deleted and made again, if they come after it was deleted.
	_, err := w.From.DeleteTopics(w.Ctx, "again")
	w.Must("delete topic", err)
	w.Topic("again", 1)
	w.Plain(w.Sides.Source, "again", 0, 3)
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Source, []workload.Position{
		{Group: "made", Topic: "again", At: 30}, {Group: "audit", Topic: "again", At: 3}}))
	w.StatusOf(look, "made", "again", beyond)
}

// A time-out that falls anywhere into a cutover ends it with a step that is not done, or not known, and why.
func TestCutoverTimeOutsSayWhy(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Commit("billing", "orders", 0, 99) // never right
	w.Start(nil)
	w.Equal([]string{"orders"})
	for _, limit := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond,
		320 * time.Millisecond, 400 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(w.Ctx, limit)
		o := w.HandoverOptions()
		c, err := cutover.Open(w.Ctx, o)
		w.Must("open cutover", err)
		var waits *stepwise.WaitingError
		_, err = c.Run(ctx)
		if ctx.Err() != nil && (!errors.As(err, &waits) || waits.Missing == "" || waits.Step == "") {
			t.Errorf("after %s the cutover ends with %v, want the step and why it is not done", limit, err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(w.Ctx, limit)
		_, err = c.Preview(ctx)
		if ctx.Err() != nil && (!errors.As(err, &waits) || waits.Missing == "" || waits.Step == "") {
			t.Errorf("after %s the plan ends with %v, want the step and why it is not done", limit, err)
		}
		cancel()
		c.Close()
	}
}
