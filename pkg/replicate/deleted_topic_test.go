package replicate_test

import (
	"strings"
	"testing"
	"time"

	"replicator/internal/flowtest"
)

// TestDeletedTopicPausesNobody: of a shard's topics one is deleted on the source. The
// others are copied on at once: neither does the shard start over, nor do they wait for
// the next look at the topics.
func TestDeletedTopicPausesNobody(t *testing.T) { flowtest.OnLanes(t, testDeletedTopicPausesNobody) }

func testDeletedTopicPausesNobody(t *testing.T, w *flowtest.World) {
	w.Cfg.Shards = 1
	w.Cfg.RefreshInterval = time.Hour
	w.Topic("orders", 1)
	w.Topic("payments", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Source, "payments", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders", "payments"})
	w.Delete(w.From, "payments")
	for range 20 {
		w.Plain(w.Sides.Source, "orders", 0, 1)
		w.Equal([]string{"orders"})
	}
	r.Copies("orders", 0)
	if strings.Contains(w.Log.String(), "starting over") {
		t.Error("the shard has started over")
	}
}
