package replicate

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/partition"
)

// shared is two flows, from clusters of their own to one target, whose topics meet.
type sharedTarget struct {
	*world
	third  string // its servers
	second *kafkatest.Cluster
}

func newShared(t *testing.T, w *world) *sharedTarget {
	s := &sharedTarget{world: w}
	s.second, s.third, _ = w.cluster("third")
	return s
}

// flow is one of the two in a configuration of its own.
func (s *sharedTarget) flow(from string) Options {
	cfg := s.cfg
	cfg.From = from
	servers := map[string]string{"old": s.sides.Source, "third": s.third}
	return Options{Flows: []Config{cfg}, Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(&s.log, nil)), Clusters: map[string]kafka.Config{
			from: s.kafka(from, servers[from]), "new": s.kafka("new", s.sides.Target)}}
}

// takenBy waits until an engine has stopped a topic because another flow fills it.
func takenBy(e *Engine, topic string) *chunk.Stop {
	for _, f := range e.Look() {
		for _, p := range f.Partitions {
			if p.Partition.Topic == topic && p.Stop != nil &&
				(p.Stop.Kind == chunk.StopTaken || p.Stop.Kind == chunk.StopForeign) {
				return p.Stop
			}
		}
	}
	return nil
}

// Of two flows of two configurations with one target topic the second is refused by name,
// at check and while it runs, also where the topic holds no record yet.
func TestTargetTopicOfAnotherFlow(t *testing.T) { onLanes(t, testTaken) }

func testTaken(t *testing.T, w *world) {
	s := newShared(t, w)
	w.topic("orders", 2)
	w.must("create", workload.Topics(w.ctx, s.third, 2, workload.KeepConfigs(), "orders", "users"))
	w.plain(s.third, "users", 0, 7)
	first, _ := w.launch(s.flow("old"))
	w.await("the first flow has taken the topic up", func() bool {
		states := 0
		for _, f := range first.Look() {
			for _, p := range f.Partitions {
				if p.State == partition.Copying {
					states++
				}
			}
		}
		return states == 2
	})
	second := s.flow("third")
	look, err := Inspect(w.ctx, second.Clusters, second.Flows[0], nil)
	w.must("inspect", err)
	defer look.Close()
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	if err := errors.Join(plan.InTheWay()...); err == nil ||
		!strings.Contains(err.Error(), "flow old->new fills topic orders of cluster new") {
		t.Errorf("check says %v", err)
	}
	engine, _ := w.launch(second)
	var stop *chunk.Stop
	w.await("the second flow is refused the topic", func() bool { stop = takenBy(engine, "orders"); return stop != nil })
	if !strings.Contains(stop.Reason, "flow old->new fills topic orders") || strings.Contains(stop.Fix, "delete") {
		t.Errorf("it says %q and %q", stop.Reason, stop.Fix)
	}
	w.await("its other topic is copied", func() bool {
		return w.target.TopicInfo("users") != nil && w.count(w.sides.Target, "users", 2) == 7
	})
	w.plain(s.third, "orders", 0, 5)
	w.mixed("orders", 2, 60)
	w.equal([]string{"orders"})
}

// Of two that take a topic up at the same moment at least one leaves it before it writes.
func TestTargetTopicOfTwoThatStartTogether(t *testing.T) { onLanes(t, testTakenTogether) }

func testTakenTogether(t *testing.T, w *world) {
	s := newShared(t, w)
	for _, servers := range []string{w.sides.Source, s.third} {
		w.must("create", workload.Topics(w.ctx, servers, 1, workload.KeepConfigs(), "orders"))
		w.plain(servers, "orders", 0, 30)
	}
	first, _ := w.launch(s.flow("old"))
	second, _ := w.launch(s.flow("third"))
	w.await("a flow leaves the topic", func() bool {
		return takenBy(first, "orders") != nil || takenBy(second, "orders") != nil
	})
	w.await("at most one copies it", func() bool {
		return w.target.TopicInfo("orders") != nil && w.count(w.sides.Target, "orders", 1)%30 == 0
	})
	if n := w.count(w.sides.Target, "orders", 1); n > 30 {
		t.Errorf("the target holds %d records of both", n)
	}
}

// Two flows of one configuration are told by check, which sees the topics.
func TestTargetTopicOfTwoFlowsOfOneFile(t *testing.T) {
	w := newWorld(t)
	s := newShared(t, w)
	for _, servers := range []string{w.sides.Source, s.third} {
		w.must("create", workload.Topics(w.ctx, servers, 1, workload.KeepConfigs(), "orders"))
	}
	var plans []*FlowPlan
	for _, from := range []string{"old", "third"} {
		o := s.flow(from)
		look, err := Inspect(w.ctx, o.Clusters, o.Flows[0], nil)
		w.must("inspect", err)
		defer look.Close()
		plan, err := look.Plan(w.ctx)
		w.must("plan", err)
		plan.Share(plans)
		plans = append(plans, plan)
	}
	if problems := plans[0].InTheWay(); len(problems) > 0 {
		t.Errorf("of the first: %v", problems)
	}
	problems := plans[1].InTheWay()
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "flow old->new fills topics of new too that flow "+
		"third->new chooses: orders") {
		t.Errorf("of the second: %v", problems)
	}
}
