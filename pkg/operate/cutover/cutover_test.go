package cutover_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Applications go over, work on the target, come back, work on the source, and go
// over again: at each turn every group stands exactly.
func TestThereAndBack(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		const topic = "orders"
		w.Topic(topic, 3)
		w.Mixed(topic, 3, 1500)
		r := w.Start(nil)
		w.Groups([]string{topic})
		w.CutOver()
		w.Equal([]string{topic})
		r.Stop()

		w.WriteOnTarget(topic, 900)
		w.MoveGroups(w.To, w.Sides.Target, topic)
		state, _ := w.RollBack()
		if state.Records == 0 || len(state.GivenUp) > 0 {
			t.Errorf("the way back is described as %+v", state)
		}
		w.BothWays(topic)

		w.Mixed(topic, 3, 600)
		r = w.Start(nil)
		w.MoveGroups(w.From, w.Sides.Source, topic)
		w.Equal([]string{topic})
		w.GroupsStand(flowtest.WorldGroups(), []string{topic})
		w.CutOver()
		w.BothWays(topic)
		r.Stop()
	})
}

// A topic that applications make on the target after the cutover comes back with the others, whole and with its
// groups, and the flow goes on with it. One that was the target's own before stays there alone.
func TestMadeTopicsComeBack(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		w.Topic("orders", 2)
		w.Mixed("orders", 2, 300)
		w.Must("make a topic", workload.Topics(w.Ctx, w.Sides.Target, 1, nil, "own"))
		w.Plain(w.Sides.Target, "own", 0, 5)
		r := w.Start(nil)
		w.Equal([]string{"orders"})
		w.CutOver()
		r.Stop()

		w.Must("make a topic", workload.Topics(w.Ctx, w.Sides.Target, 2, nil, "returns"))
		w.Plain(w.Sides.Target, "returns", 1, 40)
		w.Must("commit", workload.Commit(w.Ctx, w.Sides.Target, []workload.Position{
			{Group: "g-made", Topic: "returns", Partition: 1, At: 17}}))
		ctx, cancel := context.WithCancel(w.Ctx)
		o := w.HandoverOptions()
		o.Report = func(step, _ string) {
			if step == "verified" { // the topic is on the source by now
				cancel()
			}
		}
		killed, err := cutover.OpenRollback(ctx, o)
		w.Must("open rollback", err)
		if _, err := killed.Run(ctx); err == nil {
			t.Error("a rollback that was ended has come to its end")
		}
		killed.Close()
		if state, _ := w.RollBack(); len(state.Made) != 1 || state.Made[0] != "returns" || state.Records < 40 {
			t.Errorf("the way back is described as %+v", state)
		}
		both := []string{"orders", "returns"}
		report, err := judge.Compare(w.Ctx, w.Swapped(), both)
		w.Must("compare", err)
		w.Must("compare", report.Err())
		standing, err := judge.Groups(w.Ctx, w.Swapped(), []string{"g-made"}, []string{"returns"})
		w.Must("judge groups", err)
		w.Must("judge groups", standing.Err())
		if there, err := w.From.ListTopics(w.Ctx, "own"); err != nil || there.Has("own") {
			t.Errorf("the target's own topic is on the source: %v, %v", there, err)
		}
		w.Mixed("orders", 2, 100)
		w.Plain(w.Sides.Source, "returns", 0, 7)
		w.Start(nil)
		w.Equal(both)
	})
}

// While a rollback is under way the flow does not run, and whoever looks is told why.
func TestClosedFlowIsTold(t *testing.T) {
	w := flowtest.New(t)
	w.AtWorkOnTarget("orders", 100, 20)
	ctx, cancel := context.WithCancel(w.Ctx)
	o := w.HandoverOptions()
	o.Report = func(step, _ string) {
		if step == "verified" { // the flow was turned by now
			cancel()
		}
	}
	killed, err := cutover.OpenRollback(ctx, o)
	w.Must("open rollback", err)
	_, err = killed.Run(ctx)
	killed.Close()
	if err == nil {
		t.Fatal("a rollback that was ended has come to its end")
	}
	look := w.Look()
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	if status.ClosedBy != "new->old" || status.CaughtUp {
		t.Errorf("closed by %q, caught up %t", status.ClosedBy, status.CaughtUp)
	}
	if _, err := inspect.Drained(w.Ctx, look); !handover.IsClosed(err) {
		t.Errorf("whether it is drained: %v, want that the flow is closed", err)
	}
	way := w.HandoverOptions()
	way.Flow = settings.Opposite(way.Flow, []string{"orders"})
	for verb, open := range map[string]func() error{
		"rollback": func() error { _, err := cutover.OpenRollback(w.Ctx, way); return err },
		"cutover":  func() error { _, err := cutover.Open(w.Ctx, way); return err },
	} {
		const want = "no cutover of its own: it is the way back of flow old->new, whose rollback is under way"
		if err := open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of the way back: %v, want %q", verb, err, want)
		}
	}
	w.RollBack()
	status, err = inspect.Status(w.Ctx, w.Look())
	w.Must("status", err)
	if status.ClosedBy != "" {
		t.Errorf("closed by %q after the rollback", status.ClosedBy)
	}
}

