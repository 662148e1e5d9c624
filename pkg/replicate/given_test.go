package replicate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/compare"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
)

// cutAndGrown is a source that was cut at 60 of 100 and has grown to 140, in a flow that has noted it and runs no more.
func (w *world) cutAndGrown() {
	w.t.Helper()
	w.cutAt60()
	r := w.start(nil)
	r.stopped("orders", 0, chunk.StopTruncated)
	r.stop()
	w.plain(w.sides.Source, "orders", 0, 80)
}

// partition is what status says of orders/0.
func (w *world) partition(look *Inspection) PartitionStatus {
	w.t.Helper()
	status, err := look.Status(w.ctx)
	w.must("status", err)
	return status.Partitions[0]
}

// drained looks at the consumers of the source.
func (w *world) drained(look *Inspection) *Drained {
	w.t.Helper()
	d, err := look.Drained(w.ctx)
	w.must("drained", err)
	return d
}

// An order of 'resume' that no replica has carried out is told with its time, and who carries it out; one that does
// not fit any more is none.
func TestWaitingOrderIsTold(t *testing.T) {
	w := newWorld(t)
	w.cutAndGrown()
	look := w.inspect()
	if p := w.partition(look); p.Cuts.Ordered != nil || !p.Lasting || !p.Cuts.Undecided() {
		t.Errorf("before any order: %+v, %+v", p, p.Cuts)
	}
	w.resume(false)
	p := w.partition(look)
	if o := p.Cuts.Ordered; o == nil || o.From != 60 || o.At.IsZero() || !o.Fits || p.Lasting ||
		p.Phase != partition.PhaseStopped || !strings.Contains(p.Reason, "since "+o.At.Format("2006-01-02")) ||
		!strings.Contains(p.Remedy, "replicator run") || strings.Contains(p.Remedy, "replicator resume") {
		t.Errorf("with an order that waits: %+v, %+v", p, p.Cuts)
	}
	_, err := look.Translate(w.ctx, chunk.Partition{Topic: "orders"}, 70)
	if err == nil || !strings.Contains(chunk.Remedy(err), "replicator run") {
		t.Errorf("a position behind the cut: %v, %s", err, chunk.Remedy(err))
	}
	cuts, err := look.OpenCuts(w.ctx)
	w.must("list cuts", err)
	if len(cuts) != 1 || cuts[0].Ordered == nil {
		t.Errorf("resume does not know of the order: %+v", cuts)
	}
	w.cutOver() // carries it out: no daemon runs
	if p := w.partition(look); p.Cuts.Ordered != nil || p.Cuts.Open() || !p.Phase.Free() {
		t.Errorf("carried out: %+v, %+v", p, p.Cuts)
	}
}

// What an order gave up is a known gap: verify names it and is incomplete, not different; status, offsets and cutover
// name it with its date and records, and the cutover goes on.
func TestGivenUpIsNamed(t *testing.T) { onLanes(t, testGivenUpIsNamed) }

