package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// A flow that runs is compared up to where it is; what the logs have lost is counted.
func TestVerifyALiveFlow(t *testing.T) { flowtest.OnLanes(t, testVerifyALiveFlow) }

func testVerifyALiveFlow(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 4)
	w.Mixed("orders", 4, 2000)
	w.Start(nil)
	w.Await("all partitions have begun", func() bool {
		v := w.Verify(verify.Options{})
		return !v.NeverRan && !slices.ContainsFunc(v.Partitions,
			func(p verify.Partition) bool { return !p.State.Free() })
	})
	compared := int64(0)
	for range 3 {
		v := w.Verify(verify.Options{})
		if v.Verdict != verify.Equal || v.Compared < compared || len(v.Unverified) > 0 {
			t.Fatalf("while it runs: %+v", v)
		}
		compared = v.Compared
		w.Mixed("orders", 4, 400)
	}
	report := w.Equal([]string{"orders"})
	records := int64(0)
	for _, p := range report.Partitions {
		records += p.Records
	}
	var v *verify.Report
	w.Await("the ledger knows all of it", func() bool { v = w.Verify(verify.Options{}); return v.NotCopied == 0 })
	if v.Verdict != verify.Equal || v.Compared != records || v.Partitions[2].SourceDigest != v.Partitions[2].TargetDigest {
		t.Fatalf("at rest: %+v, want %d records", v, records)
	}

	from := map[chunk.Partition]offsets.Source{}
	for n := range int32(4) {
		from[chunk.Partition{Topic: "orders", Number: n}] = offsets.Source(v.Partitions[n].SourceTo - 20)
	}
	tail := w.Verify(verify.Options{From: from})
	if tail.Verdict != verify.Equal || tail.Compared == 0 || tail.Compared > 80 ||
		tail.Partitions[0].SourceFrom != int64(from[chunk.Partition{Topic: "orders"}]) {
		t.Errorf("the last 20 offsets: %+v", tail)
	}

	w.DeleteBelow(w.From, "orders", 0, 100)
	w.DeleteBelow(w.To, "orders", 1, 150)
	lost := w.Verify(verify.Options{})
	if lost.Verdict != verify.Equal || lost.Unverified[compare.SourceDeleted] == 0 ||
		lost.Unverified[compare.TargetDeleted] == 0 ||
		lost.Compared+lost.Unverified[compare.SourceDeleted]+lost.Unverified[compare.TargetDeleted] != records {
		t.Errorf("after deletions: %+v, want all of %d records in one of the counts", lost, records)
	}
}

// Without transactions records are there before the map has them: what a replica is copying is not told as foreign.
func TestVerifyALiveFlowWithoutTransactions(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Delivery = settings.AtLeastOnce
	w.Topic("orders", 4)
	w.Mixed("orders", 4, 500)
	w.Start(nil)
	w.Await("all partitions have begun", func() bool { return w.Verify(verify.Options{}).Compared > 0 })
	for range 6 {
		w.Mixed("orders", 4, 400)
		if v := w.Verify(verify.Options{}); v.Verdict == verify.Different {
			t.Fatalf("while it runs: %+v", v)
		}
	}
	w.Equal([]string{"orders"})
	w.Plain(w.Sides.Target, "orders", 2, 1)
	if v := w.Verify(verify.Options{}); v.Verdict != verify.Different || v.Extra != 1 || v.Partitions[2].Extra != 1 {
		t.Errorf("a record of somebody else: %+v", v)
	}
}

// plant writes records with these values, one a millisecond apart.
func plant(l *flowtest.Lookout, client *kgo.Client, keys bool, values ...string) {
	l.T.Helper()
	for _, value := range values {
		r := &kgo.Record{Topic: flowtest.LookoutTopic, Value: []byte(value), Timestamp: time.UnixMilli(1_700_000_000_000)}
		if keys {
			r.Key = []byte(value[:1])
		}
		if value == "null" {
			r.Value = nil
		}
		if err := client.ProduceSync(l.Ctx, r).FirstErr(); err != nil {
			l.T.Fatal(err)
		}
	}
}

