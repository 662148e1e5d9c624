package replicate

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

// withoutIDs are the versions of a broker whose topics have no ids.
func withoutIDs() kfake.Opt { return kfake.MaxVersions(kversion.V2_7_0()) }

// TestTargetWithoutTopicIDs: it is refused by every look and at the start, with the
// reason, whether a topic shows beforehand or not.
func TestTargetWithoutTopicIDs(t *testing.T) { onLanes(t, testTargetWithoutTopicIDs) }

func testTargetWithoutTopicIDs(t *testing.T, w *world) {
	w.target, w.sides.Target, w.to = w.cluster("new", withoutIDs())
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	refused := func(err error) {
		t.Helper()
		var idless *NoTopicIDsError
		if !errors.As(err, &idless) || idless.Cluster != "new" || !strings.Contains(idless.Remedy(), "2.8") {
			t.Errorf("%v, want that cluster new gives its topics no ids", err)
		}
	}
	refused(w.ends(w.once())) // by the ledger, the first topic there
	view := w.look()
	plan, err := view.Plan(w.ctx)
	w.must("plan", err)
	refused(errors.Join(plan.InTheWay()...))
	status, err := view.Status(w.ctx)
	w.must("status", err)
	if status.CaughtUp || len(status.Problems) == 0 || !strings.Contains(status.Problems[0].Error, "no ids") {
		t.Errorf("status says %+v", status.Problems)
	}
	refused(w.ends(w.once()))
}

// TestSourceWithoutTopicIDs: it is copied, and check says what that means.
func TestSourceWithoutTopicIDs(t *testing.T) { onLanes(t, testSourceWithoutTopicIDs) }

func testSourceWithoutTopicIDs(t *testing.T, w *world) {
	w.source, w.sides.Source, w.from = w.cluster("old", withoutIDs())
	w.topic("orders", 2)
	w.mixed("orders", 2, 100)
	w.start(nil)
	w.equal([]string{"orders"})
	w.groups([]string{"orders"})
	plan, err := w.look().Plan(w.ctx)
	w.must("plan", err)
	if !strings.Contains(strings.Join(plan.Warnings, "\n"), "no ids") || len(plan.InTheWay()) > 0 {
		t.Errorf("check warns of %q, and says that in the way are %v", plan.Warnings, plan.InTheWay())
	}
}
