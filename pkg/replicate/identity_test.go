package replicate_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/ownership"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/operate/verify"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// refused runs the flow until it ends by itself, and answers why.
func refused(w *flowtest.World, source string, cfg settings.Config) error {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.Ctx, flowtest.Patience)
	defer cancel()
	e := replicate.New(replicate.Options{
		Clusters: map[string]kafka.Config{cfg.From: w.Kafka(cfg.From, source), cfg.To: w.Kafka(cfg.To, w.Sides.Target)},
		Flows:    []settings.Config{cfg}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&w.Log, nil)),
	})
	err := e.Run(ctx)
	if err == nil || chunk.Remedy(err) == "" {
		w.T.Fatalf("the flow ended with %v and the remedy %q, want it refused", err, chunk.Remedy(err))
	}
	return err
}

// TestLedgerKnowsItsFlow: a new ledger says whose it is before anything is copied, and a
// restart leaves that as it is.
func TestLedgerKnowsItsFlow(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Naming = policy.Prefix
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	r.Copies("orders", 0)
	kept := w.Identity()
	if kept == nil || kept.From != "old" || kept.To != "new" || kept.SourceCluster != "old" ||
		kept.TargetCluster != "new" || kept.Naming != "prefix" || kept.Separator != "." || kept.Shards != 4 ||
		kept.Program == "" || kept.Since.IsZero() || kept.Revision != 1 {
		t.Fatalf("the ledger says %+v", kept)
	}
	r.Stop()
	r = w.Start(nil)
	r.Copies("orders", 0)
	if again := w.Identity(); again.Revision != 1 || !again.Since.Equal(kept.Since) {
		t.Errorf("after a restart the ledger says %+v", again)
	}
}

// TestTwinIsRefused: a second daemon with the same names and the same target, but another
// source, is refused by name before it joins the group or shuts anybody out.
func TestTwinIsRefused(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Start(nil).Copies("orders", 0)
	group := func() string {
		described, err := w.To.DescribeGroups(w.Ctx, w.Cfg.GroupID())
		w.Must("describe", err)
		var ids []string
		for _, m := range described[w.Cfg.GroupID()].Members {
			ids = append(ids, m.MemberID)
		}
		return strings.Join(ids, " ")
	}
	before := group()
	_, twin, _ := w.Cluster("another")
	err := refused(w, twin, w.Cfg)
	var other *identity.IdentityError
	if !errors.As(err, &other) || other.What != "source cluster" {
		t.Fatalf("the twin is refused with %v", err)
	}
	for _, want := range []string{w.Cfg.LedgerTopic(), "id old", "id another", "old->new"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	if strings.Contains(chunk.Remedy(err), "delete") {
		t.Errorf("the remedy destroys: %s", chunk.Remedy(err))
	}
	if after := group(); after != before {
		t.Errorf("the group had %q, and %q after the twin came", before, after)
	}
	if strings.Contains(w.Log.String(), "starting over") {
		t.Error("the first daemon was disturbed")
	}
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Equal([]string{"orders"})
}

// TestNamingIsDecidedOnce: another naming on an existing ledger copies nothing.
func TestNamingIsDecidedOnce(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	other := w.Cfg
	other.Naming = policy.Prefix
	err := refused(w, w.Sides.Source, other)
	if !strings.Contains(err.Error(), "naming is identity, here it is prefix") {
		t.Errorf("it is refused with %v", err)
	}
	topics, err := w.To.ListTopics(w.Ctx)
	w.Must("list", err)
	if topics.Has("old.orders") {
		t.Error("a topic was created under the other name")
	}
	w.Start(nil).Copies("orders", 0)
}

// TestUnsignedLedger: a ledger that does not name its flow, as earlier releases made it, is
// taken over, unless what it holds contradicts.
func TestUnsignedLedger(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	unsign := func() {
		w.Must("unsign", ledger.WriteNotes(w.Ctx, w.Kafka("new", w.Sides.Target), w.Cfg.LedgerTopic(), 0,
			[]ledger.Record{ledger.NoteRecord(ledger.IdentityName, nil)}))
		if kept := w.Identity(); kept != nil {
			t.Fatalf("it still says %+v", kept)
		}
	}
	unsign()
	other := w.Cfg
	other.Naming = policy.Prefix
	if err := refused(w, w.Sides.Source, other); !strings.Contains(err.Error(), "copy of topic orders is orders") {
		t.Errorf("another naming is refused with %v", err)
	}
	_, twin, _ := w.Cluster("another")
	w.Must("make the twin's topic", w.MakeTopic(twin, "orders"))
	if err := refused(w, twin, w.Cfg); !strings.Contains(err.Error(), "source topic orders") {
		t.Errorf("another source is refused with %v", err)
	}
	r = w.Start(nil)
	r.Copies("orders", 0)
	if kept := w.Identity(); kept == nil || kept.SourceCluster != "old" {
		t.Errorf("the ledger says %+v", kept)
	}
	if !strings.Contains(w.Log.String(), "earlier release is taken over") {
		t.Error("that is not logged")
	}
}

// renamed is the flow after its clusters have got other names in the file.
func renamed(w *flowtest.World) settings.Config {
	cfg := w.Cfg
	cfg.From, cfg.To = "aws", "gcp"
	return cfg
}

// TestRenamedClusters: with other names for its clusters a flow finds the ledger of the
// same copy and names it; with that ledger it goes on, groups and all, once nobody works
// under the former names any more.
func TestRenamedClusters(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 9)
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Source, []workload.Position{
		{Group: "billing", Topic: "orders", Partition: 0, At: 4}}))
	first := w.Start(nil)
	w.Stands("billing", "orders", 0, 4)

	cfg := renamed(w)
	ledgerTopic := w.Cfg.LedgerTopic()
	err := refused(w, w.Sides.Source, cfg)
	var renamed *identity.RenamedError
	if !errors.As(err, &renamed) || !strings.Contains(err.Error(), ledgerTopic) ||
		!strings.Contains(chunk.Remedy(err), "ledger: "+ledgerTopic) || !strings.Contains(err.Error(), "old->new") {
		t.Fatalf("it is refused with %v; %s", err, chunk.Remedy(err))
	}
	if topics, err := w.To.ListTopics(w.Ctx); err != nil || topics.Has(cfg.LedgerTopic()) {
		t.Errorf("a ledger was created for it: %v", err)
	}
	plan := w.PlanOf(cfg)
	if obstacles := plan.InTheWay(); len(obstacles) == 0 || !errors.As(obstacles[0], &renamed) {
		t.Errorf("check says %v", obstacles)
	}

	cfg.Ledger = ledgerTopic
	second := w.StartAs(cfg)
	w.Await("it waits for the replicas with the former names", func() bool {
		return strings.Contains(w.Log.String(), "still run as old->new, by 1 replicas")
	})
	if kept := w.Identity(); kept.Flow() != "old->new" {
		t.Errorf("the ledger says %s already", kept.Flow())
	}
	first.Stop()
	second.Copies("orders", 0)
	if kept := w.Identity(); kept.Flow() != "aws->gcp" || kept.Formerly[0] != "old->new" {
		t.Errorf("the ledger says %+v", kept)
	}
	w.Plain(w.Sides.Source, "orders", 0, 9)
	w.Equal([]string{"orders"})
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Source, []workload.Position{
		{Group: "billing", Topic: "orders", Partition: 0, At: 7}}))
	w.Stands("billing", "orders", 0, 7)

	// Whoever comes back under the former names waits in its turn, and disturbs nobody.
	w.StartAs(w.Cfg)
	w.Await("the former names wait", func() bool {
		return strings.Contains(w.Log.String(), "still run as aws->gcp, by 1 replicas")
	})
	w.Plain(w.Sides.Source, "orders", 0, 9)
	w.Equal([]string{"orders"})
}