func testGivenUpIsNamed(t *testing.T, w *world) {
	w.cutAndGrown()
	w.resume(true)
	w.plain(w.sides.Source, "orders", 0, 5)
	r := w.start(nil)
	r.copies("orders", 0)
	look := w.inspect()
	w.await("the rest is copied", func() bool { return w.partition(look).Behind == 0 })
	p := w.partition(look)
	if !p.Cuts.OnTarget || len(p.GivenUp) != 1 ||
		p.GivenUp[0].Range != (Range{60, 140}) || p.GivenUp[0].Ordered.IsZero() || p.Holes != nil {
		t.Fatalf("status says %+v", p)
	}
	words := p.GivenUp[0].String()
	if !strings.Contains(words, "up to 80 records") {
		t.Errorf("it is told as %q", words)
	}
	v, err := look.Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if v.Verdict != Incomplete || v.Missing != 0 || v.GivenUp != 80 || v.Unverified[compare.GivenUp] != 80 ||
		len(v.Incomplete) != 1 || !strings.Contains(v.Incomplete[0].Why, words) {
		t.Errorf("verify: %s, %d missing, %d given up, %v, %+v", v.Verdict, v.Missing, v.GivenUp, v.Unverified, v.Incomplete)
	}
	from := map[chunk.Partition]offsets.Source{{Topic: "orders"}: 140}
	v, err = look.Verify(w.ctx, VerifyOptions{From: from})
	w.must("verify", err)
	if v.Verdict != Equal || v.KnownLost != 0 {
		t.Errorf("behind it: %s, %+v", v.Verdict, v.Incomplete)
	}
	if got := w.onTarget(look, "orders", 70); got.GivenUp == nil || got.GivenUp.String() != words ||
		got.Target != w.onTarget(look, "orders", 140).Target {
		t.Errorf("a position in it is translated as %+v", got)
	}
	lost := w.state("orders", 0).Cuts.Left()[0]
	if got, err := look.Invert(w.ctx, chunk.Partition{Topic: "orders"}, lost.From); err != nil || !got.SourceLost {
		t.Errorf("what the source has lost is inverted as %+v, %v", got, err)
	}
	d := w.drained(look)
	if topic := d.Topics[0]; d.AgedOut() || topic.Lacks != 80 || !strings.Contains(topic.Why, words) {
		t.Errorf("aged out: %+v", topic)
	}
	if record := w.cutOver(); !strings.Contains(fmt.Sprint(record.GivenUp), words) {
		t.Errorf("the cutover names %q", record.GivenUp)
	}
	if !strings.Contains(w.log.String(), "given up before: orders/0: "+words) {
		t.Error("it is not told on the way")
	}
}

// Records that were given up are copied after all when the target topic is made anew, and are named no more.
func TestGivenUpIsFilledAnew(t *testing.T) {
	w := newWorld(t)
	w.cutAndGrown()
	w.resume(true)
	r := w.start(nil)
	r.copies("orders", 0)
	_, err := w.to.DeleteTopics(w.ctx, "orders")
	w.must("delete", err)
	w.equal([]string{"orders"})
	w.await("nothing is given up any more", func() bool {
		p := w.partition(w.look())
		return p.Phase.Free() && len(p.GivenUp) == 0 && !p.Cuts.OnTarget
	})
	v, err := w.look().Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if v.Verdict != Equal {
		t.Errorf("verify: %s, %+v", v.Verdict, v.Incomplete)
	}
}

// A cut is named by whoever asks whether the source is drained, and the answer is not yes, though its consumers have
// read what it holds.
func TestCutIsNotDrained(t *testing.T) {
	w := newWorld(t)
	w.cutAndGrown()
	w.commit("reader", "orders", 0, 140)
	w.topic("others", 1)
	w.commit("elsewhere", "others", 0, 0)
	look := w.inspect()
	d := w.drained(look)
	if d.Drained() || d.AgedOut() || len(d.Cuts) != 1 || !d.Cuts[0].Undecided || d.Cuts[0].Remedy == "" ||
		!strings.Contains(d.Cuts[0].Reason, "cut at offset 60") {
		t.Errorf("drained %t, aged out %t: %+v", d.Drained(), d.AgedOut(), d.Cuts)
	}
	for _, g := range d.Groups {
		if want := g.Group == "elsewhere"; g.Lag != 0 || g.Drained() != want {
			t.Errorf("group %s: drained %t, want %t: %+v", g.Group, g.Drained(), want, g)
		}
	}
	if d.Only(func(group string) bool { return group == "elsewhere" }); !d.Drained() {
		t.Errorf("a group that reads elsewhere: %+v", d)
	}
	_, err := look.Translate(w.ctx, chunk.Partition{Topic: "orders"}, 140)
	if err == nil || !strings.Contains(chunk.Remedy(err), "replicator resume") ||
		strings.Contains(chunk.Remedy(err), "ask again") {
		t.Errorf("a position behind the cut: %v, %s", err, chunk.Remedy(err))
	}
	status, err := look.Status(w.ctx)
	w.must("status", err)
	for _, g := range status.Groups {
		if p := g.Positions[0]; g.Group == "reader" && (!p.Lasting() || p.State != string(groups.NoAnswer)) {
			t.Errorf("the group's position: %+v", p)
		}
	}
}

