package replicate_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// foreignOf is what check says of the first topic of a flow that is refused for records of others.
func foreignOf(w *flowtest.World, o replicate.Options) *chunk.Stop {
	w.T.Helper()
	look, err := snapshot.Open(w.Ctx, o.Clusters, o.Flows[0], nil)
	w.Must("inspect", err)
	defer look.Close()
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	for _, topic := range plan.Topics {
		for _, stop := range append([]*chunk.Stop{topic.Stop}, topic.Stops...) {
			if stop != nil && stop.Kind == chunk.StopForeign {
				return stop
			}
		}
	}
	w.T.Fatalf("nothing is refused: %+v", plan.Topics)
	return nil
}

// says compares the words of a stop.
func says(w *flowtest.World, stop *chunk.Stop, reason, fix string, mayDelete bool) {
	w.T.Helper()
	if !strings.Contains(stop.Reason, reason) || !strings.Contains(stop.Fix, fix) {
		w.T.Errorf("it says %q, and to do %q; want %q and %q", stop.Reason, stop.Fix, reason, fix)
	}
	at := strings.Index(stop.Fix, "deleted on")
	if !mayDelete && at >= 0 || mayDelete && at < strings.Index(stop.Fix, "exclude_topics") {
		w.T.Errorf("deletion comes first, or where it must not: %q", stop.Fix)
	}
}

// The remedies of foreign_records ask who wrote the records before anything else, and
// never destroy what is known to be somebody's.
func TestForeignRecordsSaysWhoWroteThem(t *testing.T) {
	flowtest.OnLanes(t, testForeignRecordsSaysWhoWroteThem)
}

func testForeignRecordsSaysWhoWroteThem(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 20)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	// Turned round: the target's records are the originals.
	turned := other(w, "west", "east", nil)
	says(w, foreignOf(w, turned), "flow old->new copies from this topic to west: it is the original", "exchanged", false)
	r.Stop()
	// Another flow with the same target topic.
	_, bootstrap, _ := w.Cluster("third")
	w.Must("create", workload.Topics(w.Ctx, bootstrap, 1, workload.KeepConfigs(), "orders"))
	w.Plain(bootstrap, "orders", 0, 5)
	third := other(w, "old", "new", func(c *settings.Config) { c.From = "third" })
	third.Clusters["third"] = w.Kafka("third", bootstrap)
	says(w, foreignOf(w, third), "flow old->new wrote it, as its ledger __replicator.old.new says: the topic is that "+
		"flow's copy", "exclude_topics", false)
	// Renamed clusters, under which the ledger is another one.
	renamed := other(w, "east", "west", nil)
	says(w, foreignOf(w, renamed), "flow old->new wrote it", "renamed, name them as before", false)
}

// A ledger that cannot be read may claim the records: that nobody does is not said, and no deletion is advised.
func TestForeignRecordsBesideAnUnreadableLedger(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 1, workload.KeepConfigs(), "orders"))
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Target, "orders", &kgo.Record{Value: []byte("another's")}))
	w.Target.Topic("__replicator.third.new", 2)
	w.Must("write", ledger.WriteNotes(w.Ctx, w.Kafka("new", w.Sides.Target), "__replicator.third.new", 0,
		[]ledger.Record{ledger.NoteRecord("a", []byte("note"))}))
	w.Target.Produce(&kgo.Record{Topic: "__replicator.third.new", Partition: 1, Key: []byte{99, 1}, Value: []byte{99}})
	says(w, foreignOf(w, replicate.Options{Flows: []settings.Config{w.Cfg}, Clusters: w.Clusters()}),
		"who wrote it cannot be told", "from and to are exchanged", false)
}

// Where no ledger knows the records, those who use the topic are named; deletion comes last.
func TestForeignRecordsOfNobodyKnown(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 20)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 1, workload.KeepConfigs(), "orders"))
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Target, "orders", &kgo.Record{Value: []byte("someone's")}))
	flow := replicate.Options{Flows: []settings.Config{w.Cfg}, Clusters: w.Clusters()}
	stop := foreignOf(w, flow)
	if !strings.Contains(stop.Reason, "no ledger on new claims it") ||
		!strings.Contains(stop.Fix, "from and to are exchanged") {
		t.Errorf("it says %q, and to do %q", stop.Reason, stop.Fix)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Target.ListenAddrs()...), kgo.ConsumerGroup("billing"),
		kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	w.Must("consume", err)
	defer client.Close()
	if err := client.PollFetches(w.Ctx).Err(); err != nil {
		t.Fatal(err)
	}
	says(w, foreignOf(w, flow), "in use there: group billing (1 members)", "exclude_topics", false)
	flow.Flows[0].Naming = policy.Prefix // as it advises
	look, err := snapshot.Open(w.Ctx, flow.Clusters, flow.Flows[0], nil)
	w.Must("inspect", err)
	defer look.Close()
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	if problems := plan.InTheWay(); len(problems) > 0 {
		t.Errorf("under another name: %v", problems)
	}
}
