package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// handoverOptions are a cutover of the world's flow that does not wait long.
func (w *world) handoverOptions() HandoverOptions {
	return HandoverOptions{
		Clusters: map[string]kafka.Config{
			"old": w.kafka("old", w.sides.Source), "new": w.kafka("new", w.sides.Target)},
		Flow: w.cfg, SilentFor: 300 * time.Millisecond, Tail: time.Hour,
		Log:  slog.New(slog.NewTextHandler(&w.log, nil)),
		Tell: func(step, missing string) { fmt.Fprintf(&w.log, "waits: %s: %s\n", step, missing) },
	}
}

// cutOver moves the applications over.
func (w *world) cutOver() handover.Record {
	w.t.Helper()
	c, err := OpenCutover(w.ctx, w.handoverOptions())
	w.must("open cutover", err)
	defer c.Close()
	record, err := c.Run(w.ctx)
	w.must("cut over", err)
	if record.State != handover.Done {
		w.t.Fatalf("the cutover ended as %+v", record)
	}
	return record
}

// rollBack moves them back.
func (w *world) rollBack() (BackState, handover.Record) {
	w.t.Helper()
	r, err := OpenRollback(w.ctx, w.handoverOptions())
	w.must("open rollback", err)
	defer r.Close()
	record, err := r.Run(w.ctx)
	w.must("roll back", err)
	return r.State(), record
}

// swapped is the world seen from its target.
func (w *world) swapped() judge.Sides {
	return judge.Sides{Source: w.sides.Target, Target: w.sides.Source}
}

// Applications go over, work on the target, come back, work on the source, and go
// over again: at each turn every group stands exactly.
func TestThereAndBack(t *testing.T) {
	onLanes(t, func(t *testing.T, w *world) {
		const topic = "orders"
		w.topic(topic, 3)
		w.mixed(topic, 3, 1500)
		r := w.start(nil)
		w.groups([]string{topic})
		w.cutOver()
		w.equal([]string{topic})
		r.stop()

		w.writeOnTarget(topic, 900)
		w.moveGroups(w.to, w.sides.Target, topic)
		state, _ := w.rollBack()
		if state.Records == 0 || len(state.GivenUp) > 0 {
			t.Errorf("the way back is described as %+v", state)
		}
		w.bothWays(topic)

		w.mixed(topic, 3, 600)
		r = w.start(nil)
		w.moveGroups(w.from, w.sides.Source, topic)
		w.equal([]string{topic})
		w.groupsStand(worldGroups(), []string{topic})
		w.cutOver()
		w.bothWays(topic)
		r.stop()
	})
}

// A topic that applications make on the target after the cutover comes back with the others, whole and with its
// groups, and the flow goes on with it. One that was the target's own before stays there alone.
func TestMadeTopicsComeBack(t *testing.T) {
	onLanes(t, func(t *testing.T, w *world) {
		w.topic("orders", 2)
		w.mixed("orders", 2, 300)
		w.must("make a topic", workload.Topics(w.ctx, w.sides.Target, 1, nil, "own"))
		w.plain(w.sides.Target, "own", 0, 5)
		r := w.start(nil)
		w.equal([]string{"orders"})
		w.cutOver()
		r.stop()

		w.must("make a topic", workload.Topics(w.ctx, w.sides.Target, 2, nil, "returns"))
		w.plain(w.sides.Target, "returns", 1, 40)
		w.must("commit", workload.Commit(w.ctx, w.sides.Target, []workload.Position{
			{Group: "g-made", Topic: "returns", Partition: 1, At: 17}}))
		ctx, cancel := context.WithCancel(w.ctx)
		o := w.handoverOptions()
		o.Tell = func(step, _ string) {
			if step == "verified" { // the topic is on the source by now
				cancel()
			}
		}
		killed, err := OpenRollback(ctx, o)
		w.must("open rollback", err)
		if _, err := killed.Run(ctx); err == nil {
			t.Error("a rollback that was ended has come to its end")
		}
		killed.Close()
		if state, _ := w.rollBack(); len(state.Made) != 1 || state.Made[0] != "returns" || state.Records < 40 {
			t.Errorf("the way back is described as %+v", state)
		}
		both := []string{"orders", "returns"}
		report, err := judge.Compare(w.ctx, w.swapped(), both)
		w.must("compare", err)
		w.must("compare", report.Err())
		standing, err := judge.Groups(w.ctx, w.swapped(), []string{"g-made"}, []string{"returns"})
		w.must("judge groups", err)
		w.must("judge groups", standing.Err())
		if there, err := w.from.ListTopics(w.ctx, "own"); err != nil || there.Has("own") {
			t.Errorf("the target's own topic is on the source: %v, %v", there, err)
		}
		w.mixed("orders", 2, 100)
		w.plain(w.sides.Source, "returns", 0, 7)
		w.start(nil)
		w.equal(both)
	})
}

