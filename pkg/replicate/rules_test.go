package replicate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/kafka"
)

// TestReplicasOfOtherRules: two replicas with different rules on one ledger name each other,
// in the log, by metric and in status, until they agree again.
func TestReplicasOfOtherRules(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 4)
	w.plain(w.sides.Source, "orders", 0, 3)
	w.cfg.Topics = []string{"orders"}
	first := w.start(nil)
	first.copies("orders", 0)
	other := w.cfg
	other.Topics, other.ExcludeGroups = []string{"bills"}, []string{"x"}
	second := w.startAs(other)
	differ := func(r *replica) float64 { return r.scrape("replicator_replicas_differing")[""] }
	w.await("both see the other's rules", func() bool { return differ(first) == 1 && differ(second) == 1 })
	const said = `level=ERROR msg="replicas have different rules" flow=old->new replicas=1 differ="exclude_groups topics"`
	w.await("the log says so", func() bool { return strings.Count(w.log.String(), said) == 2 })
	look, err := Inspect(w.ctx, map[string]kafka.Config{
		"old": w.kafka("old", w.sides.Source), "new": w.kafka("new", w.sides.Target)}, w.cfg, nil)
	w.must("inspect", err)
	defer look.Close()
	status, err := look.Status(w.ctx)
	w.must("status", err)
	told := false
	for _, p := range status.Problems {
		told = told || strings.Contains(p.Error, "1 replicas") && strings.Contains(p.Error, "(exclude_groups, topics)")
	}
	if !told || status.CaughtUp {
		t.Errorf("status says %+v, caught up %v", status.Problems, status.CaughtUp)
	}
	plan := w.planOf(w.cfg)
	if said := strings.Join(plan.Warnings, " "); !strings.Contains(said, "(exclude_groups, topics) than this") {
		t.Errorf("check warns of %q", said)
	}
	// The way of a change: the others get the same rules, one by one.
	second.cancel()
	<-second.done
	second.done <- nil
	third := w.start(nil)
	w.await("they agree again", func() bool { return differ(first) == 0 && differ(third) == 0 && third.owned() > 0 })
	if !strings.Contains(w.log.String(), "all replicas have the same rules again") {
		t.Error("that is not logged")
	}
}

// TestStrangersInTheGroup: flows whose clusters have the same names cannot share group and
// transactional ids, whatever their ledgers: the second waits, and disturbs nobody.
func TestStrangersInTheGroup(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.plain(w.sides.Source, "orders", 0, 3)
	first := w.start(nil)
	first.copies("orders", 0)
	_, twin, _ := w.cluster("another")
	w.must("make the twin's topic", w.makeTopic(twin, "bills"))
	cfg := w.cfg
	cfg.Ledger = "__replicator.twin"
	ctx, cancel := context.WithCancel(w.ctx)
	clusters := map[string]kafka.Config{"old": w.kafka("old", twin), "new": w.kafka("new", w.sides.Target)}
	e := New(Options{
		Clusters: clusters, Flows: []Config{cfg}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	defer func() { cancel(); <-done }()
	var strangers *StrangersError
	w.await("the twin is refused by name", func() bool {
		return errors.As(e.Ready(), &strangers)
	})
	for _, want := range []string{"replicator.old.new", "__replicator.old.new", "__replicator.twin"} {
		if !strings.Contains(strangers.Error(), want) {
			t.Errorf("%q does not name %s", strangers, want)
		}
	}
	if topics, err := w.to.ListTopics(w.ctx); err != nil || topics.Has("__replicator.twin") || topics.Has("bills") {
		t.Errorf("it has made its topics: %v, %v", topics.Names(), err)
	}
	seen, err := Inspect(w.ctx, clusters, cfg, nil)
	w.must("inspect", err)
	defer seen.Close()
	plan, err := seen.Plan(w.ctx)
	w.must("plan", err)
	if !hasStrangers(errors.Join(plan.InTheWay()...)) {
		t.Errorf("check says %v", plan.InTheWay())
	}
	w.plain(w.sides.Source, "orders", 0, 3)
	w.equal([]string{"orders"})
	first.stop()
	w.await("it begins when the others are gone", func() bool {
		return slices.ContainsFunc(e.Look(), func(f FlowState) bool { return f.Shards == cfg.Shards })
	})
}
