package replicate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/identity"
)

// withoutIDs are the versions of a broker whose topics have no ids.
func withoutIDs() kfake.Opt { return kfake.MaxVersions(kversion.V2_7_0()) }

// TestTargetWithoutTopicIDs: it is refused by every look and at the start, with the
// reason, whether a topic shows beforehand or not.
func TestTargetWithoutTopicIDs(t *testing.T) { flowtest.OnLanes(t, testTargetWithoutTopicIDs) }

func testTargetWithoutTopicIDs(t *testing.T, w *flowtest.World) {
	w.Target, w.Sides.Target, w.To = w.Cluster("new", withoutIDs())
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	refused := func(err error) {
		t.Helper()
		var idless *identity.NoTopicIDsError
		if !errors.As(err, &idless) || idless.Cluster != "new" || !strings.Contains(idless.Remedy(), "2.8") {
			t.Errorf("%v, want that cluster new gives its topics no ids", err)
		}
	}
	plan, err := preflight.Plan(w.Ctx, w.Look()) // no topic is there
	w.Must("plan", err)
	refused(errors.Join(plan.InTheWay()...))
	refused(w.Ends(w.Once())) // by the ledger, the first topic there
	view := w.Look()
	plan, err = preflight.Plan(w.Ctx, view)
	w.Must("plan", err)
	refused(errors.Join(plan.InTheWay()...))
	status, err := inspect.Status(w.Ctx, view)
	w.Must("status", err)
	if status.CaughtUp || len(status.Problems) == 0 || !strings.Contains(status.Problems[0].Error, "no ids") {
		t.Errorf("status says %+v", status.Problems)
	}
	refused(w.Ends(w.Once()))
}

// TestSourceWithoutTopicIDs: it is copied, and check says what that means.
func TestSourceWithoutTopicIDs(t *testing.T) { flowtest.OnLanes(t, testSourceWithoutTopicIDs) }

func testSourceWithoutTopicIDs(t *testing.T, w *flowtest.World) {
	w.Source, w.Sides.Source, w.From = w.Cluster("old", withoutIDs())
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 100)
	w.Start(nil)
	w.Equal([]string{"orders"})
	w.Groups([]string{"orders"})
	plan, err := preflight.Plan(w.Ctx, w.Look())
	w.Must("plan", err)
	if !strings.Contains(strings.Join(plan.Warnings, "\n"), "no ids") || len(plan.InTheWay()) > 0 {
		t.Errorf("check warns of %q, and says that in the way are %v", plan.Warnings, plan.InTheWay())
	}
}

// TestSourceGetsTopicIDs: the upgrade of the source gives its topics ids. They are the
// same topics: nothing is copied twice, and groups stand where they stood. One that is
// created again later is another.
func TestSourceGetsTopicIDs(t *testing.T) { flowtest.OnLanes(t, testSourceGetsTopicIDs) }

func testSourceGetsTopicIDs(t *testing.T, w *flowtest.World) {
	upgraded := w.Upgrading(w.Source)
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 100)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Groups([]string{"orders"})
	r.Stop()
	if state := w.State("orders", 0); state.SourceTopic != (chunk.TopicID{}) {
		t.Fatalf("the topic has the id %v, want none", state.SourceTopic)
	}
	upgraded()
	equalNow(w, "orders") // and status and verify find what there is
	w.Mixed("orders", 2, 60)
	r = w.Start(nil)
	w.Equal([]string{"orders"})
	w.Groups([]string{"orders"})
	r.Stop()
	equalNow(w, "orders")
	if state := w.State("orders", 0); state.SourceTopic == (chunk.TopicID{}) {
		t.Error("the ledger does not say which id the topic has got")
	}
	if n := strings.Count(w.Log.String(), "created again"); n > 0 {
		t.Errorf("the log tells %d times of topics that were created again:\n%s", n, w.Log.String())
	}
	w.Delete(w.From, "orders")
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Must("copy another topic", w.Ends(w.Once()))
	if n := len(w.States("orders", 0)); n != 2 {
		t.Errorf("the ledger has %d states of the partition, want one for each topic", n)
	}
	if !strings.Contains(w.Log.String(), "source topic was created again") {
		t.Errorf("nothing tells of the topic that was created again:\n%s", w.Log.String())
	}
}

// equalNow wants both sides equal, and verify to say so.
func equalNow(w *flowtest.World, topic string) {
	w.T.Helper()
	w.Equal([]string{topic})
	v, err := verify.Flow(w.Ctx, w.Look(), verify.Options{})
	w.Must("verify", err)
	if v.Verdict != verify.Equal || v.Compared == 0 {
		w.T.Errorf("verify says %s of %d records: %+v", v.Verdict, v.Compared, v.Partitions)
	}
}
