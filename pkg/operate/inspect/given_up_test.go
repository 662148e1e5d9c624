package inspect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// cutAndGrown is a source that was cut at 60 of 100 and has grown to 140, in a flow that has noted it and runs no more.
func cutAndGrown(w *flowtest.World) {
	w.T.Helper()
	w.CutAt60()
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 80)
}

// An order of 'resume' that no replica has carried out is told with its time, and who carries it out; one that does
// not fit any more is none.
func TestWaitingOrderIsTold(t *testing.T) {
	w := flowtest.New(t)
	cutAndGrown(w)
	look := w.Look()
	if p := w.Partition(look); p.Cuts.Ordered != nil || !p.Lasting || !p.Cuts.Undecided() {
		t.Errorf("before any order: %+v, %+v", p, p.Cuts)
	}
	w.Resume(false)
	p := w.Partition(look)
	if o := p.Cuts.Ordered; o == nil || o.From != 60 || o.At.IsZero() || !o.Fits || p.Lasting ||
		p.Phase != partition.PhaseStopped || !strings.Contains(p.Reason, "since "+o.At.Format("2006-01-02")) ||
		!strings.Contains(p.Remedy, "replicator run") || strings.Contains(p.Remedy, "replicator resume") {
		t.Errorf("with an order that waits: %+v, %+v", p, p.Cuts)
	}
	_, err := inspect.Translate(w.Ctx, look, chunk.Partition{Topic: "orders"}, 70)
	if err == nil || !strings.Contains(chunk.Remedy(err), "replicator run") {
		t.Errorf("a position behind the cut: %v, %s", err, chunk.Remedy(err))
	}
	cuts, err := inspect.OpenCuts(w.Ctx, look)
	w.Must("list cuts", err)
	if len(cuts) != 1 || cuts[0].Ordered == nil {
		t.Errorf("resume does not know of the order: %+v", cuts)
	}
	w.CutOver() // carries it out: no daemon runs
	if p := w.Partition(look); p.Cuts.Ordered != nil || p.Cuts.Open() || !p.Phase.Free() {
		t.Errorf("carried out: %+v, %+v", p, p.Cuts)
	}
}

// What an order gave up is a known gap: verify names it and is incomplete, not different; status, offsets and cutover
// name it with its date and records, and the cutover goes on.
func TestGivenUpIsNamed(t *testing.T) { flowtest.OnLanes(t, testGivenUpIsNamed) }

func testGivenUpIsNamed(t *testing.T, w *flowtest.World) {
	cutAndGrown(w)
	w.Resume(true)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	r := w.Start(nil)
	r.Copies("orders", 0)
	look := w.Look()
	w.Await("the rest is copied", func() bool { return w.Partition(look).Behind == 0 })
	p := w.Partition(look)
	if !p.Cuts.OnTarget || len(p.GivenUp) != 1 ||
		p.GivenUp[0].Range != (inspect.Range{60, 140}) || p.GivenUp[0].Ordered.IsZero() || p.Holes != nil {
		t.Fatalf("status says %+v", p)
	}
	words := p.GivenUp[0].String()
	if !strings.Contains(words, "up to 80 records") {
		t.Errorf("it is told as %q", words)
	}
	v, err := verify.Flow(w.Ctx, look, verify.Options{})
	w.Must("verify", err)
	if v.Verdict != verify.Incomplete || v.Missing != 0 || v.GivenUp != 80 || v.Unverified[compare.GivenUp] != 80 ||
		len(v.Incomplete) != 1 || !strings.Contains(v.Incomplete[0].Why, words) {
		t.Errorf("verify: %s, %d missing, %d given up, %v, %+v", v.Verdict, v.Missing, v.GivenUp, v.Unverified, v.Incomplete)
	}
	from := map[chunk.Partition]offsets.Source{{Topic: "orders"}: 140}
	v, err = verify.Flow(w.Ctx, look, verify.Options{From: from})
	w.Must("verify", err)
	if v.Verdict != verify.Equal || v.KnownLost != 0 {
		t.Errorf("behind it: %s, %+v", v.Verdict, v.Incomplete)
	}
	if got := w.OnTarget(look, "orders", 70); got.GivenUp == nil || got.GivenUp.String() != words ||
		got.Target != w.OnTarget(look, "orders", 140).Target {
		t.Errorf("a position in it is translated as %+v", got)
	}
	lost := w.State("orders", 0).Cuts.Left()[0]
	if got, err := inspect.Invert(w.Ctx, look, chunk.Partition{Topic: "orders"}, lost.From); err != nil ||
		!got.SourceLost {
		t.Errorf("what the source has lost is inverted as %+v, %v", got, err)
	}
	d := w.Drained(look)
	if topic := d.Topics[0]; d.AgedOut() || topic.Lacks != 80 || !strings.Contains(topic.Why, words) {
		t.Errorf("aged out: %+v", topic)
	}
	if record := w.CutOver(); !strings.Contains(fmt.Sprint(record.GivenUp), words) {
		t.Errorf("the cutover names %q", record.GivenUp)
	}
	if !strings.Contains(w.Log.String(), "given up before: orders/0: "+words) {
		t.Error("it is not told on the way")
	}
}

