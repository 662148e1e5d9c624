package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
)

// other is a flow of a second configuration, which calls the clusters otherwise.
func other(w *flowtest.World, from, to string, change func(*settings.Config)) replicate.Options {
	cfg := w.Cfg
	cfg.From, cfg.To, cfg.Flows = from, to, nil
	if change != nil {
		change(&cfg)
	}
	names := map[string]string{"east": w.Sides.Source, "west": w.Sides.Target,
		"old": w.Sides.Source, "new": w.Sides.Target}
	return replicate.Options{Clusters: map[string]kafka.Config{from: w.Kafka(from, names[from]), to: w.Kafka(to,
		names[to])},
		Flows: []settings.Config{cfg}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&w.Log, nil))}
}

// launch runs flows until the test ends, and answers where their end is told.
func launch(w *flowtest.World, o replicate.Options) (*replicate.Engine, chan error) {
	w.T.Helper()
	ctx, cancel := context.WithCancel(w.Ctx)
	e, done, ended := replicate.New(o), make(chan error, 1), make(chan struct{})
	go func() {
		err := e.Run(ctx)
		if err != nil {
			w.Log.Write(fmt.Appendf(nil, "the engine ended: %v\n", err)) // of the test
		}
		done <- err
		close(ended)
	}()
	w.T.Cleanup(func() { cancel(); <-ended })
	return e, done
}

// conflictOf is why a flow may not run beside the opposite one: a circle; or, where both see who wrote a record, that
// both would set the topics' settings.
func conflictOf(w *flowtest.World, err error) error {
	w.T.Helper()
	if w.Cfg.Self().LeavesOut == policy.Nothing {
		return circleOf(w, err)
	}
	var conflict *provenance.SettingsError
	if !errors.As(err, &conflict) || !strings.Contains(conflict.Remedy(), "sync_topic_configs: false") {
		w.T.Fatalf("got %v, want that both set settings", err)
	}
	return conflict
}

// circleOf is the circle that an error tells of; the test ends where it is none.
func circleOf(w *flowtest.World, err error) *provenance.CircleError {
	w.T.Helper()
	var circle *provenance.CircleError
	if !errors.As(err, &circle) {
		w.T.Fatalf("got %v, want a circle", err)
	}
	if circle.Remedy() == "" {
		w.T.Error("it has no remedy")
	}
	return circle
}

// count is how many records all partitions of a topic hold, markers not among them.
func count(w *flowtest.World, bootstrap, topic string, partitions int) (n int) {
	w.T.Helper()
	cluster := w.Source
	if bootstrap == w.Sides.Target {
		cluster = w.Target
	}
	for number := range partitions {
		for _, b := range storedOn(w, cluster, topic, int32(number)) {
			if !b.Control() {
				n += b.Count()
			}
		}
	}
	return n
}

// The opposite flow of another configuration is refused before it makes anything, and
// the one that was there goes on. It calls the clusters otherwise.
func TestCircleIsRefusedAtStart(t *testing.T) { flowtest.OnLanes(t, testCircleAtStart) }

func testCircleAtStart(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 100)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	_, done := launch(w, other(w, "west", "east", nil))
	circle := conflictOf(w, <-done)
	for _, part := range []string{"flow old->new", "__replicator.old.new", "orders", "west"} {
		if !strings.Contains(circle.Error(), part) {
			t.Errorf("%q does not name %q", circle.Error(), part)
		}
	}
	listed, err := w.From.ListTopics(w.Ctx)
	w.Must("list", err)
	if listed.Has("__replicator.west.east") {
		t.Error("the refused flow has made its ledger")
	}
	w.Mixed("orders", 2, 100)
	w.Equal([]string{"orders"})
	r.Stop()
	// The same flow turned round by mistake, while nothing runs.
	turned := other(w, "west", "east", nil)
	turned.UntilCaughtUp, turned.ViewGroups = true, inspect.ViewGroups(turned.Clusters, nil)
	conflictOf(w, replicate.New(turned).Run(w.Ctx))
}

