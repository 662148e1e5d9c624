package replicate_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// TestTooLargeRecordStopsItsPartitionAlone: a record that the target refuses stops its partition alone,
// with a reason that the ledger keeps, and it goes on once the target takes the record.
func TestTooLargeRecordStopsItsPartitionAlone(t *testing.T) {
	flowtest.OnLanes(t, testTooLargeRecordStopsItsPartitionAlone)
}

func testTooLargeRecordStopsItsPartitionAlone(t *testing.T, w *flowtest.World) {
	w.Cfg.Shards = 1 // the partitions beside it share its transactions
	w.Cfg.SyncTopicConfigs = false
	w.Topic("orders", 2)
	w.Topic("large", 1)
	w.Topic("behind", 1) // others stand before it in one transaction
	small := kadm.StringPtr("20000")
	for _, topic := range []string{"large", "behind"} {
		_, err := w.To.CreateTopic(w.Ctx, 1, 1, map[string]*string{"max.message.bytes": small}, topic)
		w.Must("create", err)
	}
	noise := make([]byte, 50_000)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(noise) // it does not compress
	w.Plain(w.Sides.Source, "large", 0, 3)
	w.Plain(w.Sides.Source, "behind", 0, 5)
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Source, "behind", &kgo.Record{Value: noise}))
	w.Plain(w.Sides.Source, "behind", 0, 2)
	r := w.Start(nil)
	w.Equal([]string{"large"})
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Source, "large", &kgo.Record{Value: noise}))
	w.Plain(w.Sides.Source, "large", 0, 3)
	w.Mixed("orders", 2, 200)
	stop := r.Stopped("large", 0, chunk.StopTooLarge)
	if !strings.Contains(stop.Error(), "source offset 3") {
		t.Errorf("the reason does not name the record: %v", stop)
	}
	w.Equal([]string{"orders"})
	r.Stopped("behind", 0, chunk.StopTooLarge)
	w.Await("what stands before it is copied", func() bool {
		p, _ := r.Shown("behind", 0)
		return p.Progress == 5
	})
	r.Stopped("behind", 0, chunk.StopTooLarge)
	w.Mixed("orders", 2, 200)
	w.Equal([]string{"orders"})
	kept := w.State("large", 0)
	if kept.Stop == nil || kept.Stop.Kind != chunk.StopTooLarge || kept.Stop.Since.IsZero() || kept.Progress != 3 {
		t.Errorf("the ledger says %+v of the partition, want its stop at 3", kept.Header)
	}
	_, err := w.To.AlterTopicConfigs(w.Ctx,
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("1000000")}},
		"large", "behind")
	w.Must("alter", err)
	w.Equal([]string{"large", "behind", "orders"}) // the next try is 15 s after the first
	r.Copies("large", 0)
	r.Stop()
	if after := w.State("large", 0); after.Stop != nil || after.Progress != 7 {
		t.Errorf("the ledger says %+v of the partition, want it copied up to 7", after.Header)
	}
}

// TestGroupStopsBeforeAForeignRecord: a record that somebody else writes to the target while we copy is
// in the map; a group stops before it, and goes on once it has read it.
func TestGroupStopsBeforeAForeignRecord(t *testing.T) {
	flowtest.OnLanes(t, testGroupStopsBeforeAForeignRecord)
}

func testGroupStopsBeforeAForeignRecord(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Plain(w.Sides.Target, "orders", 0, 2) // at 11 and 12, after our marker
	w.Commit("g", "orders", 0, 10)
	w.Stands("g", "orders", 0, 11)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Await("the records after the foreign ones are copied", func() bool {
		p, _ := r.Shown("orders", 0)
		return p.Progress == 20
	})
	w.Commit("g", "orders", 0, 15)
	w.Commit("before", "orders", 0, 5)
	w.Stands("before", "orders", 0, 5)
	kinds := func(kind string) bool {
		for _, f := range r.States() {
			for k, n := range f.GroupKinds {
				if string(k) == kind && n == 1 {
					return true
				}
			}
		}
		return false
	}
	w.Await("the group is reported as held back", func() bool { return kinds("stopped_before_foreign") })
	w.Stands("g", "orders", 0, 11)
	r.Stop()
	foreign := w.State("orders", 0).Map.Foreign()
	if len(foreign) != 1 || foreign[0].From != 11 || foreign[0].To != 13 {
		t.Errorf("the map holds the foreign stretches %v, want [11,13)", foreign)
	}
}

// TestGroupStaysBeforeAForeignFirstRecord: nothing of ours is in the partition yet, and a group that has read
// everything on the source must not be moved past what somebody else wrote.
func TestGroupStaysBeforeAForeignFirstRecord(t *testing.T) {
	flowtest.OnLanes(t, testGroupStaysBeforeAForeignFirstRecord)
}

func testGroupStaysBeforeAForeignFirstRecord(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 1)
	w.Commit("g", "orders", 0, 0)
	r := w.Start(nil)
	r.Copies("orders", 0)
	w.Stands("g", "orders", 0, 0)
	w.Plain(w.Sides.Target, "orders", 0, 1)
	w.Commit("later", "orders", 0, 0)
	w.Stands("later", "orders", 0, 0)
	w.Stands("g", "orders", 0, 0)
}