// Records that were given up are copied after all when the target topic is made anew, and are named no more.
func TestGivenUpIsFilledAnew(t *testing.T) {
	w := flowtest.New(t)
	cutAndGrown(w)
	w.Resume(true)
	r := w.Start(nil)
	r.Copies("orders", 0)
	_, err := w.To.DeleteTopics(w.Ctx, "orders")
	w.Must("delete", err)
	w.Equal([]string{"orders"})
	w.Await("nothing is given up any more", func() bool {
		p := w.Partition(w.Look())
		return p.Phase.Free() && len(p.GivenUp) == 0 && !p.Cuts.OnTarget
	})
	v, err := verify.Flow(w.Ctx, w.Look(), verify.Options{})
	w.Must("verify", err)
	if v.Verdict != verify.Equal {
		t.Errorf("verify: %s, %+v", v.Verdict, v.Incomplete)
	}
}

// A cut is named by whoever asks whether the source is drained, and the answer is not yes, though its consumers have
// read what it holds.
func TestCutIsNotDrained(t *testing.T) {
	w := flowtest.New(t)
	cutAndGrown(w)
	w.Commit("reader", "orders", 0, 140)
	w.Topic("others", 1)
	w.Commit("elsewhere", "others", 0, 0)
	look := w.Look()
	d := w.Drained(look)
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
	_, err := inspect.Translate(w.Ctx, look, chunk.Partition{Topic: "orders"}, 140)
	if err == nil || !strings.Contains(chunk.Remedy(err), "replicator resume") ||
		strings.Contains(chunk.Remedy(err), "ask again") {
		t.Errorf("a position behind the cut: %v, %s", err, chunk.Remedy(err))
	}
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	for _, g := range status.Groups {
		if p := g.Positions[0]; g.Group == "reader" && (!p.Lasting() || p.State != string(groups.NoAnswer)) {
			t.Errorf("the group's position: %+v", p)
		}
	}
}

// In a partition that is stopped, or that nobody copies, nobody is asked to ask again.
func TestOffsetsOfWhatIsNotCopied(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 10)
	_, err := inspect.Translate(w.Ctx, w.Look(), chunk.Partition{Topic: "orders"}, 15)
	if err == nil || !strings.Contains(err.Error(), "No replica runs") {
		t.Errorf("while nobody copies: %v", err)
	}
}

// What the map knows decides whether the source has aged out, not timestamps: all of these have one.
func TestAgedOutByTheMap(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Start = settings.Latest
	w.Topic("orders", 1)
	tied(w, "orders", 10)
	r := w.Start(nil)
	w.Await("the copy begins", func() bool { return w.Partition(w.Look()).Progress != nil })
	tied(w, "orders", 10)
	look := w.Look()
	w.Await("the rest is copied", func() bool { return w.Partition(look).Behind == 0 })
	expect := func(what string, lacks int64, why string) {
		t.Helper()
		d := w.Drained(look)
		one := d.Topics[0]
		if one.Lacks != lacks || d.AgedOut() != (lacks == 0) || len(one.ByTimestamps) > 0 || !strings.Contains(one.Why, why) {
			t.Errorf("%s: %+v, want %d", what, one, lacks)
		}
	}
	expect("before where the copy began", 10, "")
	w.Cut(w.From, "orders", 10)
	expect("when the source has deleted that", 0, "")
	w.Cut(w.To, "orders", int64(w.OnTarget(look, "orders", 13).Target))
	expect("when the target alone has deleted three", 3, "")
	w.Cut(w.From, "orders", 12)
	expect("when the source has deleted two of them", 1, "")
	w.Cut(w.From, "orders", 13)
	expect("when it has deleted them all", 0, "")
	r.Stop()
	tied(w, "orders", 4)
	expect("what is not copied yet", 4, "copied up to offset 20 of 24")
	_, err := w.To.DeleteTopics(w.Ctx, "orders")
	w.Must("delete", err)
	expect("without the target's topic", 11, "the target topic is not there")
}

// Where nothing was copied by a flow, timestamps are all that tells, and the answer says so.
func TestAgedOutByTimestamps(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 2)
	w.Must("create", w.Target.CreateTopic("orders", 2, nil))
	tied(w, "orders", 10)
	w.Plain(w.Sides.Target, "orders", 0, 1)
	w.Plain(w.Sides.Target, "orders", 1, 1) // which refuses that one as well
	one := w.Drained(w.Look()).Topics[0]
	if len(one.ByTimestamps) != 2 || one.Lacks != 10 {
		t.Errorf("it is told as %+v", one)
	}
	// With a ledger that knows nothing of a partition, here as it is refused, nothing else tells either.
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopForeign)
	r.Stopped("orders", 1, chunk.StopForeign)
	one = w.Drained(w.Look()).Topics[0]
	if len(one.ByTimestamps) != 2 || one.Lacks != 10 || one.ForEver {
		t.Errorf("with a ledger it is told as %+v", one)
	}
}

