package replicate

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/pkg/replicate/chunk"
)

// TestPartitionSetAside: a record that the target refuses stops its partition alone,
// with a reason that the ledger keeps, and it goes on once the target takes the record.
func TestPartitionSetAside(t *testing.T) { onLanes(t, testPartitionSetAside) }

func testPartitionSetAside(t *testing.T, w *world) {
	w.cfg.Shards = 1 // the partitions beside it share its transactions
	w.cfg.SyncTopicConfigs = false
	w.topic("orders", 2)
	w.topic("large", 1)
	w.topic("behind", 1) // others stand before it in one transaction
	small := kadm.StringPtr("20000")
	for _, topic := range []string{"large", "behind"} {
		_, err := w.to.CreateTopic(w.ctx, 1, 1, map[string]*string{"max.message.bytes": small}, topic)
		w.must("create", err)
	}
	noise := make([]byte, 50_000)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(noise) // it does not compress
	w.plain(w.sides.Source, "large", 0, 3)
	w.plain(w.sides.Source, "behind", 0, 5)
	w.must("write", workload.Produce(w.ctx, w.sides.Source, "behind", &kgo.Record{Value: noise}))
	w.plain(w.sides.Source, "behind", 0, 2)
	r := w.start(nil)
	w.equal([]string{"large"})
	w.must("write", workload.Produce(w.ctx, w.sides.Source, "large", &kgo.Record{Value: noise}))
	w.plain(w.sides.Source, "large", 0, 3)
	w.mixed("orders", 2, 200)
	stop := r.stopped("large", 0, chunk.StopTooLarge)
	if !strings.Contains(stop.Error(), "source offset 3") {
		t.Errorf("the reason does not name the record: %v", stop)
	}
	w.equal([]string{"orders"})
	r.stopped("behind", 0, chunk.StopTooLarge)
	w.await("what stands before it is copied", func() bool {
		p, _ := r.shown("behind", 0)
		return p.Progress == 5
	})
	r.stopped("behind", 0, chunk.StopTooLarge)
	w.mixed("orders", 2, 200)
	w.equal([]string{"orders"})
	kept := w.state("large", 0)
	if kept.Stop == nil || kept.Stop.Kind != chunk.StopTooLarge || kept.Stop.Since.IsZero() || kept.Progress != 3 {
		t.Errorf("the ledger says %+v of the partition, want its stop at 3", kept.Header)
	}
	_, err := w.to.AlterTopicConfigs(w.ctx,
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("1000000")}},
		"large", "behind")
	w.must("alter", err)
	w.equal([]string{"large", "behind", "orders"}) // the next try is 15 s after the first
	r.copies("large", 0)
	r.stop()
	if after := w.state("large", 0); after.Stop != nil || after.Progress != 7 {
		t.Errorf("the ledger says %+v of the partition, want it copied up to 7", after.Header)
	}
}

// TestForeignRecord: a record that somebody else writes to the target while we copy is
// in the map; a group stops before it, and goes on once it has read it.
func TestForeignRecord(t *testing.T) { onLanes(t, testForeignRecord) }

func testForeignRecord(t *testing.T, w *world) {
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	r := w.start(nil)
	w.equal([]string{"orders"})
	w.plain(w.sides.Target, "orders", 0, 2) // at 11 and 12, after our marker
	w.commit("g", "orders", 0, 10)
	w.stands("g", "orders", 0, 11)
	w.plain(w.sides.Source, "orders", 0, 10)
	w.await("the records after the foreign ones are copied", func() bool {
		p, _ := r.shown("orders", 0)
		return p.Progress == 20
	})
	w.commit("g", "orders", 0, 15)
	w.commit("before", "orders", 0, 5)
	w.stands("before", "orders", 0, 5)
	kinds := func(kind string) bool {
		for _, f := range r.Look() {
			for k, n := range f.GroupKinds {
				if string(k) == kind && n == 1 {
					return true
				}
			}
		}
		return false
	}
	w.await("the group is reported as held back", func() bool { return kinds("stopped_before_foreign") })
	w.stands("g", "orders", 0, 11)
	r.stop()
	foreign := w.state("orders", 0).Map.Foreign()
	if len(foreign) != 1 || foreign[0].From != 11 || foreign[0].To != 13 {
		t.Errorf("the map holds the foreign stretches %v, want [11,13)", foreign)
	}
}

