package replicate

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/watermarks"
)

// commit makes a plain consumer's commit on the source.
func (w *world) commit(group, topic string, number int32, at int64) {
	w.t.Helper()
	w.must("commit", workload.Commit(w.ctx, w.sides.Source,
		[]workload.Position{{Group: group, Topic: topic, Partition: number, At: at}}))
}

// id is a topic's id on a cluster, zero if it is not there.
func (w *world) id(admin *kadm.Client, topic string) chunk.TopicID {
	w.t.Helper()
	meta, err := admin.Metadata(w.ctx, topic)
	w.must("metadata", err)
	if meta.Topics[topic].Err != nil {
		return chunk.TopicID{}
	}
	return chunk.TopicID(meta.Topics[topic].ID)
}

// delete deletes a topic and waits until it is gone.
func (w *world) delete(admin *kadm.Client, topic string) {
	w.t.Helper()
	_, err := admin.DeleteTopic(w.ctx, topic)
	w.must("delete topic", err)
}

// TestNewTopicAndPartitions: both are noticed while running, and copied from their
// beginning.
func TestNewTopicAndPartitions(t *testing.T) { onLanes(t, testNewTopicAndPartitions) }

func testNewTopicAndPartitions(t *testing.T, w *world) {
	w.topic("orders", 2)
	w.mixed("orders", 2, 200)
	w.start(nil)
	w.equal([]string{"orders"})
	w.topic("payments", 3)
	w.mixed("payments", 3, 200)
	_, err := w.from.UpdatePartitions(w.ctx, 4, "orders")
	w.must("grow", err)
	w.await("the partitions can be written to", func() bool {
		ends, err := w.from.ListEndOffsets(w.ctx, "orders")
		end, ok := ends.Lookup("orders", 3)
		return err == nil && ok && end.Err == nil
	})
	w.mixed("orders", 4, 400)
	topics := []string{"orders", "payments"}
	w.equal(topics)
	for number := range int32(4) {
		w.plain(w.sides.Source, "orders", number, 1)
	}
	for number := range int32(3) {
		w.plain(w.sides.Source, "payments", number, 1)
	}
	w.groups(topics)
}

// TestSourceTopicCreatedAgain: the records of the new topic follow those of the former
// one, all of them and once, although its log is longer than the progress was.
func TestSourceTopicCreatedAgain(t *testing.T) { onLanes(t, testSourceTopicCreatedAgain) }

func testSourceTopicCreatedAgain(t *testing.T, w *world) {
	w.topic("orders", 2)
	w.mixed("orders", 2, 100)
	r := w.start(nil)
	w.equal([]string{"orders"})
	ends, err := w.to.ListCommittedOffsets(w.ctx, "orders")
	w.must("list ends", err)
	from := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = o.Offset })
	w.delete(w.from, "orders")
	w.topic("orders", 2)
	w.mixed("orders", 2, 400)
	again := judge.TargetFrom(map[string]map[int32]int64{"orders": from})
	w.equal([]string{"orders"}, again)
	for number := range int32(2) {
		w.plain(w.sides.Source, "orders", number, 1)
		w.commit("g", "orders", number, 150)
	}
	w.groupsStand([]string{"g"}, []string{"orders"}, again)
	w.groups([]string{"orders"}, again)
	if n := len(w.states("orders", 0)); n != 2 {
		t.Errorf("the ledger holds %d states of the partition, want one for each of two topics", n)
	}
	r.stop()
}

// TestAlarmAboutTheFormerTopic: that the former topic ended before its progress, which is seen late, is nothing
// that the new one has lost.
func TestAlarmAboutTheFormerTopic(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 50)
	r := w.start(nil)
	w.equal([]string{"orders"})
	var before map[chunk.Partition]shownRoute
	at := chunk.Partition{Topic: "orders"}
	w.await("all is copied", func() bool { before = r.ProgressNow(); return before[at].next == 50 })
	ends, err := w.to.ListCommittedOffsets(w.ctx, "orders")
	w.must("list ends", err)
	end, _ := ends.Lookup("orders", 0)
	w.delete(w.from, "orders")
	w.topic("orders", 1)
	w.await("the new topic is copied", func() bool {
		now, copies := r.ProgressNow()[at]
		return copies && now.key != before[at].key
	})
	r.Alarm(before, watermarks.Marks{at: {}})
	w.plain(w.sides.Source, "orders", 0, 10)
	w.equal([]string{"orders"}, judge.TargetFrom(map[string]map[int32]int64{"orders": {0: end.Offset}}))
	r.stop()
	for _, state := range w.states("orders", 0) {
		if state.Cuts != nil {
			t.Errorf("a cut is noted: %+v", state.Cuts)
		}
	}
}

// TestTargetTopicDeleted: it is created again and filled from the source's beginning,
// in a map of its own.
func TestTargetTopicDeleted(t *testing.T) { onLanes(t, testTargetTopicDeleted) }

func testTargetTopicDeleted(t *testing.T, w *world) {
	w.topic("orders", 2)
	w.mixed("orders", 2, 200)
	r := w.start(nil)
	w.equal([]string{"orders"})
	before := w.id(w.to, "orders")
	w.delete(w.to, "orders")
	w.mixed("orders", 2, 200)
	w.await("the target topic is another one", func() bool {
		id := w.id(w.to, "orders")
		return id != before && id != chunk.TopicID{}
	})
	w.equal([]string{"orders"})
	for number := range int32(2) {
		w.plain(w.sides.Source, "orders", number, 1)
	}
	w.groups([]string{"orders"})
	r.stop()
	if state := w.state("orders", 0); state.Generation != 1 || state.TargetTopic != w.id(w.to, "orders") {
		t.Errorf("the map is of generation %d and topic %s, want 1 and %s",
			state.Generation, state.TargetTopic, w.id(w.to, "orders"))
	}
}