// What the target has of a source topic that was there before is none of the one that was made anew.
func TestAgedOutOfTopicMadeAnew(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	tied(w, "orders", 10)
	r := w.Start(nil)
	look := w.Look()
	w.Await("it is copied", func() bool { p := w.Partition(look); return p.Progress != nil && p.Behind == 0 })
	r.Stop()
	w.Delete(w.From, "orders")
	w.Topic("orders", 1)
	tied(w, "orders", 3)
	d := w.Drained(w.Look())
	if one := d.Topics[0]; d.AgedOut() || one.Lacks != 3 || len(one.ByTimestamps) > 0 || one.ForEver ||
		one.Why != "partition 0 is not copied yet" {
		t.Errorf("it is told as %+v", one)
	}
}

// Nor where the new one is stopped, as with fewer partitions than before.
func TestAgedOutOfTopicMadeSmaller(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 2)
	tied(w, "orders", 10)
	r := w.Start(nil)
	look := w.Look()
	w.Await("it is copied", func() bool { p := w.Partition(look); return p.Progress != nil && p.Behind == 0 })
	r.Stop()
	w.Delete(w.From, "orders")
	w.Topic("orders", 1)
	tied(w, "orders", 3)
	r = w.Start(nil)
	r.Stopped("orders", 0, chunk.StopPartitions)
	r.Stop()
	d := w.Drained(w.Look())
	if one := d.Topics[0]; d.AgedOut() || one.Lacks != 3 || len(one.ByTimestamps) > 0 ||
		!strings.Contains(one.Why, "partition 0 is stopped: ") {
		t.Errorf("it is told as %+v", one)
	}
}

// tied writes records of one and the same timestamp, of a minute ago, to partition 0 of a source topic.
func tied(w *flowtest.World, topic string, n int) {
	w.T.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Timestamp: tiedAt, Value: fmt.Appendf(nil, "tied-%d", w.Written)}
		w.Written++
	}
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Source, topic, records...))
}

// tiedAt is when all of them were written.
var tiedAt = time.Now().Add(-time.Minute).Truncate(time.Millisecond)

// What a cut has left on one side alone stays known over a rollback and the next cutover.
func TestCutIsKnownThereAndBack(t *testing.T) {
	for _, fromEnd := range []bool{false, true} {
		t.Run(fmt.Sprintf("from end %t", fromEnd), func(t *testing.T) {
			w := flowtest.New(t)
			cutAndGrown(w)
			w.Resume(fromEnd)
			w.Plain(w.Sides.Source, "orders", 0, 5)
			w.CutOver()
			before := w.State("orders", 0).Cuts
			w.Plain(w.Sides.Target, "orders", 0, 7)
			o := w.HandoverOptions()
			o.Force = true // of what the source has lost nothing comes back to it
			back, err := cutover.OpenRollback(w.Ctx, o)
			w.Must("open rollback", err)
			defer back.Close()
			_, err = back.Run(w.Ctx)
			w.Must("roll back", err)
			w.Plain(w.Sides.Source, "orders", 0, 3)
			if after := w.State("orders", 0).Cuts; after == nil || after.Lost != before.Lost ||
				len(after.List) != 1 || after.List[0].Resumed != before.List[0].Resumed {
				t.Errorf("the ledger says %+v, before it was %+v", after, before)
			}
			w.CutOver()
			v, err := verify.Flow(w.Ctx, w.Look(), verify.Options{OwnOnly: true})
			w.Must("verify", err)
			if want := map[bool]verify.Verdict{false: verify.Equal, true: verify.Incomplete}[fromEnd]; v.Verdict != want ||
				v.Differences() > 0 {
				t.Errorf("verify: %s, %+v, %+v", v.Verdict, v.Counts, v.Partitions[0].Differences)
			}
		})
	}
}

// What stood on a side before the first record of ours, of a source topic that was there before or of before where
// copying began, stays known as that over a rollback and the next cutover.
func TestWhatStoodBeforeThereAndBack(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Delete(w.From, "orders")
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 3)
	w.CutOver()
	w.Plain(w.Sides.Target, "orders", 0, 7)
	if state, _ := w.RollBack(); len(state.GivenUp) > 0 {
		t.Errorf("the way back is described as %+v", state)
	}
	w.Plain(w.Sides.Source, "orders", 0, 2)
	w.CutOver()
	if v := w.Verify(verify.Options{OwnOnly: true}); v.Verdict != verify.Equal || v.Compared != 12 {
		t.Errorf("verify: %s, %+v, %+v", v.Verdict, v.Counts, v.Partitions[0].Differences)
	}
}
