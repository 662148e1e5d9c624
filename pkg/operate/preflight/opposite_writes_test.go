package preflight_test

import (
	"testing"
	"time"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/preflight"
)

// What the opposite flow of a pair writes to the source is no producer that has to move.
func TestOppositeFlowIsNoProducer(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	p.StartFlows(p.There, p.Back)
	w.Plain(w.Sides.Source, "orders", 0, 1)
	p.SameOnBoth("orders", 1)
	w.Plain(w.Sides.Target, "orders", 0, 5)
	p.SameOnBoth("orders", 6)
	written := w.Source.Read("orders", 0, 0)
	// The flow's, and an application's.
	w.Source.TellProducers(map[string][]int64{"orders": {written[len(written)-1].ProducerID, 1 << 40}})
	if n := producers(w); n != 1 {
		t.Errorf("%d producers, want the application alone", n)
	}
}

// producers counts those of orders on the source that a plan tells of.
func producers(w *flowtest.World) int {
	w.T.Helper()
	m, err := preflight.PlanMigration(w.Ctx, w.Look(), preflight.MigrationOptions{Active: time.Hour})
	w.Must("plan", err)
	for _, topic := range m.Topics {
		if topic.Topic == "orders" && topic.Writers != nil {
			return topic.Writers.Known
		}
	}
	w.T.Fatalf("nothing is known of who writes: %+v", m.NotKnown)
	return 0
}
