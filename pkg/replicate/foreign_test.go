package replicate

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// foreignOf is what check says of the first topic of a flow that is refused for records of others.
func (w *world) foreignOf(o Options) *chunk.Stop {
	w.t.Helper()
	look, err := Inspect(w.ctx, o.Clusters, o.Flows[0], nil)
	w.must("inspect", err)
	defer look.Close()
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	for _, topic := range plan.Topics {
		for _, stop := range append([]*chunk.Stop{topic.Stop}, topic.Stops...) {
			if stop != nil && stop.Kind == chunk.StopForeign {
				return stop
			}
		}
	}
	w.t.Fatalf("nothing is refused: %+v", plan.Topics)
	return nil
}

// says compares the words of a stop.
func (w *world) says(stop *chunk.Stop, reason, fix string, mayDelete bool) {
	w.t.Helper()
	if !strings.Contains(stop.Reason, reason) || !strings.Contains(stop.Fix, fix) {
		w.t.Errorf("it says %q, and to do %q; want %q and %q", stop.Reason, stop.Fix, reason, fix)
	}
	at := strings.Index(stop.Fix, "deleted on")
	if !mayDelete && at >= 0 || mayDelete && at < strings.Index(stop.Fix, "exclude_topics") {
		w.t.Errorf("deletion comes first, or where it must not: %q", stop.Fix)
	}
}

// The remedies of foreign_records ask who wrote the records before anything else, and
// never destroy what is known to be somebody's.
func TestForeignRecordsSaysWhoWroteThem(t *testing.T) { onLanes(t, testForeignWho) }

func testForeignWho(t *testing.T, w *world) {
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 20)
	r := w.start(nil)
	w.equal([]string{"orders"})
	// Turned round: the target's records are the originals.
	turned := w.other("west", "east", nil)
	w.says(w.foreignOf(turned), "flow old->new copies from this topic to west: it is the original", "exchanged", false)
	r.stop()
	// Another flow with the same target topic.
	_, bootstrap, _ := w.cluster("third")
	w.must("create", workload.Topics(w.ctx, bootstrap, 1, workload.KeepConfigs(), "orders"))
	w.plain(bootstrap, "orders", 0, 5)
	third := w.other("old", "new", func(c *Config) { c.From = "third" })
	third.Clusters["third"] = w.kafka("third", bootstrap)
	w.says(w.foreignOf(third), "flow old->new wrote it, as its ledger __replicator.old.new says: the topic is that "+
		"flow's copy", "exclude_topics", false)
	// Renamed clusters, under which the ledger is another one.
	renamed := w.other("east", "west", nil)
	w.says(w.foreignOf(renamed), "flow old->new wrote it", "renamed, name them as before", false)
}

// Where no ledger knows the records, those who use the topic are named; deletion comes last.
func TestForeignRecordsOfNobodyKnown(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 20)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 1, workload.KeepConfigs(), "orders"))
	w.must("write", workload.Produce(w.ctx, w.sides.Target, "orders", &kgo.Record{Value: []byte("someone's")}))
	flow := Options{Flows: []Config{w.cfg}, Clusters: map[string]kafka.Config{
		"old": w.kafka("old", w.sides.Source), "new": w.kafka("new", w.sides.Target)}}
	stop := w.foreignOf(flow)
	if !strings.Contains(stop.Reason, "no ledger on new claims it") ||
		!strings.Contains(stop.Fix, "from and to are exchanged") {
		t.Errorf("it says %q, and to do %q", stop.Reason, stop.Fix)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.target.ListenAddrs()...), kgo.ConsumerGroup("billing"),
		kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	w.must("consume", err)
	defer client.Close()
	if err := client.PollFetches(w.ctx).Err(); err != nil {
		t.Fatal(err)
	}
	w.says(w.foreignOf(flow), "in use there: group billing (1 members)", "exclude_topics", false)
	flow.Flows[0].Naming = policy.Prefix // as it advises
	look, err := Inspect(w.ctx, flow.Clusters, flow.Flows[0], nil)
	w.must("inspect", err)
	defer look.Close()
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	if problems := plan.InTheWay(); len(problems) > 0 {
		t.Errorf("under another name: %v", problems)
	}
}
