package replicate_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/settings"
)

// TestNewTopicAndPartitions: both are noticed while running, and copied from their
// beginning.
func TestNewTopicAndPartitions(t *testing.T) { flowtest.OnLanes(t, testNewTopicAndPartitions) }

func testNewTopicAndPartitions(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 200)
	w.Start(nil)
	w.Equal([]string{"orders"})
	w.Topic("payments", 3)
	w.Mixed("payments", 3, 200)
	_, err := w.From.UpdatePartitions(w.Ctx, 4, "orders")
	w.Must("grow", err)
	w.Await("the partitions can be written to", func() bool {
		ends, err := w.From.ListEndOffsets(w.Ctx, "orders")
		end, ok := ends.Lookup("orders", 3)
		return err == nil && ok && end.Err == nil
	})
	w.Mixed("orders", 4, 400)
	topics := []string{"orders", "payments"}
	w.Equal(topics)
	for number := range int32(4) {
		w.Plain(w.Sides.Source, "orders", number, 1)
	}
	for number := range int32(3) {
		w.Plain(w.Sides.Source, "payments", number, 1)
	}
	w.Groups(topics)
}

// TestSourceTopicCreatedAgain: the records of the new topic follow those of the former
// one, all of them and once, although its log is longer than the progress was.
func TestSourceTopicCreatedAgain(t *testing.T) { flowtest.OnLanes(t, testSourceTopicCreatedAgain) }

func testSourceTopicCreatedAgain(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 100)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	ends, err := w.To.ListCommittedOffsets(w.Ctx, "orders")
	w.Must("list ends", err)
	from := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = o.Offset })
	w.Delete(w.From, "orders")
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 400)
	again := judge.TargetFrom(map[string]map[int32]int64{"orders": from})
	w.Equal([]string{"orders"}, again)
	for number := range int32(2) {
		w.Plain(w.Sides.Source, "orders", number, 1)
		w.Commit("g", "orders", number, 150)
	}
	w.GroupsStand([]string{"g"}, []string{"orders"}, again)
	w.Groups([]string{"orders"}, again)
	if n := len(w.States("orders", 0)); n != 2 {
		t.Errorf("the ledger holds %d states of the partition, want one for each of two topics", n)
	}
	r.Stop()
}

// TestAlarmAboutTheFormerTopic: that the former topic ended before its progress, which is seen late, is nothing
// that the new one has lost.
func TestAlarmAboutTheFormerTopic(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 50)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	var before map[chunk.Partition]published.Route
	at := chunk.Partition{Topic: "orders"}
	w.Await("all is copied", func() bool { before = r.ProgressNow(); return before[at].Next == 50 })
	ends, err := w.To.ListCommittedOffsets(w.Ctx, "orders")
	w.Must("list ends", err)
	end, _ := ends.Lookup("orders", 0)
	w.Delete(w.From, "orders")
	w.Topic("orders", 1)
	w.Await("the new topic is copied", func() bool {
		now, copies := r.ProgressNow()[at]
		return copies && now.Key != before[at].Key
	})
	r.Alarm(before, listoffsets.Offsets{at: {}})
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Equal([]string{"orders"}, judge.TargetFrom(map[string]map[int32]int64{"orders": {0: end.Offset}}))
	r.Stop()
	for _, state := range w.States("orders", 0) {
		if state.Cuts != nil {
			t.Errorf("a cut is noted: %+v", state.Cuts)
		}
	}
}

// TestTargetTopicDeleted: it is created again and filled from the source's beginning,
// in a map of its own.
func TestTargetTopicDeleted(t *testing.T) { flowtest.OnLanes(t, testTargetTopicDeleted) }

func testTargetTopicDeleted(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 200)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	before := w.Id(w.To, "orders")
	w.Delete(w.To, "orders")
	w.Mixed("orders", 2, 200)
	w.Await("the target topic is another one", func() bool {
		id := w.Id(w.To, "orders")
		return id != before && id != chunk.TopicID{}
	})
	w.Equal([]string{"orders"})
	for number := range int32(2) {
		w.Plain(w.Sides.Source, "orders", number, 1)
	}
	w.Groups([]string{"orders"})
	r.Stop()
	if state := w.State("orders", 0); state.Generation != 1 || state.TargetTopic != w.Id(w.To, "orders") {
		t.Errorf("the map is of generation %d and topic %s, want 1 and %s",
			state.Generation, state.TargetTopic, w.Id(w.To, "orders"))
	}
}

