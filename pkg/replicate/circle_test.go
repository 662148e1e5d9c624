package replicate

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
	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
)

// other is a flow of a second configuration, which calls the clusters otherwise.
func (w *world) other(from, to string, change func(*Config)) Options {
	cfg := w.cfg
	cfg.From, cfg.To, cfg.Flows = from, to, nil
	if change != nil {
		change(&cfg)
	}
	names := map[string]string{"east": w.sides.Source, "west": w.sides.Target,
		"old": w.sides.Source, "new": w.sides.Target}
	return Options{Clusters: map[string]kafka.Config{from: w.kafka(from, names[from]), to: w.kafka(to, names[to])},
		Flows: []Config{cfg}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&w.log, nil))}
}

// launch runs flows until the test ends, and answers where their end is told.
func (w *world) launch(o Options) (*Engine, chan error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	e, done, ended := New(o), make(chan error, 1), make(chan struct{})
	go func() {
		err := e.Run(ctx)
		if err != nil {
			w.log.Write(fmt.Appendf(nil, "the engine ended: %v\n", err)) //nolint:errcheck // of the test
		}
		done <- err
		close(ended)
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	return e, done
}

// circleOf is the circle that an error tells of; the test ends where it is none.
func (w *world) circleOf(err error) *CircleError {
	w.t.Helper()
	var circle *CircleError
	if !errors.As(err, &circle) {
		w.t.Fatalf("got %v, want a circle", err)
	}
	if circle.Remedy() == "" {
		w.t.Error("it has no remedy")
	}
	return circle
}

// sum is how many records all partitions of a topic hold, markers not among them.
func (w *world) count(bootstrap, topic string, partitions int) (n int) {
	w.t.Helper()
	cluster := w.source
	if bootstrap == w.sides.Target {
		cluster = w.target
	}
	for number := range partitions {
		for _, b := range w.storedOn(cluster, topic, int32(number)) {
			if !b.Control() {
				n += b.Count()
			}
		}
	}
	return n
}

// The opposite flow of another configuration is refused before it makes anything, and
// the one that was there goes on. It calls the clusters otherwise.
func TestCircleIsRefusedAtStart(t *testing.T) { onLanes(t, testCircleAtStart) }

func testCircleAtStart(t *testing.T, w *world) {
	w.topic("orders", 2)
	w.mixed("orders", 2, 100)
	r := w.start(nil)
	w.equal([]string{"orders"})
	_, done := w.launch(w.other("west", "east", nil))
	circle := w.circleOf(<-done)
	for _, part := range []string{"flow old->new", "__replicator.old.new", "orders", "west"} {
		if !strings.Contains(circle.Error(), part) {
			t.Errorf("%q does not name %q", circle.Error(), part)
		}
	}
	listed, err := w.from.ListTopics(w.ctx)
	w.must("list", err)
	if listed.Has("__replicator.west.east") {
		t.Error("the refused flow has made its ledger")
	}
	w.mixed("orders", 2, 100)
	w.equal([]string{"orders"})
	r.stop()
	// The same flow turned round by mistake, while nothing runs.
	turned := w.other("west", "east", nil)
	turned.UntilCaughtUp, turned.Onlook = true, Onlook(turned.Clusters, nil)
	w.circleOf(New(turned).Run(w.ctx))
}

// Of two flows that start at the same moment one stops before anything goes round.
func TestCircleOfTwoThatStartTogether(t *testing.T) { onLanes(t, testCircleTogether) }

func testCircleTogether(t *testing.T, w *world) {
	w.topic("orders", 1)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 1, workload.KeepConfigs(), "orders"))
	one := w.other("east", "west", nil)
	one.Flows = append(one.Flows, w.idle(&one, "east", "west")) // so that a circle does not end the engine
	first, _ := w.launch(one)
	_, second := w.launch(w.other("west", "east", nil))
	w.await("a flow stops", func() bool {
		return inCircle(first.Ready()) || len(second) > 0
	})
	w.plain(w.sides.Source, "orders", 0, 10)
	w.plain(w.sides.Target, "orders", 0, 5)
	if n := w.count(w.sides.Source, "orders", 1) + w.count(w.sides.Target, "orders", 1); n > 30 {
		t.Errorf("both clusters hold %d records, want 30 at most", n)
	}
}