// Each kind of difference, by a ledger that promises what the target does not hold.
func TestVerifyFindsEachKind(t *testing.T) {
	t.Parallel()
	run := func(source offsets.Source, target offsets.Target, count int64) offsets.Run {
		return offsets.Run{Source: source, Target: target, Count: count}
	}
	for _, c := range []struct {
		why            string
		source, target string // values
		runs           []offsets.Run
		foreign        *offsets.Stretch
		policy         string
		want           string
	}{
		{"nothing", "a b c d", "a b c d", []offsets.Run{run(0, 0, 4)}, nil, "", ""},
		{"another value", "a b c d", "a x c d", []offsets.Run{run(0, 0, 4)}, nil, "", "changed 1>1"},
		{"no value", "a b c d", "a null c d", []offsets.Run{run(0, 0, 4)}, nil, "", "changed 1>1"},
		{"swapped", "a b c d", "a c b d", []offsets.Run{run(0, 0, 4)}, nil, "", "out_of_order 1>1@2 out_of_order 2>2@1"},
		{"never copied", "a b c d", "a c d", []offsets.Run{run(0, 0, 1), run(2, 1, 2)}, nil, "", "missing 1>-"},
		{"one too many", "a b c d", "a x b c d", []offsets.Run{run(0, 0, 1), run(1, 2, 3)}, nil, "", "extra ->1"},
		{"somebody else's", "a b c d", "a x b c d", []offsets.Run{run(0, 0, 1), run(1, 2, 3)},
			&offsets.Stretch{From: 1, To: 2}, "", "foreign ->1"},
		{"somebody else's at the end", "a b", "a b x y", []offsets.Run{run(0, 0, 2)}, nil, "", "extra ->3 extra ->4"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			l := flowtest.NewLookout(t)
			plant(l, l.Source.Client(), true, strings.Fields(c.source)...)
			open := l.Begin("shard")
			values := strings.Fields(c.target)
			n := len(values)
			if c.why == "somebody else's at the end" {
				n = 2
			}
			plant(l, open, true, values[:n]...)
			l.Foreign = c.foreign
			l.Note(open, offsets.Source(len(strings.Fields(c.source))), c.runs...)
			l.End(open, kgo.TryCommit)
			plant(l, l.Target.Client(), true, values[n:]...)
			v, err := verify.Flow(l.Ctx, l.Look(), verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, d := range v.Partitions[0].Differences {
				at := func(n *int64) string {
					if n == nil {
						return "-"
					}
					return fmt.Sprint(*n)
				}
				got += fmt.Sprintf(" %s %s>%s", d.Kind, at(d.Source), at(d.Target))
				if d.Found != nil {
					got += "@" + at(d.Found)
				}
			}
			if got = strings.TrimSpace(got); got != c.want || (v.Verdict == verify.Equal) != (c.want == "") {
				t.Errorf("%q, verdict %s, want %q: %+v", got, v.Verdict, c.want, v)
			}
			if p := v.Partitions[0]; (p.SourceDigest == p.TargetDigest) != (c.want == "") {
				t.Errorf("digests %s and %s", p.SourceDigest, p.TargetDigest)
			}
		})
	}
}

// A copy that ends before what the ledger says is told from one that compaction has
// thinned out: whose key comes again may be gone, the last of a key may not.
func TestVerifyCompactedTopics(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{"delete": "missing 3", "compact": "missing 1, not checked 2"} {
		l := flowtest.NewLookout(t)
		compact := kadm.NewClient(l.Target.Client())
		if _, err := compact.AlterTopicConfigs(l.Ctx, []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}},
			flowtest.LookoutTopic); err != nil {
			t.Fatal(err)
		}
		plant(l, l.Source.Client(), true, "a1", "b1", "c1", "a2", "b2", "d1")
		// The target lacks a1, b1 and c1: control records of aborted attempts stand at their places.
		for i := range 3 {
			attempt := l.Begin(fmt.Sprint("attempt", i))
			plant(l, attempt, true, "x")
			l.End(attempt, kgo.TryAbort)
		}
		open := l.Begin("shard")
		plant(l, open, true, "a2", "b2", "d1")
		l.Note(open, 6, offsets.Run{Source: 0, Target: 0, Count: 3}, offsets.Run{Source: 3, Target: 6, Count: 3})
		l.End(open, kgo.TryCommit)
		v, err := verify.Flow(l.Ctx, l.Look(), verify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("missing %d", v.Missing)
		if n := v.Unverified[compare.TargetCompacted]; n > 0 {
			got += fmt.Sprintf(", not checked %d", n)
		}
		if got != want || v.Compared != 3 || v.Verdict != verify.Different {
			t.Errorf("cleanup.policy=%s: %s, want %s: %+v", policy, got, want, v)
		}
	}
}

