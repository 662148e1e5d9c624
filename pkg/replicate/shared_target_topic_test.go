package replicate_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// sharedTarget is two flows, from clusters of their own to one target, whose topics meet.
type sharedTarget struct {
	*flowtest.World
	third  string // its servers
	second *kafkatest.Cluster
}

func newShared(t *testing.T, w *flowtest.World) *sharedTarget {
	s := &sharedTarget{World: w}
	s.second, s.third, _ = w.Cluster("third")
	return s
}

// flow is one of the two in a configuration of its own.
func (s *sharedTarget) flow(from string) replicate.Options {
	cfg := s.Cfg
	cfg.From = from
	servers := map[string]string{"old": s.Sides.Source, "third": s.third}
	return replicate.Options{Flows: []settings.Config{cfg}, Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(&s.Log, nil)), Clusters: map[string]kafka.Config{
			from: s.Kafka(from, servers[from]), "new": s.Kafka("new", s.Sides.Target)}}
}

// takenBy waits until an engine has stopped a topic because another flow fills it.
func takenBy(e *replicate.Engine, topic string) *chunk.Stop {
	for _, f := range e.States() {
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
func TestTargetTopicOfAnotherFlow(t *testing.T) { flowtest.OnLanes(t, testTargetTopicOfAnotherFlow) }

func testTargetTopicOfAnotherFlow(t *testing.T, w *flowtest.World) {
	s := newShared(t, w)
	w.Topic("orders", 2)
	w.Must("create", workload.Topics(w.Ctx, s.third, 2, workload.KeepConfigs(), "orders", "users"))
	w.Plain(s.third, "users", 0, 7)
	first, _ := launch(w, s.flow("old"))
	w.Await("the first flow has taken the topic up", func() bool {
		states := 0
		for _, f := range first.States() {
			for _, p := range f.Partitions {
				if p.State == partition.Copying {
					states++
				}
			}
		}
		return states == 2
	})
	second := s.flow("third")
	look, err := snapshot.Open(w.Ctx, second.Clusters, second.Flows[0], nil)
	w.Must("inspect", err)
	defer look.Close()
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	if err := errors.Join(plan.InTheWay()...); err == nil ||
		!strings.Contains(err.Error(), "flow old->new fills topic orders of cluster new") {
		t.Errorf("check says %v", err)
	}
	engine, _ := launch(w, second)
	var stop *chunk.Stop
	w.Await("the second flow is refused the topic", func() bool { stop = takenBy(engine, "orders"); return stop != nil })
	if !strings.Contains(stop.Reason, "flow old->new fills topic orders") || strings.Contains(stop.Fix, "delete") {
		t.Errorf("it says %q and %q", stop.Reason, stop.Fix)
	}
	w.Await("its other topic is copied", func() bool {
		return w.Target.TopicInfo("users") != nil && count(w, w.Sides.Target, "users", 2) == 7
	})
	w.Plain(s.third, "orders", 0, 5)
	w.Mixed("orders", 2, 60)
	w.Equal([]string{"orders"})
}

// Of two that take a topic up at the same moment at least one leaves it before it writes.
func TestTargetTopicOfTwoThatStartTogether(t *testing.T) {
	flowtest.OnLanes(t, testTargetTopicOfTwoThatStartTogether)
}

func testTargetTopicOfTwoThatStartTogether(t *testing.T, w *flowtest.World) {
	s := newShared(t, w)
	for _, servers := range []string{w.Sides.Source, s.third} {
		w.Must("create", workload.Topics(w.Ctx, servers, 1, workload.KeepConfigs(), "orders"))
		w.Plain(servers, "orders", 0, 30)
	}
	first, _ := launch(w, s.flow("old"))
	second, _ := launch(w, s.flow("third"))
	w.Await("a flow leaves the topic", func() bool {
		return takenBy(first, "orders") != nil || takenBy(second, "orders") != nil
	})
	w.Await("at most one copies it", func() bool {
		return w.Target.TopicInfo("orders") != nil && count(w, w.Sides.Target, "orders", 1)%30 == 0
	})
	if n := count(w, w.Sides.Target, "orders", 1); n > 30 {
		t.Errorf("the target holds %d records of both", n)
	}
}

// Two flows of one configuration are told by check, which sees the topics.
func TestTargetTopicOfTwoFlowsOfOneFile(t *testing.T) {
	w := flowtest.New(t)
	s := newShared(t, w)
	for _, servers := range []string{w.Sides.Source, s.third} {
		w.Must("create", workload.Topics(w.Ctx, servers, 1, workload.KeepConfigs(), "orders"))
	}
	var plans []*preflight.FlowPlan
	for _, from := range []string{"old", "third"} {
		o := s.flow(from)
		look, err := snapshot.Open(w.Ctx, o.Clusters, o.Flows[0], nil)
		w.Must("inspect", err)
		defer look.Close()
		plan, err := preflight.Plan(w.Ctx, look)
		w.Must("plan", err)
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