// Of two flows that start at the same moment one stops before anything goes round.
func TestCircleOfTwoThatStartTogether(t *testing.T) { flowtest.OnLanes(t, testCircleTogether) }

func testCircleTogether(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 1)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 1, workload.KeepConfigs(), "orders"))
	one := other(w, "east", "west", nil)
	one.Flows = append(one.Flows, idle(w, &one, "east", "west")) // so that a circle does not end the engine
	first, _ := launch(w, one)
	_, second := launch(w, other(w, "west", "east", nil))
	w.Await("a flow stops", func() bool {
		return provenance.IsConflict(first.Ready()) || len(second) > 0
	})
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 5)
	if n := count(w, w.Sides.Source, "orders", 1) + count(w, w.Sides.Target, "orders", 1); n > 30 {
		t.Errorf("both clusters hold %d records, want 30 at most", n)
	}
}

// idle is a flow beside another that copies nothing.
func idle(w *flowtest.World, o *replicate.Options, from, to string) settings.Config {
	cfg := o.Flows[0]
	cfg.Naming, cfg.Topics, cfg.Ledger = policy.Prefix, []string{"nothing"}, "idle-ledger"
	cfg.From, cfg.To = from+"2", to
	c := o.Clusters[from]
	c.Name = from + "2"
	o.Clusters[from+"2"] = c
	return cfg
}

// Flows whose topics are apart go both ways; a topic that both choose, and that is made
// while they run, stops them before it is copied. The ledger's name does not matter.
func TestCircleIsFoundWhileRunning(t *testing.T) { flowtest.OnLanes(t, testCircleWhileRunning) }

func testCircleWhileRunning(t *testing.T, w *flowtest.World) {
	w.Cfg.Topics = []string{"orders.*"}
	w.Topic("orders", 1)
	w.Mixed("orders", 1, 50)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 1, workload.KeepConfigs(), "sold-new"))
	w.Plain(w.Sides.Target, "sold-new", 0, 20)
	one := other(w, "east", "west", nil)
	first, _ := launch(w, one)
	two := other(w, "west", "east", func(c *settings.Config) {
		c.Topics, c.Ledger = []string{".*-new"}, "what-was-copied"
	})
	second, _ := launch(w, two)
	w.Equal([]string{"orders"})
	w.Await("sold-new is copied the other way", func() bool {
		return w.Source.TopicInfo("sold-new") != nil && count(w, w.Sides.Source, "sold-new", 1) == 20
	})
	// A flow that learns of another begins again with its policy: ready it is a moment later.
	w.Await("flows whose topics are apart are ready", func() bool {
		return errors.Join(first.Ready(), second.Ready()) == nil
	})
	w.Topic("orders-new", 1)
	w.Await("a flow stops", func() bool {
		return provenance.IsConflict(first.Ready()) ||
			provenance.IsConflict(second.Ready())
	})
	w.Plain(w.Sides.Source, "orders-new", 0, 10)
	for _, o := range []replicate.Options{one, two} {
		look, err := snapshot.Open(w.Ctx, o.Clusters, o.Flows[0], nil)
		w.Must("inspect", err)
		defer look.Close()
		plan, err := preflight.Plan(w.Ctx, look)
		w.Must("plan", err)
		circle := conflictOf(w, errors.Join(plan.InTheWay()...))
		if !strings.Contains(circle.Error(), "orders-new") || strings.Contains(circle.Error(), "sold-new") {
			t.Errorf("the circle is said to be %q", circle.Error())
		}
		status, err := inspect.Status(w.Ctx, look)
		w.Must("status", err)
		if len(status.Problems) == 0 || !strings.Contains(status.Problems[0].Error, "orders-new") || status.CaughtUp {
			t.Errorf("status says %+v", status.Problems)
		}
	}
	if n := count(w, w.Sides.Source, "orders-new", 1); n > 20 {
		t.Errorf("the source holds %d records, 10 were written", n)
	}
}