// TestForeignFirst: nothing of ours is in the partition yet, and a group that has read
// everything on the source must not be moved past what somebody else wrote.
func TestForeignFirst(t *testing.T) { onLanes(t, testForeignFirst) }

func testForeignFirst(t *testing.T, w *world) {
	w.topic("orders", 1)
	w.commit("g", "orders", 0, 0)
	r := w.start(nil)
	r.copies("orders", 0)
	w.stands("g", "orders", 0, 0)
	w.plain(w.sides.Target, "orders", 0, 1)
	w.commit("later", "orders", 0, 0)
	w.stands("later", "orders", 0, 0)
	w.stands("g", "orders", 0, 0)
}

// TestTargetHoldsRecords: a target partition that somebody else has filled is not
// written to, and is copied once its topic was deleted.
func TestTargetHoldsRecords(t *testing.T) { onLanes(t, testTargetHoldsRecords) }

func testTargetHoldsRecords(t *testing.T, w *world) {
	w.topic("orders", 2)
	w.topic("payments", 1)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 2, workload.KeepConfigs(), "orders"))
	w.plain(w.sides.Target, "orders", 0, 3)
	w.mixed("orders", 2, 100)
	w.mixed("payments", 1, 100)
	r := w.start(nil)
	stop := r.stopped("orders", 0, chunk.StopForeign)
	if !strings.Contains(stop.Error(), "orders/0") || !strings.Contains(stop.Error(), "offset 0") {
		t.Errorf("the reason does not name partition and offset: %v", stop)
	}
	w.equal([]string{"payments"})
	ends, err := w.to.ListEndOffsets(w.ctx, "orders")
	w.must("list ends", err)
	if end, ok := ends.Lookup("orders", 0); !ok || end.Offset != 3 {
		t.Errorf("the refused partition ends at %+v, want the 3 records that were there", end)
	}
	if kept := w.state("orders", 0); kept.Stop == nil || kept.Stop.Kind != chunk.StopForeign {
		t.Errorf("the ledger says %+v of the partition", kept.Header)
	}
	w.delete(w.to, "orders")
	w.equalAgain([]string{"orders", "payments"})
}

// equalAgain is equal while target topics are being deleted and created again.
func (w *world) equalAgain(topics []string) {
	w.t.Helper()
	var report *judge.Report
	w.await("both sides are equal", func() bool {
		var err error
		report, err = judge.Compare(w.ctx, w.sides, topics)
		return err == nil && report.Equal()
	})
}

// TestSilentBroker: what a source broker does not answer while its partitions are
// arranged decides nothing. They wait for it, and do not look deleted or cut.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	for what, timestamp := range map[string]int64{"starts": -2, "ends": -1} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.Shards = 1
			w.source, w.sides.Source, w.from = w.cluster("old", kfake.NumBrokers(2))
			w.topic("orders", 2)
			for number := range int32(2) {
				w.must("move", w.source.MoveTopicPartition("orders", number, number))
				w.plain(w.sides.Source, "orders", number, 5)
			}
			r := w.start(nil)
			w.equal([]string{"orders"})
			var asked, answers atomic.Bool
			w.source.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
				w.source.KeepControl()
				list := req.(*kmsg.ListOffsetsRequest)
				silent := !answers.Load() && w.source.CurrentNode() == 1 && list.IsolationLevel == 0 &&
					list.Topics[0].Partitions[0].Timestamp == timestamp
				asked.Store(asked.Load() || silent)
				return nil, errMade, silent
			})
			w.must("grow", workload.Grow(w.ctx, w.sides.Source, "orders", 3))
			w.await("the shard starts over, or stops a partition", func() bool {
				log := w.log.String()
				return strings.Contains(log, "shard is starting over") || strings.Contains(log, "partition stopped")
			})
			answers.Store(true)
			for number := range int32(3) {
				w.plain(w.sides.Source, "orders", number, 5)
			}
			w.equal([]string{"orders"})
			r.stop()
			if !asked.Load() || strings.Contains(w.log.String(), "partition stopped") {
				t.Errorf("the broker was asked: %v; a partition was stopped, or none was arranged", asked.Load())
			}
		})
	}
}