// TestFilledTargetPartitionIsNotWrittenTo: a target partition that somebody else has filled is not
// written to, and is copied once its topic was deleted.
func TestFilledTargetPartitionIsNotWrittenTo(t *testing.T) {
	flowtest.OnLanes(t, testFilledTargetPartitionIsNotWrittenTo)
}

func testFilledTargetPartitionIsNotWrittenTo(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 2)
	w.Topic("payments", 1)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 2, workload.KeepConfigs(), "orders"))
	w.Plain(w.Sides.Target, "orders", 0, 3)
	w.Mixed("orders", 2, 100)
	w.Mixed("payments", 1, 100)
	r := w.Start(nil)
	stop := r.Stopped("orders", 0, chunk.StopForeign)
	if !strings.Contains(stop.Error(), "orders/0") || !strings.Contains(stop.Error(), "offset 0") {
		t.Errorf("the reason does not name partition and offset: %v", stop)
	}
	w.Equal([]string{"payments"})
	ends, err := w.To.ListEndOffsets(w.Ctx, "orders")
	w.Must("list ends", err)
	if end, ok := ends.Lookup("orders", 0); !ok || end.Offset != 3 {
		t.Errorf("the refused partition ends at %+v, want the 3 records that were there", end)
	}
	if kept := w.State("orders", 0); kept.Stop == nil || kept.Stop.Kind != chunk.StopForeign {
		t.Errorf("the ledger says %+v of the partition", kept.Header)
	}
	w.Delete(w.To, "orders")
	w.EqualAgain([]string{"orders", "payments"})
}

// TestSilentBrokerDecidesNothing: what a source broker does not answer while its partitions are
// arranged decides nothing. They wait for it, and do not look deleted or cut.
func TestSilentBrokerDecidesNothing(t *testing.T) {
	t.Parallel()
	for what, timestamp := range map[string]int64{"starts": -2, "ends": -1} {
		t.Run(what, func(t *testing.T) {
			w := flowtest.New(t)
			w.Cfg.Shards = 1
			w.Source, w.Sides.Source, w.From = w.Cluster("old", kfake.NumBrokers(2))
			w.Topic("orders", 2)
			for number := range int32(2) {
				w.Must("move", w.Source.MoveTopicPartition("orders", number, number))
				w.Plain(w.Sides.Source, "orders", number, 5)
			}
			r := w.Start(nil)
			w.Equal([]string{"orders"})
			var asked, answers atomic.Bool
			w.Source.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
				w.Source.KeepControl()
				list := req.(*kmsg.ListOffsetsRequest)
				silent := !answers.Load() && w.Source.CurrentNode() == 1 && list.IsolationLevel == 0 &&
					list.Topics[0].Partitions[0].Timestamp == timestamp
				asked.Store(asked.Load() || silent)
				return nil, errMade, silent
			})
			w.Must("grow", workload.Grow(w.Ctx, w.Sides.Source, "orders", 3))
			w.Await("the shard starts over, or stops a partition", func() bool {
				log := w.Log.String()
				return strings.Contains(log, "shard is starting over") || strings.Contains(log, "partition stopped")
			})
			answers.Store(true)
			for number := range int32(3) {
				w.Plain(w.Sides.Source, "orders", number, 5)
			}
			w.Equal([]string{"orders"})
			r.Stop()
			if !asked.Load() || strings.Contains(w.Log.String(), "partition stopped") {
				t.Errorf("the broker was asked: %v; a partition was stopped, or none was arranged", asked.Load())
			}
		})
	}
}

// TestSilentFromTheBeginning: a partition of which the source has never told where it begins is left out until its next
// try. Whatever the others of the shard are assigned meanwhile is copied.
func TestSilentFromTheBeginning(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Shards = 1
	w.Tune = func(o *replicate.Options) { o.TroubleFor = 500 * time.Millisecond }
	w.Source, w.Sides.Source, w.From = w.Cluster("old", kfake.NumBrokers(2))
	topic := func(name string, node int32) {
		w.Topic(name, 1)
		w.Must("move", w.Source.MoveTopicPartition(name, 0, node))
		w.Plain(w.Sides.Source, name, 0, 5)
	}
	topic("orders", 0)
	topic("quiet", 1)
	// Whoever asks about another topic is answered, wherever that was made.
	w.Source.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
		quiet := func(t kmsg.ListOffsetsRequestTopic) bool { return t.Topic == "quiet" }
		return nil, errMade, slices.ContainsFunc(request.(*kmsg.ListOffsetsRequest).Topics, quiet)
	})
	r := w.Start(nil)
	r.Stopped("quiet", 0, chunk.StopUnavailable)
	for _, name := range []string{"orders", "payments"} {
		if name == "payments" {
			topic(name, 0)
		}
		w.Await(name+" is copied", func() bool { return r.Scrape("replicator_progress_offset")["0/"+name] == 5 })
	}
	if w.State("quiet", 0).Start != ledger.NotStarted {
		t.Error("the ledger says where the partition began, which nobody has told")
	}
}
