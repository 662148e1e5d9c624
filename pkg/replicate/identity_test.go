package replicate

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/integration/workload"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// identity is what the ledger says of its flow.
func (w *world) identity() *ledger.Identity {
	w.t.Helper()
	kept, err := ledger.ReadIdentity(w.ctx, w.kafka("new", w.sides.Target), w.cfg.LedgerTopic())
	w.must("read identity", err)
	return kept
}

// refused runs the flow until it ends by itself, and answers why.
func (w *world) refused(source string, cfg Config) error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	e := New(Options{
		Clusters: map[string]kafka.Config{cfg.From: w.kafka(cfg.From, source), cfg.To: w.kafka(cfg.To, w.sides.Target)},
		Flows:    []Config{cfg}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	err := e.Run(ctx)
	if err == nil || chunk.Remedy(err) == "" {
		w.t.Fatalf("the flow ended with %v and the remedy %q, want it refused", err, chunk.Remedy(err))
	}
	return err
}

// TestLedgerKnowsItsFlow: a new ledger says whose it is before anything is copied, and a
// restart leaves that as it is.
func TestLedgerKnowsItsFlow(t *testing.T) {
	w := newWorld(t)
	w.cfg.Naming = policy.Prefix
	w.topic("orders", 2)
	w.plain(w.sides.Source, "orders", 0, 5)
	r := w.start(nil)
	r.copies("orders", 0)
	kept := w.identity()
	if kept == nil || kept.From != "old" || kept.To != "new" || kept.SourceCluster != "old" ||
		kept.TargetCluster != "new" || kept.Naming != "prefix" || kept.Separator != "." || kept.Shards != 4 ||
		kept.Program == "" || kept.Since.IsZero() || kept.Revision != 1 {
		t.Fatalf("the ledger says %+v", kept)
	}
	r.stop()
	r = w.start(nil)
	r.copies("orders", 0)
	if again := w.identity(); again.Revision != 1 || !again.Since.Equal(kept.Since) {
		t.Errorf("after a restart the ledger says %+v", again)
	}
}

// TestTwinIsRefused: a second daemon with the same names and the same target, but another
// source, is refused by name before it joins the group or shuts anybody out.
func TestTwinIsRefused(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.plain(w.sides.Source, "orders", 0, 5)
	w.start(nil).copies("orders", 0)
	group := func() string {
		described, err := w.to.DescribeGroups(w.ctx, w.cfg.GroupID())
		w.must("describe", err)
		var ids []string
		for _, m := range described[w.cfg.GroupID()].Members {
			ids = append(ids, m.MemberID)
		}
		return strings.Join(ids, " ")
	}
	before := group()
	_, twin, _ := w.cluster("another")
	err := w.refused(twin, w.cfg)
	var stranger *IdentityError
	if !errors.As(err, &stranger) || stranger.What != "source cluster" {
		t.Fatalf("the twin is refused with %v", err)
	}
	for _, want := range []string{w.cfg.LedgerTopic(), "id old", "id another", "old->new"} {
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
	if strings.Contains(w.log.String(), "starting over") {
		t.Error("the first daemon was disturbed")
	}
	w.plain(w.sides.Source, "orders", 0, 5)
	w.equal([]string{"orders"})
}

// TestNamingIsDecidedOnce: another naming on an existing ledger copies nothing.
func TestNamingIsDecidedOnce(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	other := w.cfg
	other.Naming = policy.Prefix
	err := w.refused(w.sides.Source, other)
	if !strings.Contains(err.Error(), "naming is identity, here it is prefix") {
		t.Errorf("it is refused with %v", err)
	}
	topics, err := w.to.ListTopics(w.ctx)
	w.must("list", err)
	if topics.Has("old.orders") {
		t.Error("a topic was created under the other name")
	}
	w.start(nil).copies("orders", 0)
}

// TestUnsignedLedger: a ledger that does not name its flow, as earlier releases made it, is
// taken over, unless what it holds contradicts.
func TestUnsignedLedger(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	unsign := func() {
		w.must("unsign", ledger.WriteNotes(w.ctx, w.kafka("new", w.sides.Target), w.cfg.LedgerTopic(), 0,
			[]ledger.Record{ledger.NoteRecord(ledger.IdentityName, nil)}))
		if kept := w.identity(); kept != nil {
			t.Fatalf("it still says %+v", kept)
		}
	}
	unsign()
	other := w.cfg
	other.Naming = policy.Prefix
	if err := w.refused(w.sides.Source, other); !strings.Contains(err.Error(), "copy of topic orders is orders") {
		t.Errorf("another naming is refused with %v", err)
	}
	_, twin, _ := w.cluster("another")
	w.must("make the twin's topic", w.makeTopic(twin, "orders"))
	if err := w.refused(twin, w.cfg); !strings.Contains(err.Error(), "source topic orders") {
		t.Errorf("another source is refused with %v", err)
	}
	r = w.start(nil)
	r.copies("orders", 0)
	if kept := w.identity(); kept == nil || kept.SourceCluster != "old" {
		t.Errorf("the ledger says %+v", kept)
	}
	if !strings.Contains(w.log.String(), "earlier release is taken over") {
		t.Error("that is not logged")
	}
}

// TestCompareIdentities: which changes of a flow its ledger goes along with.
func TestCompareIdentities(t *testing.T) {
	cfg := DefaultConfig()
	cfg.From, cfg.To = "old", "new"
	kept := cfg.identity("S", "T")
	id, other := chunk.TopicID{1}, chunk.TopicID{2}
	book := ledger.NewShard()
	p, err := book.Prepare([]ledger.Change{{Key: ledger.Key{Topic: id, Partition: chunk.Partition{Topic: "orders"}},
		Header: ledger.Header{TargetTopic: other}}})
	if err != nil {
		t.Fatal(err)
	}
	p.Apply(make([]int64, len(p.Records)))
	holds := func(source, target chunk.TopicID) func() (*evidence, error) {
		return func() (*evidence, error) {
			return &evidence{books: []*ledger.Shard{book},
				source: &seenCluster{topics: map[string]seenTopic{"orders": {id: source}}},
				target: &seenCluster{topics: map[string]seenTopic{"orders": {id: target}}}}, nil
		}
	}
	same := holds(id, other)
	for name, c := range map[string]struct {
		change func(*ledger.Identity)
		look   func() (*evidence, error)
		want   string // in the error, or what changes
		ok     bool
	}{
		"nothing":               {func(*ledger.Identity) {}, same, "", true},
		"another source":        {func(i *ledger.Identity) { i.SourceCluster = "S2" }, holds(other, other), "id S2", false},
		"source of another id":  {func(i *ledger.Identity) { i.SourceCluster = "S2" }, same, "source cluster id", true},
		"another target":        {func(i *ledger.Identity) { i.TargetCluster = "T2" }, holds(id, id), "id T2", false},
		"target of another id":  {func(i *ledger.Identity) { i.TargetCluster = "T2" }, same, "target cluster id", true},
		"a cluster without id":  {func(i *ledger.Identity) { i.SourceCluster = "" }, same, "", true},
		"naming":                {func(i *ledger.Identity) { i.Naming = "prefix" }, same, "naming is identity", false},
		"a prefix":              {func(i *ledger.Identity) { i.SourcePrefix = "x-" }, same, "source prefix is none", false},
		"names":                 {func(i *ledger.Identity) { i.From = "aws" }, same, "flow", true},
		"another release of us": {func(i *ledger.Identity) { i.Program = "v9" }, same, "program", true},
		"shards":                {func(i *ledger.Identity) { i.Shards = 9 }, same, "9 shards", false},
	} {
		now := kept
		c.change(&now)
		changes, err := compareIdentities("ledger", kept, now, c.look)
		said := ""
		if err != nil {
			said = err.Error()
		}
		for _, change := range changes {
			said += change.What
		}
		if (err == nil) != c.ok || !strings.Contains(said, c.want) || c.want == "" && said != "" {
			t.Errorf("%s: %q, %v; want %q, %v", name, said, err, c.want, c.ok)
		}
	}
}

// makeTopic creates a topic with one partition on a cluster.
func (w *world) makeTopic(bootstrap, topic string) error {
	return workload.Topics(w.ctx, bootstrap, 1, workload.KeepConfigs(), topic)
}

// renamed is the flow after its clusters have got other names in the file.
func (w *world) renamed() Config {
	cfg := w.cfg
	cfg.From, cfg.To = "aws", "gcp"
	return cfg
}

// startAs runs one more replica of a flow whose clusters have other names.
func (w *world) startAs(cfg Config) *replica {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	r := &replica{w: w, registry: prometheus.NewRegistry(), cancel: cancel, done: make(chan error, 1)}
	r.Engine = New(Options{
		Clusters: map[string]kafka.Config{
			cfg.From: w.kafka(cfg.From, w.sides.Source), cfg.To: w.kafka(cfg.To, w.sides.Target)},
		Flows: []Config{cfg}, Registry: r.registry, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	go func() { r.done <- r.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// TestRenamedClusters: with other names for its clusters a flow finds the ledger of the
// same copy and names it; with that ledger it goes on, groups and all, once nobody works
// under the former names any more.
func TestRenamedClusters(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 9)
	w.must("commit", workload.Commit(w.ctx, w.sides.Source, []workload.Position{
		{Group: "billing", Topic: "orders", Partition: 0, At: 4}}))
	first := w.start(nil)
	w.stands("billing", "orders", 0, 4)

	cfg := w.renamed()
	ledgerTopic := w.cfg.LedgerTopic()
	err := w.refused(w.sides.Source, cfg)
	var renamed *RenamedError
	if !errors.As(err, &renamed) || !strings.Contains(err.Error(), ledgerTopic) ||
		!strings.Contains(chunk.Remedy(err), "ledger: "+ledgerTopic) || !strings.Contains(err.Error(), "old->new") {
		t.Fatalf("it is refused with %v; %s", err, chunk.Remedy(err))
	}
	if topics, err := w.to.ListTopics(w.ctx); err != nil || topics.Has(cfg.LedgerTopic()) {
		t.Errorf("a ledger was created for it: %v", err)
	}
	plan := w.planOf(cfg)
	if obstacles := plan.InTheWay(); len(obstacles) == 0 || !errors.As(obstacles[0], &renamed) {
		t.Errorf("check says %v", obstacles)
	}

	cfg.Ledger = ledgerTopic
	second := w.startAs(cfg)
	w.await("it waits for the replicas with the former names", func() bool {
		return strings.Contains(w.log.String(), "still run as old->new, by 1 replicas")
	})
	if kept := w.identity(); kept.Flow() != "old->new" {
		t.Errorf("the ledger says %s already", kept.Flow())
	}
	first.stop()
	second.copies("orders", 0)
	if kept := w.identity(); kept.Flow() != "aws->gcp" || kept.Formerly[0] != "old->new" {
		t.Errorf("the ledger says %+v", kept)
	}
	w.plain(w.sides.Source, "orders", 0, 9)
	w.equal([]string{"orders"})
	w.must("commit", workload.Commit(w.ctx, w.sides.Source, []workload.Position{
		{Group: "billing", Topic: "orders", Partition: 0, At: 7}}))
	w.stands("billing", "orders", 0, 7)

	// Whoever comes back under the former names waits in its turn, and disturbs nobody.
	w.startAs(w.cfg)
	w.await("the former names wait", func() bool {
		return strings.Contains(w.log.String(), "still run as aws->gcp, by 1 replicas")
	})
	w.plain(w.sides.Source, "orders", 0, 9)
	w.equal([]string{"orders"})
}

// planOf is the dry run of a flow between the world's clusters.
func (w *world) planOf(cfg Config) *FlowPlan {
	w.t.Helper()
	look, err := Inspect(w.ctx, map[string]kafka.Config{
		cfg.From: w.kafka(cfg.From, w.sides.Source), cfg.To: w.kafka(cfg.To, w.sides.Target)}, cfg, nil)
	w.must("inspect", err)
	defer look.Close()
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	return plan
}

// TestCommandsKnowStrangers: what a command would say by a ledger that is another flow's
// is not said.
func TestCommandsKnowStrangers(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	_, twin, _ := w.cluster("another")
	w.must("make the twin's topic", w.makeTopic(twin, "orders"))
	clusters := map[string]kafka.Config{"old": w.kafka("old", twin), "new": w.kafka("new", w.sides.Target)}
	look, err := Inspect(w.ctx, clusters, w.cfg, nil)
	w.must("inspect", err)
	defer look.Close()
	stranger := func(what string, err error) {
		t.Helper()
		var e *IdentityError
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = look.Status(w.ctx)
	stranger("status", err)
	_, err = look.Verify(w.ctx, VerifyOptions{})
	stranger("verify", err)
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	stranger("check", errors.Join(plan.InTheWay()...))
	_, err = OpenCutover(w.ctx, HandoverOptions{Clusters: clusters, Flow: w.cfg})
	stranger("cutover", err)
	_, err = MakeTopics(w.ctx, clusters, w.cfg, slog.New(slog.DiscardHandler))
	stranger("topics", err)
	_, err = RestoreTopics(w.ctx, clusters, w.cfg, true, nil)
	stranger("topics restore", err)
	_, err = look.OpenCuts(w.ctx)
	stranger("resume", err)
}

// TestAcceptClusters: a source that was built anew is accepted by an operator's word alone,
// while nobody works, and what it holds follows what was copied.
func TestAcceptClusters(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	r := w.start(nil)
	w.equal([]string{"orders"})
	_, anew, _ := w.cluster("anew")
	w.must("make the topic", w.makeTopic(anew, "orders"))
	w.plain(anew, "orders", 0, 3)
	clusters := map[string]kafka.Config{"old": w.kafka("old", anew), "new": w.kafka("new", w.sides.Target)}

	_, err := AcceptClusters(w.ctx, clusters, w.cfg, nil)
	var busy *NamesInUseError
	if !errors.As(err, &busy) {
		t.Errorf("while a replica runs: %v", err)
	}
	r.stop()
	view, err := ViewLedger(w.ctx, clusters, w.cfg)
	w.must("view", err)
	if view.Says.SourceCluster != "old" || !strings.Contains(view.Remedy, "--accept-clusters") {
		t.Errorf("before it is accepted: %+v", view)
	}
	_, err = AcceptClusters(w.ctx, clusters, w.cfg, nil)
	w.must("accept", err)
	kept := w.identity()
	if kept.SourceCluster != "anew" || len(kept.Changes) != 1 || kept.Changes[0].Was != "old" || kept.Revision != 2 {
		t.Errorf("the ledger says %+v", kept)
	}
	naming := w.cfg
	naming.Naming = policy.Prefix
	if _, err := AcceptClusters(w.ctx, clusters, naming, nil); err == nil {
		t.Error("another naming was accepted")
	}
	w.refused(w.sides.Source, w.cfg) // it is the former one that is a stranger now
	old := w.sides.Source
	w.sides.Source = anew
	w.start(nil)
	w.await("what the new source holds follows", func() bool {
		ends, err := w.to.ListCommittedOffsets(w.ctx, "orders")
		w.must("list", err)
		end, _ := ends.Lookup("orders", 0)
		return end.Offset >= 8
	})
	w.sides.Source = old
}