// Prefixes in both directions are legal in two configurations as in one, whatever they
// call the clusters: what came from a cluster is never copied back to it.
func TestPrefixBothWaysOfTwoConfigurations(t *testing.T) { flowtest.OnLanes(t, testPrefixBothWays) }

func testPrefixBothWays(t *testing.T, w *flowtest.World) {
	w.Cfg.Naming = policy.Prefix
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 30)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 1, workload.KeepConfigs(), "users"))
	w.Plain(w.Sides.Target, "users", 0, 20)
	first, _ := launch(w, other(w, "old", "new", nil))
	second, _ := launch(w, other(w, "west", "east", nil))
	w.Await("both are copied", func() bool {
		return w.Target.TopicInfo("old.orders") != nil && count(w, w.Sides.Target, "old.orders", 1) == 30 &&
			w.Source.TopicInfo("west.users") != nil && count(w, w.Sides.Source, "west.users", 1) == 20
	})
	w.Topic("late", 1) // shows that topics were looked for again
	w.Plain(w.Sides.Source, "late", 0, 5)
	w.Await("late is copied", func() bool {
		return w.Target.TopicInfo("old.late") != nil && count(w, w.Sides.Target, "old.late", 1) == 5
	})
	w.Await("both are ready", func() bool { return errors.Join(first.Ready(), second.Ready()) == nil })
	for _, admin := range []*kadm.Client{w.From, w.To} {
		listed, err := admin.ListTopics(w.Ctx)
		w.Must("list", err)
		for _, name := range listed.Names() {
			if strings.Count(name, "west.")+strings.Count(name, "old.") > 1 && !strings.HasPrefix(name, "__") {
				t.Errorf("topic %s was copied back", name)
			}
		}
	}
}

// A chain over three clusters is no ring; the flow that would close it is refused.
func TestCircleOverThreeClusters(t *testing.T) { flowtest.OnLanes(t, testCircleOverThree) }

func testCircleOverThree(t *testing.T, w *flowtest.World) {
	third, bootstrap, _ := w.Cluster("third")
	clusters := map[string]string{"a": w.Sides.Source, "b": w.Sides.Target, "c": bootstrap}
	flow := func(from, to, called string) replicate.Options {
		o := other(w, from, to, func(c *settings.Config) { c.From, c.To = from+called, to+called })
		o.Clusters = map[string]kafka.Config{from + called: w.Kafka(from+called, clusters[from]),
			to + called: w.Kafka(to+called, clusters[to])}
		return o
	}
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	launch(w, flow("a", "b", "1"))
	launch(w, flow("b", "c", "2"))
	copied := func(n int) func() bool {
		return func() bool {
			if third.TopicInfo("orders") == nil {
				return false
			}
			got := 0
			for _, b := range storedOn(w, third, "orders", 0) {
				if !b.Control() {
					got += b.Count()
				}
			}
			return got == n
		}
	}
	w.Await("the chain copies", copied(10))
	_, done := launch(w, flow("c", "a", "3"))
	circle := circleOf(w, <-done)
	if len(circle.Way) != 2 || !strings.Contains(circle.Error(), "flow a1->b1, flow b2->c2") {
		t.Errorf("the circle is said to be %q", circle.Error())
	}
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Await("the chain goes on", copied(20))
}

// A circle that is closed while somebody looks on is seen by the next look, and is told as what stays.
func TestCircleIsSeenByWhoLooksOn(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	other := other(w, "west", "east", func(c *settings.Config) { c.Lane = settings.LaneRecord })
	look, err := snapshot.Open(w.Ctx, other.Clusters, other.Flows[0], nil)
	w.Must("inspect", err)
	t.Cleanup(look.Close)
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	if len(status.Problems) > 0 {
		t.Errorf("before there is a circle: %+v", status.Problems)
	}
	w.Start(nil)
	w.Equal([]string{"orders"})
	status, err = inspect.Status(w.Ctx, look)
	w.Must("status", err)
	if len(status.Problems) != 1 || !status.Problems[0].Lasting || !strings.Contains(status.Problems[0].Error, "circle") {
		t.Errorf("with a circle: %+v", status.Problems)
	}
}