// In a partition that is stopped, or that nobody copies, nobody is asked to ask again.
func TestOffsetsOfWhatIsNotCopied(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.plain(w.sides.Source, "orders", 0, 10)
	_, err := w.inspect().Translate(w.ctx, chunk.Partition{Topic: "orders"}, 15)
	if err == nil || !strings.Contains(err.Error(), "No replica runs") {
		t.Errorf("while nobody copies: %v", err)
	}
}

// What the map knows decides whether the source has aged out, not timestamps: all of these have one.
func TestAgedOutByTheMap(t *testing.T) {
	w := newWorld(t)
	w.cfg.Start = Latest
	w.topic("orders", 1)
	w.tied("orders", 10)
	r := w.start(nil)
	w.await("the copy begins", func() bool { return w.partition(w.look()).Progress != nil })
	w.tied("orders", 10)
	look := w.inspect()
	w.await("the rest is copied", func() bool { return w.partition(look).Behind == 0 })
	expect := func(what string, lacks int64, why string) {
		t.Helper()
		d := w.drained(look)
		one := d.Topics[0]
		if one.Lacks != lacks || d.AgedOut() != (lacks == 0) || len(one.ByTimestamps) > 0 || !strings.Contains(one.Why, why) {
			t.Errorf("%s: %+v, want %d", what, one, lacks)
		}
	}
	expect("before where the copy began", 10, "")
	w.cut(w.from, "orders", 10)
	expect("when the source has deleted that", 0, "")
	w.cut(w.to, "orders", int64(w.onTarget(look, "orders", 13).Target))
	expect("when the target alone has deleted three", 3, "")
	w.cut(w.from, "orders", 12)
	expect("when the source has deleted two of them", 1, "")
	w.cut(w.from, "orders", 13)
	expect("when it has deleted them all", 0, "")
	r.stop()
	w.tied("orders", 4)
	expect("what is not copied yet", 4, "copied up to offset 20 of 24")
	_, err := w.to.DeleteTopics(w.ctx, "orders")
	w.must("delete", err)
	expect("without the target's topic", 11, "the target topic is not there")
}

// Where nothing was copied by a flow, timestamps are all that tells, and the answer says so.
func TestAgedOutByTimestamps(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.must("create", w.target.CreateTopic("orders", 2, nil))
	w.tied("orders", 10)
	w.plain(w.sides.Target, "orders", 0, 1)
	one := w.drained(w.inspect()).Topics[0]
	if len(one.ByTimestamps) != 2 || one.Lacks != 10 {
		t.Errorf("it is told as %+v", one)
	}
	// With a ledger that knows nothing of a partition, here as it is refused, nothing else tells either.
	r := w.start(nil)
	r.stopped("orders", 0, chunk.StopForeign)
	one = w.drained(w.inspect()).Topics[0]
	if len(one.ByTimestamps) != 2 || one.Lacks != 10 || one.ForEver {
		t.Errorf("with a ledger it is told as %+v", one)
	}
}

// What the target has of a source topic that was there before is none of the one that was made anew.
func TestAgedOutOfTopicMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.tied("orders", 10)
	r := w.start(nil)
	look := w.inspect()
	w.await("it is copied", func() bool { p := w.partition(look); return p.Progress != nil && p.Behind == 0 })
	r.stop()
	w.delete(w.from, "orders")
	w.topic("orders", 1)
	w.tied("orders", 3)
	d := w.drained(w.inspect())
	if one := d.Topics[0]; d.AgedOut() || one.Lacks != 3 || len(one.ByTimestamps) > 0 || one.ForEver ||
		one.Why != "partition 0 is not copied yet" {
		t.Errorf("it is told as %+v", one)
	}
}

