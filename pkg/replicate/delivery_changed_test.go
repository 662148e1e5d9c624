package replicate_test

import (
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/settings"
)

// alone starts a replica that copies orders/0, one partition, up to an offset.
func alone(w *flowtest.World, upTo offsets.Source) *flowtest.Replica {
	w.T.Helper()
	r := w.Start(nil)
	r.Reaches(upTo)
	return r
}

// TestMarkerIsExpectedByDelivery: behind records that were written without a transaction there is
// no marker of ours, also when the flow was changed to exactly once since: the one
// record that is there is somebody else's. Behind those of a transaction there is one.
func TestMarkerIsExpectedByDelivery(t *testing.T) {
	flowtest.OnLanes(t, testMarkerIsExpectedByDelivery)
}

func testMarkerIsExpectedByDelivery(t *testing.T, w *flowtest.World) {
	lane := w.Cfg.Lane
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	alone(w, 10).Stop()
	w.LedgerSays("exactly once", true)

	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Cfg.Delivery, w.Cfg.Lane = settings.AtLeastOnce, settings.LaneRecord
	alone(w, 20).Stop()
	w.LedgerSays("at least once", false)
	w.Plain(w.Sides.Target, "orders", 0, 1) // at 21, after 0 to 9, our marker, 11 to 20

	w.Cfg.Delivery, w.Cfg.Lane = settings.ExactlyOnce, lane
	w.Commit("end", "orders", 0, 20)
	r := alone(w, 20)
	w.Stands("end", "orders", 0, 21)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r.Reaches(30)
	w.Commit("later", "orders", 0, 25)
	w.Stands("later", "orders", 0, 21)
	w.Stands("end", "orders", 0, 21)
	r.Stop()
	w.LedgerSays("exactly once again", true, offsets.Stretch{From: 21, To: 22})
}

// TestForeignRecordIsKnownAcrossAnAssignment: with at-least-once delivery only a session that has
// committed records of a partition can tell somebody else's from its own; it still can
// when it has arranged its partitions anew.
func TestForeignRecordIsKnownAcrossAnAssignment(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Delivery, w.Cfg.Lane, w.Cfg.Shards = settings.AtLeastOnce, settings.LaneRecord, 1
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := alone(w, 10)
	w.Plain(w.Sides.Target, "orders", 0, 1) // at 10: there are no markers
	w.Topic("payments", 1)
	w.Plain(w.Sides.Source, "payments", 0, 1)
	w.Equal([]string{"payments"}) // it shares the shard
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r.Reaches(20)
	w.Commit("g", "orders", 0, 15)
	w.Stands("g", "orders", 0, 10)
	r.Stop()
	w.LedgerSays("after the arrangement", false, offsets.Stretch{From: 10, To: 11})
}