// TestCommandsKnowOtherFlows: what a command would say by a ledger that is another flow's
// is not said.
func TestCommandsKnowOtherFlows(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	_, twin, _ := w.Cluster("another")
	w.Must("make the twin's topic", w.MakeTopic(twin, "orders"))
	clusters := map[string]kafka.Config{"old": w.Kafka("old", twin), "new": w.Kafka("new", w.Sides.Target)}
	look, err := snapshot.Open(w.Ctx, clusters, w.Cfg, nil)
	w.Must("inspect", err)
	defer look.Close()
	otherFlow := func(what string, err error) {
		t.Helper()
		var e *identity.IdentityError
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = inspect.Status(w.Ctx, look)
	otherFlow("status", err)
	_, err = verify.Flow(w.Ctx, look, verify.Options{})
	otherFlow("verify", err)
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	otherFlow("check", errors.Join(plan.InTheWay()...))
	_, err = cutover.Open(w.Ctx, cutover.Options{Clusters: clusters, Flow: w.Cfg})
	otherFlow("cutover", err)
	_, err = targettopics.Make(w.Ctx, clusters, w.Cfg, slog.New(slog.DiscardHandler))
	otherFlow("topics", err)
	_, err = targettopics.Restore(w.Ctx, clusters, w.Cfg, true, nil)
	otherFlow("topics restore", err)
	_, err = inspect.OpenCuts(w.Ctx, look)
	otherFlow("resume", err)
}

// TestAcceptClusters: a source that was built anew is accepted by an operator's word alone,
// while nobody works, and what it holds follows what was copied.
func TestAcceptClusters(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	_, anew, _ := w.Cluster("anew")
	w.Must("make the topic", w.MakeTopic(anew, "orders"))
	w.Plain(anew, "orders", 0, 3)
	clusters := map[string]kafka.Config{"old": w.Kafka("old", anew), "new": w.Kafka("new", w.Sides.Target)}

	_, err := ownership.Accept(w.Ctx, clusters, w.Cfg, nil)
	var busy *identity.NamesInUseError
	if !errors.As(err, &busy) {
		t.Errorf("while a replica runs: %v", err)
	}
	r.Stop()
	view, err := ownership.Read(w.Ctx, clusters, w.Cfg)
	w.Must("view", err)
	if view.Says.SourceCluster != "old" || !strings.Contains(view.Remedy, "--accept-clusters") {
		t.Errorf("before it is accepted: %+v", view)
	}
	_, err = ownership.Accept(w.Ctx, clusters, w.Cfg, nil)
	w.Must("accept", err)
	kept := w.Identity()
	if kept.SourceCluster != "anew" || len(kept.Changes) != 1 || kept.Changes[0].Was != "old" || kept.Revision != 2 {
		t.Errorf("the ledger says %+v", kept)
	}
	naming := w.Cfg
	naming.Naming = policy.Prefix
	if _, err := ownership.Accept(w.Ctx, clusters, naming, nil); err == nil {
		t.Error("another naming was accepted")
	}
	refused(w, w.Sides.Source, w.Cfg) // it is the former one that is the other flow now
	old := w.Sides.Source
	w.Sides.Source = anew
	w.Start(nil)
	w.Await("what the new source holds follows", func() bool {
		ends, err := w.To.ListCommittedOffsets(w.Ctx, "orders")
		w.Must("list", err)
		end, _ := ends.Lookup("orders", 0)
		return end.Offset >= 8
	})
	w.Sides.Source = old
}