// Nor where the new one is stopped, as with fewer partitions than before.
func TestAgedOutOfTopicMadeSmaller(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.tied("orders", 10)
	r := w.start(nil)
	look := w.inspect()
	w.await("it is copied", func() bool { p := w.partition(look); return p.Progress != nil && p.Behind == 0 })
	r.stop()
	w.delete(w.from, "orders")
	w.topic("orders", 1)
	w.tied("orders", 3)
	r = w.start(nil)
	r.stopped("orders", 0, chunk.StopPartitions)
	r.stop()
	d := w.drained(w.inspect())
	if one := d.Topics[0]; d.AgedOut() || one.Lacks != 3 || len(one.ByTimestamps) > 0 ||
		!strings.Contains(one.Why, "partition 0 is stopped: ") {
		t.Errorf("it is told as %+v", one)
	}
}

// tied writes records of one and the same timestamp, of a minute ago, to partition 0 of a source topic.
func (w *world) tied(topic string, n int) {
	w.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Timestamp: tiedAt, Value: fmt.Appendf(nil, "tied-%d", w.written)}
		w.written++
	}
	w.must("write", workload.Produce(w.ctx, w.sides.Source, topic, records...))
}

// tiedAt is when all of them were written.
var tiedAt = time.Now().Add(-time.Minute).Truncate(time.Millisecond)

// What a cut has left on one side alone stays known over a rollback and the next cutover.
func TestCutIsKnownThereAndBack(t *testing.T) {
	for _, fromEnd := range []bool{false, true} {
		t.Run(fmt.Sprintf("from end %t", fromEnd), func(t *testing.T) {
			w := newWorld(t)
			w.cutAndGrown()
			w.resume(fromEnd)
			w.plain(w.sides.Source, "orders", 0, 5)
			w.cutOver()
			before := w.state("orders", 0).Cuts
			w.plain(w.sides.Target, "orders", 0, 7)
			o := w.handoverOptions()
			o.Force = true // of what the source has lost nothing comes back to it
			back, err := OpenRollback(w.ctx, o)
			w.must("open rollback", err)
			defer back.Close()
			_, err = back.Run(w.ctx)
			w.must("roll back", err)
			w.plain(w.sides.Source, "orders", 0, 3)
			if after := w.state("orders", 0).Cuts; after == nil || after.Lost != before.Lost ||
				len(after.List) != 1 || after.List[0].Resumed != before.List[0].Resumed {
				t.Errorf("the ledger says %+v, before it was %+v", after, before)
			}
			w.cutOver()
			v, err := w.look().Verify(w.ctx, VerifyOptions{OwnOnly: true})
			w.must("verify", err)
			if want := map[bool]Verdict{false: Equal, true: Incomplete}[fromEnd]; v.Verdict != want || v.Differences() > 0 {
				t.Errorf("verify: %s, %+v, %+v", v.Verdict, v.VerifiedCounts, v.Partitions[0].Differences)
			}
		})
	}
}

// What stood on a side before the first record of ours, of a source topic that was there before or of before where
// copying began, stays known as that over a rollback and the next cutover.
func TestWhatStoodBeforeThereAndBack(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.delete(w.from, "orders")
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 3)
	w.cutOver()
	w.plain(w.sides.Target, "orders", 0, 7)
	if state, _ := w.rollBack(); len(state.GivenUp) > 0 {
		t.Errorf("the way back is described as %+v", state)
	}
	w.plain(w.sides.Source, "orders", 0, 2)
	w.cutOver()
	if v := w.verify(VerifyOptions{OwnOnly: true}); v.Verdict != Equal || v.Compared != 12 {
		t.Errorf("verify: %s, %+v, %+v", v.Verdict, v.VerifiedCounts, v.Partitions[0].Differences)
	}
}