// Bad use is refused before anything is written.
func TestCutoverRefuses(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 200)
	refused := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || chunk.Remedy(err) == "" {
			t.Errorf("%s: %v, want a refusal with a remedy that says %q", what, err, want)
		}
	}
	_, err := cutover.Open(w.Ctx, w.HandoverOptions())
	refused("a cutover of a flow that has never run", err, "has never run")
	_, err = cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	refused("a rollback of a flow that has never run", err, "has never run")
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	_, err = cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	refused("a rollback of a running flow", err, "no record of a cutover")
	begun := ledger.NoteRecord(handover.RecordName, handover.Encode(handover.Record{
		Version: handover.Version, ID: "x", Flow: w.Cfg.Name(), State: handover.Begun, Begun: time.Now()}))
	w.Must("note", ledger.WriteNotes(w.Ctx, w.Kafka("new", w.Sides.Target), w.Cfg.LedgerTopic(), 0,
		[]ledger.Record{begun}))
	_, err = cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	refused("a rollback of what was only begun", err, "cutover x was begun at")
	w.CutOver()
	_, err = cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	refused("a rollback beside a daemon", err, "1 replicas")
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 3)
	_, err = cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	refused("a rollback that leaves records", err, "3 records were written to old")
}

// A rollback that is killed at any transaction goes on where it stood.
func TestRollbackGoesOn(t *testing.T) {
	w := flowtest.New(t)
	const topic = "orders"
	w.AtWorkOnTarget(topic, 900, 600)

	var left atomic.Int64 // transactions that may end before the command is killed
	var kill atomic.Pointer[context.CancelFunc]
	for _, c := range []*kafkatest.Cluster{w.Source, w.Target} {
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
		ctx, cancel := context.WithCancel(w.Ctx)
		kill.Store(&cancel)
		left.Store(ends)
		err := rollBackUntil(ctx, w)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() == nil || w.Ctx.Err() != nil {
			t.Fatalf("killed at the end of transaction %d: %v", ends, err)
		}
		killed++
	}
	if killed < 4 {
		t.Errorf("the rollback was killed %d times only", killed)
	}
	w.BothWays(topic)
	w.Mixed(topic, 3, 300)
	w.Start(nil)
	w.Equal([]string{topic})
	w.GroupsStand(flowtest.WorldGroups(), []string{topic})
}

// A rollback that was kept from taking the groups' positions over does that the next time,
// though the flow is turned already.
func TestRollbackTakesGroupsOverAgain(t *testing.T) {
	w := flowtest.New(t)
	const topic = "orders"
	w.AtWorkOnTarget(topic, 300, 300)

	var refuse atomic.Bool
	refuse.Store(true)
	w.Source.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
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
	err := rollBackUntil(w.Ctx, w)
	if err == nil || !strings.Contains(err.Error(), "do Read on group g-") {
		t.Fatalf("without the right on groups it ends with %v", err)
	}
	refuse.Store(false)
	w.Must("roll back", rollBackUntil(w.Ctx, w))
	w.BothWays(topic)
}

func rollBackUntil(ctx context.Context, w *flowtest.World) error {
	r, err := cutover.OpenRollback(ctx, w.HandoverOptions())
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Run(ctx)
	return err
}

// A look that runs out of time tells of all steps all the same.
func TestLookInNoTimeHasAllSteps(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	o := w.HandoverOptions()
	o.SilentFor = time.Hour
	c, err := cutover.Open(w.Ctx, o)
	w.Must("open cutover", err)
	defer c.Close()
	ended, cancel := context.WithDeadline(w.Ctx, time.Now())
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
