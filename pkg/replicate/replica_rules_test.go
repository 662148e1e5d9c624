package replicate_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/settings"
)

// TestReplicasOfOtherRulesNameEachOther: two replicas with different rules on one ledger name each other,
// in the log, by metric and in status, until they agree again.
func TestReplicasOfOtherRulesNameEachOther(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 4)
	w.Plain(w.Sides.Source, "orders", 0, 3)
	w.Cfg.Topics = []string{"orders"}
	first := w.Start(nil)
	first.Copies("orders", 0)
	other := w.Cfg
	other.Topics, other.ExcludeGroups = []string{"bills"}, []string{"x"}
	second := w.StartAs(other)
	differ := func(r *flowtest.Replica) float64 { return r.Scrape("replicator_replicas_differing")[""] }
	w.Await("both see the other's rules", func() bool { return differ(first) == 1 && differ(second) == 1 })
	const said = `level=ERROR msg="replicas have different rules" flow=old->new replicas=1 differ="exclude_groups topics"`
	w.Await("the log says so", func() bool { return strings.Count(w.Log.String(), said) == 2 })
	look, err := snapshot.Open(w.Ctx, w.Clusters(), w.Cfg, nil)
	w.Must("inspect", err)
	defer look.Close()
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	told := false
	for _, p := range status.Problems {
		told = told || strings.Contains(p.Error, "1 replicas") && strings.Contains(p.Error, "(exclude_groups, topics)")
	}
	if !told || status.CaughtUp {
		t.Errorf("status says %+v, caught up %v", status.Problems, status.CaughtUp)
	}
	plan := w.PlanOf(w.Cfg)
	if said := strings.Join(plan.Warnings, " "); !strings.Contains(said, "(exclude_groups, topics) than this") {
		t.Errorf("check warns of %q", said)
	}
	// The way of a change: the others get the same rules, one by one.
	second.Cancel()
	<-second.Done
	second.Done <- nil
	third := w.Start(nil)
	w.Await("they agree again", func() bool { return differ(first) == 0 && differ(third) == 0 && third.Owned() > 0 })
	if !strings.Contains(w.Log.String(), "all replicas have the same rules again") {
		t.Error("that is not logged")
	}
}

// TestFlowsOfOtherClustersInOneGroup: flows whose clusters have the same names cannot share group and
// transactional ids, whatever their ledgers: the second waits, and disturbs nobody.
func TestFlowsOfOtherClustersInOneGroup(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 3)
	first := w.Start(nil)
	first.Copies("orders", 0)
	_, twin, _ := w.Cluster("another")
	w.Must("make the twin's topic", w.MakeTopic(twin, "bills"))
	cfg := w.Cfg
	cfg.Ledger = "__replicator.twin"
	ctx, cancel := context.WithCancel(w.Ctx)
	clusters := map[string]kafka.Config{"old": w.Kafka("old", twin), "new": w.Kafka("new", w.Sides.Target)}
	e := replicate.New(replicate.Options{
		Clusters: clusters, Flows: []settings.Config{cfg}, Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(&w.Log, nil)),
	})
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	defer func() { cancel(); <-done }()
	var foreign *peers.ForeignMembersError
	w.Await("the twin is refused by name", func() bool {
		return errors.As(e.Ready(), &foreign)
	})
	for _, want := range []string{"replicator.old.new", "__replicator.old.new", "__replicator.twin"} {
		if !strings.Contains(foreign.Error(), want) {
			t.Errorf("%q does not name %s", foreign, want)
		}
	}
	if topics, err := w.To.ListTopics(w.Ctx); err != nil || topics.Has("__replicator.twin") || topics.Has("bills") {
		t.Errorf("it has made its topics: %v, %v", topics.Names(), err)
	}
	seen, err := snapshot.Open(w.Ctx, clusters, cfg, nil)
	w.Must("inspect", err)
	defer seen.Close()
	plan, err := preflight.Plan(w.Ctx, seen)
	w.Must("plan", err)
	if !peers.AreForeignMembers(errors.Join(plan.InTheWay()...)) {
		t.Errorf("check says %v", plan.InTheWay())
	}
	w.Plain(w.Sides.Source, "orders", 0, 3)
	w.Equal([]string{"orders"})
	first.Stop()
	w.Await("it begins when the others are gone", func() bool {
		return slices.ContainsFunc(e.States(), func(f replicate.FlowState) bool { return f.Shards == cfg.Shards })
	})
}