// While a rollback is under way the flow does not run, and whoever looks is told why.
func TestClosedFlowIsTold(t *testing.T) {
	w := newWorld(t)
	w.atWorkOnTarget("orders", 100, 20)
	ctx, cancel := context.WithCancel(w.ctx)
	o := w.handoverOptions()
	o.Tell = func(step, _ string) {
		if step == "verified" { // the flow was turned by now
			cancel()
		}
	}
	killed, err := OpenRollback(ctx, o)
	w.must("open rollback", err)
	_, err = killed.Run(ctx)
	killed.Close()
	if err == nil {
		t.Fatal("a rollback that was ended has come to its end")
	}
	look := w.look()
	status, err := look.Status(w.ctx)
	w.must("status", err)
	if status.ClosedBy != "new->old" || status.CaughtUp {
		t.Errorf("closed by %q, caught up %t", status.ClosedBy, status.CaughtUp)
	}
	if _, err := look.Drained(w.ctx); !isClosed(err) {
		t.Errorf("whether it is drained: %v, want that the flow is closed", err)
	}
	way := w.handoverOptions()
	way.Flow = opposite(way.Flow, []string{"orders"})
	for verb, open := range map[string]func() error{
		"rollback": func() error { _, err := OpenRollback(w.ctx, way); return err },
		"cutover":  func() error { _, err := OpenCutover(w.ctx, way); return err },
	} {
		const want = "no cutover of its own: it is the way back of flow old->new, whose rollback is under way"
		if err := open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of the way back: %v, want %q", verb, err, want)
		}
	}
	w.rollBack()
	status, err = w.look().Status(w.ctx)
	w.must("status", err)
	if status.ClosedBy != "" {
		t.Errorf("closed by %q after the rollback", status.ClosedBy)
	}
}

// atWorkOnTarget copies so many records, cuts over, and lets applications write as many
// there as they are told, and read on.
func (w *world) atWorkOnTarget(topic string, before, after int) {
	w.t.Helper()
	w.topic(topic, 3)
	w.mixed(topic, 3, before)
	r := w.start(nil)
	w.groups([]string{topic})
	w.cutOver()
	r.stop()
	w.writeOnTarget(topic, after)
	w.moveGroups(w.to, w.sides.Target, topic)
}

// writeOnTarget writes as applications do after a cutover.
func (w *world) writeOnTarget(topic string, n int) {
	w.t.Helper()
	w.seed++
	_, err := workload.Mixed(w.ctx, w.sides.Target, topic, workload.MixedSpec{
		Seed: w.seed, Records: n, Partitions: 3, From: w.written})
	w.must("write on the target", err)
	w.written += n
}

// moveGroups commits positions as consumers do: some go to the end, some into what
// is new, some stay.
func (w *world) moveGroups(admin *kadm.Client, bootstrap, topic string) {
	w.t.Helper()
	ends, err := admin.ListCommittedOffsets(w.ctx, topic)
	w.must("list ends", err)
	var positions []workload.Position
	ends.Each(func(end kadm.ListedOffset) {
		for i := range int64(8) { // the last four stay where they are
			at := max(end.Offset-17*i, 0)
			positions = append(positions, workload.Position{
				Group: fmt.Sprintf("g-%02d", i), Topic: topic, Partition: end.Partition, At: at})
		}
	})
	w.must("commit positions", workload.Commit(w.ctx, bootstrap, positions))
}

// worldGroups are the groups that world.groups makes.
func worldGroups() []string {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("g-%02d", i))
	}
	return names
}

// bothWays compares both sides, and where the groups stand, from the target's side.
func (w *world) bothWays(topic string) {
	w.t.Helper()
	r, err := judge.Compare(w.ctx, w.swapped(), []string{topic})
	w.must("compare", err)
	w.must("compare", r.Err())
	g, err := judge.Groups(w.ctx, w.swapped(), worldGroups(), []string{topic})
	w.must("judge groups", err)
	w.must("judge groups", g.Err())
}

