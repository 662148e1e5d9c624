package replicate

import (
	"strings"
	"testing"
	"time"
)

// TestDeletedTopicPausesNobody: of a shard's topics one is deleted on the source. The
// others are copied on at once: neither does the shard start over, nor do they wait for
// the next look at the topics.
func TestDeletedTopicPausesNobody(t *testing.T) { onLanes(t, testDeletedTopicPausesNobody) }

func testDeletedTopicPausesNobody(t *testing.T, w *world) {
	w.cfg.Shards = 1
	w.cfg.RefreshInterval = time.Hour
	w.topic("orders", 1)
	w.topic("payments", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	w.plain(w.sides.Source, "payments", 0, 10)
	r := w.start(nil)
	w.equal([]string{"orders", "payments"})
	w.delete(w.from, "payments")
	for range 20 {
		w.plain(w.sides.Source, "orders", 0, 1)
		w.equal([]string{"orders"})
	}
	r.copies("orders", 0)
	if strings.Contains(w.log.String(), "starting over") {
		t.Error("the shard has started over")
	}
}