// idle is a flow beside another that copies nothing.
func (w *world) idle(o *Options, from, to string) Config {
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
func TestCircleIsFoundWhileRunning(t *testing.T) { onLanes(t, testCircleWhileRunning) }

func testCircleWhileRunning(t *testing.T, w *world) {
	w.cfg.Topics = []string{"orders.*"}
	w.topic("orders", 1)
	w.mixed("orders", 1, 50)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 1, workload.KeepConfigs(), "sold-new"))
	w.plain(w.sides.Target, "sold-new", 0, 20)
	one := w.other("east", "west", nil)
	first, _ := w.launch(one)
	two := w.other("west", "east", func(c *Config) {
		c.Topics, c.Ledger = []string{".*-new"}, "what-was-copied"
	})
	second, _ := w.launch(two)
	w.equal([]string{"orders"})
	w.await("sold-new is copied the other way", func() bool {
		return w.source.TopicInfo("sold-new") != nil && w.count(w.sides.Source, "sold-new", 1) == 20
	})
	// A flow that learns of another begins again with its policy: ready it is a moment later.
	w.await("flows whose topics are apart are ready", func() bool {
		return errors.Join(first.Ready(), second.Ready()) == nil
	})
	w.topic("orders-new", 1)
	w.await("a flow stops", func() bool { return inCircle(first.Ready()) || inCircle(second.Ready()) })
	w.plain(w.sides.Source, "orders-new", 0, 10)
	for _, o := range []Options{one, two} {
		look, err := Inspect(w.ctx, o.Clusters, o.Flows[0], nil)
		w.must("inspect", err)
		defer look.Close()
		plan, err := look.Plan(w.ctx)
		w.must("plan", err)
		circle := w.circleOf(errors.Join(plan.InTheWay()...))
		if !strings.Contains(circle.Error(), "orders-new") || strings.Contains(circle.Error(), "sold-new") {
			t.Errorf("the circle is said to be %q", circle.Error())
		}
		status, err := look.Status(w.ctx)
		w.must("status", err)
		if len(status.Problems) == 0 || !strings.Contains(status.Problems[0].Error, "in a circle") || status.CaughtUp {
			t.Errorf("status says %+v", status.Problems)
		}
	}
	if n := w.count(w.sides.Source, "orders-new", 1); n > 20 {
		t.Errorf("the source holds %d records, 10 were written", n)
	}
}

// Prefixes in both directions are legal in two configurations as in one, whatever they
// call the clusters: what came from a cluster is never copied back to it.
func TestPrefixBothWaysOfTwoConfigurations(t *testing.T) { onLanes(t, testPrefixBothWays) }

func testPrefixBothWays(t *testing.T, w *world) {
	w.cfg.Naming = policy.Prefix
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 30)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 1, workload.KeepConfigs(), "users"))
	w.plain(w.sides.Target, "users", 0, 20)
	first, _ := w.launch(w.other("old", "new", nil))
	second, _ := w.launch(w.other("west", "east", nil))
	w.await("both are copied", func() bool {
		return w.target.TopicInfo("old.orders") != nil && w.count(w.sides.Target, "old.orders", 1) == 30 &&
			w.source.TopicInfo("west.users") != nil && w.count(w.sides.Source, "west.users", 1) == 20
	})
	w.topic("late", 1) // shows that topics were looked for again
	w.plain(w.sides.Source, "late", 0, 5)
	w.await("late is copied", func() bool {
		return w.target.TopicInfo("old.late") != nil && w.count(w.sides.Target, "old.late", 1) == 5
	})
	w.await("both are ready", func() bool { return errors.Join(first.Ready(), second.Ready()) == nil })
	for _, admin := range []*kadm.Client{w.from, w.to} {
		listed, err := admin.ListTopics(w.ctx)
		w.must("list", err)
		for _, name := range listed.Names() {
			if strings.Count(name, "west.")+strings.Count(name, "old.") > 1 && !strings.HasPrefix(name, "__") {
				t.Errorf("topic %s was copied back", name)
			}
		}
	}
}

// A chain over three clusters is no ring; the flow that would close it is refused.
func TestCircleOverThreeClusters(t *testing.T) { onLanes(t, testCircleOverThree) }

func testCircleOverThree(t *testing.T, w *world) {
	third, bootstrap, _ := w.cluster("third")
	clusters := map[string]string{"a": w.sides.Source, "b": w.sides.Target, "c": bootstrap}
	flow := func(from, to, called string) Options {
		o := w.other(from, to, func(c *Config) { c.From, c.To = from+called, to+called })
		o.Clusters = map[string]kafka.Config{from + called: w.kafka(from+called, clusters[from]),
			to + called: w.kafka(to+called, clusters[to])}
		return o
	}
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	w.launch(flow("a", "b", "1"))
	w.launch(flow("b", "c", "2"))
	copied := func(n int) func() bool {
		return func() bool {
			if third.TopicInfo("orders") == nil {
				return false
			}
			got := 0
			for _, b := range w.storedOn(third, "orders", 0) {
				if !b.Control() {
					got += b.Count()
				}
			}
			return got == n
		}
	}
	w.await("the chain copies", copied(10))
	_, done := w.launch(flow("c", "a", "3"))
	circle := w.circleOf(<-done)
	if len(circle.Way) != 2 || !strings.Contains(circle.Error(), "flow a1->b1, flow b2->c2") {
		t.Errorf("the circle is said to be %q", circle.Error())
	}
	w.plain(w.sides.Source, "orders", 0, 10)
	w.await("the chain goes on", copied(20))
}

// A circle that is closed while somebody looks on is seen by the next look, and is told as what stays.
func TestCircleIsSeenByWhoLooksOn(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	other := w.other("west", "east", nil)
	look, err := Inspect(w.ctx, other.Clusters, other.Flows[0], nil)
	w.must("inspect", err)
	t.Cleanup(look.Close)
	status, err := look.Status(w.ctx)
	w.must("status", err)
	if len(status.Problems) > 0 {
		t.Errorf("before there is a circle: %+v", status.Problems)
	}
	w.start(nil)
	w.equal([]string{"orders"})
	status, err = look.Status(w.ctx)
	w.must("status", err)
	if len(status.Problems) != 1 || !status.Problems[0].Lasting || !strings.Contains(status.Problems[0].Error, "circle") {
		t.Errorf("with a circle: %+v", status.Problems)
	}
}