// Bad use is refused before anything is written.
func TestCutoverRefuses(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.mixed("orders", 2, 200)
	refused := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || chunk.Remedy(err) == "" {
			t.Errorf("%s: %v, want a refusal with a remedy that says %q", what, err, want)
		}
	}
	_, err := OpenCutover(w.ctx, w.handoverOptions())
	refused("a cutover of a flow that has never run", err, "has never run")
	_, err = OpenRollback(w.ctx, w.handoverOptions())
	refused("a rollback of a flow that has never run", err, "has never run")
	r := w.start(nil)
	w.equal([]string{"orders"})
	_, err = OpenRollback(w.ctx, w.handoverOptions())
	refused("a rollback of a running flow", err, "no record of a cutover")
	begun := ledger.NoteRecord(handover.RecordName, handover.Encode(handover.Record{
		Version: handover.Version, ID: "x", Flow: w.cfg.Name(), State: handover.Begun, Begun: time.Now()}))
	w.must("note", ledger.WriteNotes(w.ctx, w.kafka("new", w.sides.Target), w.cfg.LedgerTopic(), 0,
		[]ledger.Record{begun}))
	_, err = OpenRollback(w.ctx, w.handoverOptions())
	refused("a rollback of what was only begun", err, "cutover x was begun at")
	w.cutOver()
	_, err = OpenRollback(w.ctx, w.handoverOptions())
	refused("a rollback beside a daemon", err, "1 replicas")
	r.stop()
	w.plain(w.sides.Source, "orders", 0, 3)
	_, err = OpenRollback(w.ctx, w.handoverOptions())
	refused("a rollback that leaves records", err, "3 records were written to old")
}

// A rollback that is killed at any transaction goes on where it stood.
func TestRollbackGoesOn(t *testing.T) {
	w := newWorld(t)
	const topic = "orders"
	w.atWorkOnTarget(topic, 900, 600)

	var left atomic.Int64 // transactions that may end before the command is killed
	var kill atomic.Pointer[context.CancelFunc]
	for _, c := range []*kafkatest.Cluster{w.source, w.target} {
		c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			if left.Add(-1) == 0 {
				(*kill.Load())() // this one still takes effect, and nobody hears of it
			}
			return nil, nil, false
		})
	}
	killed := 0
	for ends := int64(1); ; ends += 1 + ends/4 {
		ctx, cancel := context.WithCancel(w.ctx)
		kill.Store(&cancel)
		left.Store(ends)
		err := w.rollBackUntil(ctx)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() == nil || w.ctx.Err() != nil {
			t.Fatalf("killed at the end of transaction %d: %v", ends, err)
		}
		killed++
	}
	if killed < 4 {
		t.Errorf("the rollback was killed %d times only", killed)
	}
	w.bothWays(topic)
	w.mixed(topic, 3, 300)
	w.start(nil)
	w.equal([]string{topic})
	w.groupsStand(worldGroups(), []string{topic})
}

// A rollback that was kept from taking the groups' positions over does that the next time,
// though the flow is turned already.
func TestRollbackTakesGroupsOverAgain(t *testing.T) {
	w := newWorld(t)
	const topic = "orders"
	w.atWorkOnTarget(topic, 300, 300)

	var refuse atomic.Bool
	refuse.Store(true)
	w.source.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.source.KeepControl()
		if !refuse.Load() {
			return nil, nil, false
		}
		answer := request.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range request.(*kmsg.OffsetCommitRequest).Topics {
			one := kmsg.NewOffsetCommitResponseTopic()
			one.Topic, one.TopicID = topic.Topic, topic.TopicID // one of them is there, by the version
			for _, p := range topic.Partitions {
				refused := kmsg.NewOffsetCommitResponseTopicPartition()
				refused.Partition, refused.ErrorCode = p.Partition, kerr.GroupAuthorizationFailed.Code
				one.Partitions = append(one.Partitions, refused)
			}
			answer.Topics = append(answer.Topics, one)
		}
		return answer, nil, true
	})
	err := w.rollBackUntil(w.ctx)
	if err == nil || !strings.Contains(err.Error(), "do Read on group g-") {
		t.Fatalf("without the right on groups it ends with %v", err)
	}
	refuse.Store(false)
	w.must("roll back", w.rollBackUntil(w.ctx))
	w.bothWays(topic)
}

func (w *world) rollBackUntil(ctx context.Context) error {
	r, err := OpenRollback(ctx, w.handoverOptions())
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Run(ctx)
	return err
}

// A look that runs out of time tells of all steps all the same.
func TestLookInNoTimeHasAllSteps(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	o := w.handoverOptions()
	o.SilentFor = time.Hour
	c, err := OpenCutover(w.ctx, o)
	w.must("open cutover", err)
	defer c.Close()
	ended, cancel := context.WithDeadline(w.ctx, time.Now())
	defer cancel()
	states, n, err := c.Watch(ended)
	if want := n + 1; len(states) != want || !errors.As(err, new(*stepwise.WaitingError)) {
		t.Errorf("%d steps, want %d; %v", len(states), want, err)
	}
	for _, s := range states {
		if s.Done || s.Refused || s.Missing == "" {
			t.Errorf("nobody was asked, and step %s is told as %+v", s.Name, s)
		}
	}
}