// TestTargetTopicDeletedWhileNothingRuns: while no daemon runs, all that the source holds is behind, whether or not
// somebody has made the topic anew.
func TestTargetTopicDeletedWhileNothingRuns(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 70)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Delete(w.To, "orders")
	behind := func(why string) {
		t.Helper()
		status, err := inspect.Status(w.Ctx, w.Look())
		w.Must("status", err)
		p := status.Partitions[0]
		if status.Behind != 70 || status.CaughtUp || p.Phase != partition.PhaseWaiting || !strings.Contains(p.Reason, why) {
			t.Errorf("status says %d behind, %+v; want 70, as %s", status.Behind, p, why)
		}
		if v := w.Verify(verify.Options{}); v.Verdict != verify.Incomplete || v.NotCopied != 70 {
			t.Errorf("verify says %s, %d not copied", v.Verdict, v.NotCopied)
		}
	}
	behind("the target topic was deleted")
	w.Must("make the topic anew", w.MakeTopic(w.Sides.Target, "orders"))
	behind("another one than was copied to")
}

// TestDeletedBeforeCopyingIsAHole: what the source deleted while nobody copied is a hole: noted,
// counted, and copying goes on behind it.
func TestDeletedBeforeCopyingIsAHole(t *testing.T) {
	flowtest.OnLanes(t, testDeletedBeforeCopyingIsAHole)
}

func testDeletedBeforeCopyingIsAHole(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Source, "orders", 1, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 20)
	w.Plain(w.Sides.Source, "orders", 1, 20)
	var below kadm.Offsets
	below.AddOffset("orders", 0, 25, -1)
	_, err := w.From.DeleteRecords(w.Ctx, below)
	w.Must("delete records", err)
	w.Commit("early", "orders", 0, 3)
	w.Commit("inside", "orders", 0, 17)
	w.Commit("late", "orders", 0, 27)
	r = w.Start(nil)
	w.Stands("late", "orders", 0, 13)   // ten records and their marker, then 25 and 26
	w.Stands("early", "orders", 0, 3)   // it was copied
	w.Stands("inside", "orders", 0, 11) // the next record that there is
	w.Equal([]string{"orders"}, judge.SourceFrom(map[string]map[int32]int64{"orders": {0: 25, 1: 0}}),
		judge.TargetFrom(map[string]map[int32]int64{"orders": {0: 11}}))
	r.Stop()
	for number, want := range []struct {
		holes, lost int64
		from, to    offsets.Source
	}{{1, 15, 10, 25}, {}} {
		state := w.State("orders", int32(number))
		if state.Holes != want.holes || state.Lost != want.lost || state.LastHole.From != want.from ||
			state.LastHole.To != want.to || state.Progress != 30 || state.Start != 0 {
			t.Errorf("orders/%d: the ledger says %+v, want %+v, started at 0, progress 30", number, state.Header, want)
		}
	}
	if log := w.Log.String(); !strings.Contains(log, "source records were deleted before they were copied") {
		t.Error("the hole is not in the log")
	}
}

// TestStartIsDecidedOnce: where a flow begins is decided once; what appears later is copied whole.
func TestStartIsDecidedOnce(t *testing.T) { flowtest.OnLanes(t, testStartIsDecidedOnce) }

func testStartIsDecidedOnce(t *testing.T, w *flowtest.World) {
	w.Cfg.Start = settings.Latest
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	r.Copies("orders", 0)
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 5) // while it is stopped: latest is not decided again
	w.Topic("payments", 1)
	w.Plain(w.Sides.Source, "payments", 0, 5)
	r = w.Start(nil)
	w.Equal([]string{"orders", "payments"}, judge.SourceFrom(map[string]map[int32]int64{"orders": {0: 10}}))
	r.Stop()
	if state := w.State("orders", 0); state.Start != 10 || state.Progress != 15 {
		t.Errorf("started at %d, progress %d, want 10 and 15", state.Start, state.Progress)
	}
}

// TestProgressPastMarkersCarriesTheEpoch: progress past what a record tells carries the leader epoch of what
// stands there, whoever leads now.
func TestProgressPastMarkersCarriesTheEpoch(t *testing.T) {
	flowtest.OnLanes(t, testProgressPastMarkersCarriesTheEpoch)
}

func testProgressPastMarkersCarriesTheEpoch(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 3)
	for range 2 { // leaders that write nothing
		w.Must("move", w.Source.MoveTopicPartition("orders", 0, w.Source.LeaderFor("orders", 0)))
	}
	// A broker knows what epochs left no records, kfake does not.
	w.Source.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
		request := r.(*kmsg.OffsetForLeaderEpochRequest)
		response := request.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		topic.Topic, p.LeaderEpoch, p.EndOffset = "orders", 0, 3
		topic.Partitions = append(topic.Partitions, p)
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	w.Cfg.Start = settings.Latest
	w.Start(nil)
	w.Await("the epoch of progress is known", func() bool {
		states := w.States("orders", 0)
		return len(states) == 1 && states[0].Epoch >= 0
	})
	if state := w.State("orders", 0); state.Progress != 3 || state.Epoch != 0 {
		t.Errorf("progress is %d of epoch %d, want 3 of epoch 0", state.Progress, state.Epoch)
	}
}