// A partition that cannot be compared makes the report incomplete, not equal.
func TestVerifyIsIncomplete(t *testing.T) {
	t.Parallel()
	l := flowtest.NewLookout(t)
	plant(l, l.Source.Client(), false, "a", "b")
	open := l.Begin("shard")
	plant(l, open, false, "a", "b")
	l.Note(open, 2, offsets.Run{Source: 0, Target: 0, Count: 2})
	l.End(open, kgo.TryCommit)
	admin := kadm.NewClient(l.Target.Client())
	if _, err := admin.DeleteTopics(l.Ctx, flowtest.LookoutTopic); err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		if again {
			if _, err := admin.CreateTopics(l.Ctx, 1, 1, nil, flowtest.LookoutTopic); err != nil {
				t.Fatal(err)
			}
		}
		v, err := verify.Flow(l.Ctx, l.Look(), verify.Options{})
		if err != nil || v.Verdict != verify.Incomplete || v.Partitions[0].Error == "" || v.Partitions[0].Remedy == "" {
			t.Errorf("target topic there again %v: %+v, %v, want incomplete", again, v, err)
		}
	}
}

// What applications write to the target after a cutover is no difference; and what the
// opposite flow took back, by a map that turned around, is compared like any other.
func TestVerifyOverACutover(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 3)
	w.Mixed("orders", 3, 600)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.CutOver()
	r.Stop()
	w.WriteOnTarget("orders", 300)
	before := w.Verify(verify.Options{})
	if before.Verdict != verify.Equal || before.Compared == 0 || len(before.Unverified) > 0 {
		t.Errorf("after the cutover: %+v", before)
	}
	w.RollBack()
	back := w.Cfg
	back.From, back.To = back.To, back.From
	w.Cfg = back
	w.Sides = w.Swapped()
	i, err := snapshot.Open(w.Ctx, map[string]kafka.Config{
		"old": w.Kafka("old", w.Sides.Target), "new": w.Kafka("new", w.Sides.Source)}, back, nil)
	w.Must("inspect", err)
	defer i.Close()
	after, err := verify.Flow(w.Ctx, i, verify.Options{})
	w.Must("verify", err)
	if after.Verdict != verify.Equal || after.Compared <= before.Compared || len(after.Unverified) > 0 {
		t.Errorf("after the rollback: %+v, want more than %d records compared", after, before.Compared)
	}
}

// A topic that is made and filled between the look at the target and that at the
// ledger is compared, not told as missing.
func TestVerifyWhileATopicIsMade(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("first", 1)
	w.Plain(w.Sides.Source, "first", 0, 3)
	w.Must("copy", w.Ends(w.Once()))
	w.Topic("second", 1)
	w.Plain(w.Sides.Source, "second", 0, 5)
	var made atomic.Bool
	w.Target.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.Target.KeepControl()
		if !made.Swap(true) {
			w.Target.SleepControl(func() { w.Must("copy", w.Ends(w.Once())) })
		}
		return nil, nil, false
	})
	if v := w.Verify(verify.Options{}); v.Verdict != verify.Equal || v.Compared != 8 {
		t.Errorf("%s with %d records compared, want %s with 8: %+v", v.Verdict, v.Compared, verify.Equal, v.Partitions)
	}
}
