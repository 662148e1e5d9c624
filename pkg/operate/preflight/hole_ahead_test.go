package preflight_test

import (
	"strings"
	"testing"

	"replicator/internal/flowtest"
)

// A plan warns of records that the source has deleted before they were copied, although nobody has noted that yet.
func TestPlanWarnsOfAHoleAhead(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 20)
	if said := strings.Join(w.PlanOf(w.Cfg).Warnings, " "); strings.Contains(said, "deleted") {
		t.Fatalf("nothing is deleted yet: %s", said)
	}
	w.DeleteBelow(w.From, "orders", 0, 25)
	if said := strings.Join(w.PlanOf(w.Cfg).Warnings, " "); !strings.Contains(said, "orders/0") ||
		!strings.Contains(said, "the source has deleted offsets [10,25) before they were copied; raise retention") {
		t.Errorf("the plan warns of %q", said)
	}
}