// TestTargetTopicDeletedUnseen: while no daemon runs, all that the source holds is behind, whether or not somebody has
// made the topic anew.
func TestTargetTopicDeletedUnseen(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 70)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.delete(w.to, "orders")
	behind := func(why string) {
		t.Helper()
		status, err := w.look().Status(w.ctx)
		w.must("status", err)
		p := status.Partitions[0]
		if status.Behind != 70 || status.CaughtUp || p.Phase != partition.PhaseWaiting || !strings.Contains(p.Reason, why) {
			t.Errorf("status says %d behind, %+v; want 70, as %s", status.Behind, p, why)
		}
		if v := w.verify(VerifyOptions{}); v.Verdict != Incomplete || v.NotCopied != 70 {
			t.Errorf("verify says %s, %d not copied", v.Verdict, v.NotCopied)
		}
	}
	behind("the target topic was deleted")
	w.must("make the topic anew", w.makeTopic(w.sides.Target, "orders"))
	behind("another one than was copied to")
}

// TestRetentionOvertakes: what the source deleted while nobody copied is a hole: noted,
// counted, and copying goes on behind it.
func TestRetentionOvertakes(t *testing.T) { onLanes(t, testRetentionOvertakes) }

func testRetentionOvertakes(t *testing.T, w *world) {
	w.topic("orders", 2)
	w.plain(w.sides.Source, "orders", 0, 10)
	w.plain(w.sides.Source, "orders", 1, 10)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.plain(w.sides.Source, "orders", 0, 20)
	w.plain(w.sides.Source, "orders", 1, 20)
	var below kadm.Offsets
	below.AddOffset("orders", 0, 25, -1)
	_, err := w.from.DeleteRecords(w.ctx, below)
	w.must("delete records", err)
	w.commit("early", "orders", 0, 3)
	w.commit("inside", "orders", 0, 17)
	w.commit("late", "orders", 0, 27)
	r = w.start(nil)
	w.stands("late", "orders", 0, 13)   // ten records and their marker, then 25 and 26
	w.stands("early", "orders", 0, 3)   // it was copied
	w.stands("inside", "orders", 0, 11) // the next record that there is
	w.equal([]string{"orders"}, judge.SourceFrom(map[string]map[int32]int64{"orders": {0: 25, 1: 0}}),
		judge.TargetFrom(map[string]map[int32]int64{"orders": {0: 11}}))
	r.stop()
	for number, want := range []struct {
		holes, lost int64
		from, to    offsets.Source
	}{{1, 15, 10, 25}, {}} {
		state := w.state("orders", int32(number))
		if state.Holes != want.holes || state.Lost != want.lost || state.LastHole.From != want.from ||
			state.LastHole.To != want.to || state.Progress != 30 || state.Start != 0 {
			t.Errorf("orders/%d: the ledger says %+v, want %+v, started at 0, progress 30", number, state.Header, want)
		}
	}
	if log := w.log.String(); !strings.Contains(log, "source records were deleted before they were copied") {
		t.Error("the hole is not in the log")
	}
}

// TestStart: where a flow begins is decided once; what appears later is copied whole.
func TestStart(t *testing.T) { onLanes(t, testStart) }

func testStart(t *testing.T, w *world) {
	w.cfg.Start = Latest
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	r := w.start(nil)
	r.copies("orders", 0)
	r.stop()
	w.plain(w.sides.Source, "orders", 0, 5) // while it is stopped: latest is not decided again
	w.topic("payments", 1)
	w.plain(w.sides.Source, "payments", 0, 5)
	r = w.start(nil)
	w.equal([]string{"orders", "payments"}, judge.SourceFrom(map[string]map[int32]int64{"orders": {0: 10}}))
	r.stop()
	if state := w.state("orders", 0); state.Start != 10 || state.Progress != 15 {
		t.Errorf("started at %d, progress %d, want 10 and 15", state.Start, state.Progress)
	}
}

// TestEpochOfProgress: progress past what a record tells carries the leader epoch of what
// stands there, whoever leads now.
func TestEpochOfProgress(t *testing.T) { onLanes(t, testEpochOfProgress) }

func testEpochOfProgress(t *testing.T, w *world) {
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 3)
	for range 2 { // leaders that write nothing
		w.must("move", w.source.MoveTopicPartition("orders", 0, w.source.LeaderFor("orders", 0)))
	}
	// A broker knows what epochs left no records, kfake does not.
	w.source.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.source.KeepControl()
		request := r.(*kmsg.OffsetForLeaderEpochRequest)
		response := request.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		topic.Topic, p.LeaderEpoch, p.EndOffset = "orders", 0, 3
		topic.Partitions = append(topic.Partitions, p)
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	w.cfg.Start = Latest
	w.start(nil)
	w.await("the epoch of progress is known", func() bool {
		states := w.states("orders", 0)
		return len(states) == 1 && states[0].Epoch >= 0
	})
	if state := w.state("orders", 0); state.Progress != 3 || state.Epoch != 0 {
		t.Errorf("progress is %d of epoch %d, want 3 of epoch 0", state.Progress, state.Epoch)
	}
}
