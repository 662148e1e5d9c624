package replicate

import (
	"slices"
	"testing"

	"replicator/pkg/offsets"
)

// alone starts a replica that copies orders/0, one partition, up to an offset.
func (w *world) alone(upTo offsets.Source) *replica {
	w.t.Helper()
	r := w.start(nil)
	r.reaches(upTo)
	return r
}

// reaches waits until orders/0 is copied up to an offset.
func (r *replica) reaches(upTo offsets.Source) {
	r.w.t.Helper()
	r.w.await("orders/0 is copied", func() bool {
		p, _ := r.shown("orders", 0)
		return p.Progress == upTo
	})
}

// ledgerSays compares what the ledger holds of orders/0.
func (w *world) ledgerSays(why string, marked bool, foreign ...offsets.Stretch) {
	w.t.Helper()
	state := w.state("orders", 0)
	if got := state.Map.Foreign(); state.Marked != marked || !slices.Equal(got, foreign) {
		w.t.Errorf("%s: marked %v, foreign %v, want %v and %v", why, state.Marked, got, marked, foreign)
	}
}

// TestDeliveryChanged: behind records that were written without a transaction there is
// no marker of ours, also when the flow was changed to exactly once since: the one
// record that is there is somebody else's. Behind those of a transaction there is one.
func TestDeliveryChanged(t *testing.T) { onLanes(t, testDeliveryChanged) }

func testDeliveryChanged(t *testing.T, w *world) {
	lane := w.cfg.Lane
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	w.alone(10).stop()
	w.ledgerSays("exactly once", true)

	w.plain(w.sides.Source, "orders", 0, 10)
	w.cfg.Delivery, w.cfg.Lane = AtLeastOnce, LaneRecord
	w.alone(20).stop()
	w.ledgerSays("at least once", false)
	w.plain(w.sides.Target, "orders", 0, 1) // at 21, after 0 to 9, our marker, 11 to 20

	w.cfg.Delivery, w.cfg.Lane = ExactlyOnce, lane
	w.commit("end", "orders", 0, 20)
	r := w.alone(20)
	w.stands("end", "orders", 0, 21)
	w.plain(w.sides.Source, "orders", 0, 10)
	r.reaches(30)
	w.commit("later", "orders", 0, 25)
	w.stands("later", "orders", 0, 21)
	w.stands("end", "orders", 0, 21)
	r.stop()
	w.ledgerSays("exactly once again", true, offsets.Stretch{From: 21, To: 22})
}

// TestForeignAcrossArrangement: with at-least-once delivery only a session that has
// committed records of a partition can tell somebody else's from its own; it still can
// when it has arranged its partitions anew.
func TestForeignAcrossArrangement(t *testing.T) {
	w := newWorld(t)
	w.cfg.Delivery, w.cfg.Lane, w.cfg.Shards = AtLeastOnce, LaneRecord, 1
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	r := w.alone(10)
	w.plain(w.sides.Target, "orders", 0, 1) // at 10: there are no markers
	w.topic("payments", 1)
	w.plain(w.sides.Source, "payments", 0, 1)
	w.equal([]string{"payments"}) // it shares the shard
	w.plain(w.sides.Source, "orders", 0, 10)
	r.reaches(20)
	w.commit("g", "orders", 0, 15)
	w.stands("g", "orders", 0, 10)
	r.stop()
	w.ledgerSays("after the arrangement", false, offsets.Stretch{From: 10, To: 11})
}
