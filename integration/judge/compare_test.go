package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// counted is the part of a verdict that the tables name.
type counted struct {
	Records, Missing, Tail, Extra, Doubled, Changed, Reordered, Redelivered, Stretches int64
}

func countsOf(p Partition) counted {
	return counted{
		p.Records, p.Missing, p.Tail, p.Extra, p.Doubled, p.Changed, p.Reordered, p.Redelivered, p.Stretches,
	}
}

type fault struct {
	name   string
	target []*kgo.Record
	want   counted
	equal  bool
	says   string // what the report must contain
}

// all is what the source holds in every case.
var all = numbered(200)

func (p *pair) judge(t *testing.T, topic string, f fault, opts ...Option) {
	t.Helper()
	report, err := Compare(p.ctx, p.sides, []string{topic}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if got := countsOf(report.Partitions[0]); got != f.want {
		t.Errorf("counts\n got %+v\nwant %+v\n%s", got, f.want, report)
	}
	if report.Equal() != f.equal || (report.Err() == nil) != f.equal {
		t.Errorf("Equal() = %t, Err() = %v, want equal %t", report.Equal(), report.Err(), f.equal)
	}
	if !strings.Contains(report.String(), f.says) {
		t.Errorf("the report does not say %q:\n%s", f.says, report)
	}
}

// TestCompareSeesEachFault plants one fault in each target; the source's offsets
// differ from the target's, as aborted records and markers lie between.
func TestCompareSeesEachFault(t *testing.T) {
	header := func(i int, f func(h []kgo.RecordHeader)) []*kgo.Record {
		return with(all, i, func(r *kgo.Record) { f(r.Headers) })
	}
	changed := counted{Records: 199, Changed: 1}
	p := newPair(t)
	for _, f := range []fault{
		{"equal", all, counted{Records: 200}, true, "equal"},
		{"empty", nil, counted{Missing: 200, Tail: 200}, false, "missing to the end: source 3, target at its end"},
		{"missing", join(all[:120], all[121:]), counted{Records: 199, Missing: 1}, false, "missing: source 191, target 122"},
		{"first missing", all[1:], counted{Records: 199, Missing: 1}, false, "missing: source 3, target 0"},
		{"last missing", all[:199], counted{Records: 199, Missing: 1, Tail: 1}, false, "1 of them at the tail"},
		{"many missing", join(all[:10], all[150:]), counted{Records: 60, Missing: 140}, false, "140 missing"},
		{"doubled", join(all[:51], all[50:]), counted{Records: 200, Extra: 1, Doubled: 1}, false, "doubled"},
		{"stretch again", join(all[:60], all[40:]), counted{Records: 200, Extra: 20, Doubled: 20}, false, "20 extra"},
		{"last doubled", join(all, all[199:]), counted{Records: 200, Extra: 1, Doubled: 1}, false, "source at its end"},
		{"foreign", join(all[:5], numbered(205)[204:], all[5:]), counted{Records: 200, Extra: 1}, false, "1 extra"},
		{"swapped", join(all[:7], all[8:9], all[7:8], all[9:]), counted{Records: 198, Reordered: 2}, false, "reordered"},
		{"value", with(all, 3, func(r *kgo.Record) { r.Value = []byte("x") }), changed, false, `value "value-3" -> "x"`},
		{"null value", with(all, 3, func(r *kgo.Record) { r.Value = nil }), changed, false, `-> null`},
		{"key", with(all, 199, func(r *kgo.Record) { r.Key = []byte{} }), changed, false, `key "key-199" -> empty`},
		{"time", with(all, 0, func(r *kgo.Record) { r.Timestamp = r.Timestamp.Add(time.Millisecond) }), changed, false,
			"timestamp 1700000000000 -> 1700000000001"},
		{"header null", header(9, func(h []kgo.RecordHeader) { h[1].Value = nil }), changed, false, `"b" empty -> null`},
		{"header order", header(9, func(h []kgo.RecordHeader) { h[0], h[1] = h[1], h[0] }), changed, false, "headers[0] key"},
		{"header lost", with(all, 9, func(r *kgo.Record) { r.Headers = nil }), changed, false, "number of headers 2 -> 0"},
		{"nothing alike", numbered(300)[200:], counted{Missing: 200, Extra: 100}, false, "DIFFERENT"},
	} {
		t.Run(f.name, func(t *testing.T) {
			topic := strings.ReplaceAll(f.name, " ", "-")
			p.t = t
			p.topic(p.source, topic, 1)
			p.topic(p.target, topic, 1)
			p.write(p.source, topic, all, 7, true)
			p.write(p.target, topic, f.target, 50, false)
			p.judge(t, topic, f)
		})
	}
}

// TestCompareAllowsDuplicates tells re-delivered stretches, which are allowed,
// from everything that is not.
func TestCompareAllowsDuplicates(t *testing.T) {
	p := newPair(t)
	for _, f := range []fault{
		{"equal", all, counted{Records: 200}, true, "duplicates allowed"},
		{"one stretch", join(all[:60], all[40:]), counted{Records: 200, Redelivered: 20, Stretches: 1}, true, "equal"},
		{"two stretches", join(all[:60], all[40:100], all[90:]),
			counted{Records: 200, Redelivered: 30, Stretches: 2}, true, "equal"},
		{"same stretch twice", join(all[:60], all[40:60], all[40:]),
			counted{Records: 200, Redelivered: 40, Stretches: 2}, true, "equal"},
		{"stretch again at the end", join(all, all[190:]),
			counted{Records: 200, Redelivered: 10, Stretches: 1}, true, "equal"},
		{"two writers at once", join(all[:60], all[40:41], all[60:61], all[41:42], all[61:]),
			counted{Records: 200, Redelivered: 2, Stretches: 2}, true, "equal"},
		{"missing", join(all[:60], all[40:60], all[61:]),
			counted{Records: 199, Missing: 1, Redelivered: 20, Stretches: 1}, false, "missing: source 68, target 87"},
		{"tail missing", join(all[:60], all[40:150]),
			counted{Records: 150, Missing: 50, Tail: 50, Redelivered: 20, Stretches: 1}, false, "50 of them at the tail"},
		{"late", join(all[:60], all[61:70], all[60:61], all[70:]),
			counted{Records: 199, Missing: 1, Extra: 1}, false, "1 missing"},
		{"foreign", join(all[:60], numbered(201)[200:], all[60:]), counted{Records: 200, Extra: 1}, false, "1 extra"},
		{"changed when redelivered", join(all[:60], with(all, 50, func(r *kgo.Record) { r.Value = nil })[50:]),
			counted{Records: 200, Extra: 1, Redelivered: 9, Stretches: 1}, false, "1 extra"},
	} {
		t.Run(f.name, func(t *testing.T) {
			topic := strings.ReplaceAll(f.name, " ", "-")
			p.t = t
			p.topic(p.source, topic, 1)
			p.topic(p.target, topic, 1)
			p.write(p.source, topic, all, 7, false)
			p.write(p.target, topic, f.target, 50, true)
			p.judge(t, topic, f, AllowDuplicates())
		})
	}
}

func TestCompareSeesTopicsThatAreNotAlike(t *testing.T) {
	p := newPair(t)
	p.sides.Rename = func(topic string) string { return "old." + topic }
	p.topic(p.source, "absent", 1)
	p.write(p.source, "absent", all, 50, false)
	p.topic(p.source, "grown", 1)
	p.topic(p.target, "old.grown", 2)
	p.topic(p.source, "shrunk", 2)
	p.topic(p.target, "old.shrunk", 1)
	report, err := Compare(p.ctx, p.sides, []string{"absent", "grown", "shrunk"})
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Total().Missing; got != 200 || report.Equal() {
		t.Errorf("missing %d, equal %t, want 200 and false", got, report.Equal())
	}
	for _, want := range []string{
		"absent/0 -> old.absent/0: 0 equal, 200 missing, 200 of them at the tail\n    the target has no such partition",
		"(none)/1 -> old.grown/1: 0 equal\n    the source has no such partition",
		"shrunk/1 -> old.shrunk/1: 0 equal\n    the target has no such partition",
	} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
	report, err = Compare(p.ctx, p.sides, []string{"nowhere"})
	if err != nil || report.Equal() {
		t.Errorf("a topic that is nowhere: %v, %v; want a report that is not equal", report, err)
	}
}

// TestCompareGivesUp shows that logs with nothing in common as far as the judge
// looks are not read into memory, and are different.
func TestCompareGivesUp(t *testing.T) {
	p := newPair(t)
	many := numbered(2*maxLook + 20)
	p.topic(p.source, "far", 1)
	p.topic(p.target, "far", 1)
	p.write(p.source, "far", many[:maxLook+10], 10_000, false)
	p.write(p.target, "far", many[maxLook+10:], 10_000, false)
	want := counted{Missing: maxLook + 10, Extra: maxLook + 10}
	p.judge(t, "far", fault{want: want, says: "do not meet again"})
}

func TestCompareFrom(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "late", 1)
	p.topic(p.target, "late", 1)
	p.write(p.source, "late", all, 200, false)
	p.write(p.target, "late", join(numbered(300)[290:], all[150:]), 200, false)
	p.judge(t, "late", fault{want: counted{Records: 50}, equal: true},
		SourceFrom(map[string]map[int32]int64{"late": {0: 150}}),
		TargetFrom(map[string]map[int32]int64{"late": {0: 10}}))
}

// TestOpenTransactionIsNotThere: both sides end at the last stable offset.
func TestOpenTransactionIsNotThere(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "open", 1)
	p.topic(p.target, "open", 1)
	p.write(p.source, "open", all, 50, false)
	p.write(p.target, "open", all, 50, false)
	if err := p.target.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := p.target.ProduceSync(p.ctx, &kgo.Record{Topic: "open", Value: []byte("undecided")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p.judge(t, "open", fault{want: counted{Records: 200}, equal: true})
	if err := p.target.EndTransaction(p.ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	p.judge(t, "open", fault{want: counted{Records: 200, Extra: 1}})
}

func TestWaitEqual(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "slow", 1)
	p.write(p.source, "slow", all[:100], 10, true)
	go func() { // each step waits for nothing: the judge may see any of them
		p.topic(p.target, "slow", 1)
		for i := 0; i < len(all); i += 10 {
			if i >= 100 {
				p.write(p.source, "slow", all[i:i+10], 10, true)
			}
			p.write(p.target, "slow", all[i:i+10], 10, false)
		}
	}()
	for _, records := range []int64{100, 200} { // equal may be seen early; then more must come
		deadline := time.Now().Add(20 * time.Second)
		for {
			report, err := WaitEqual(p.ctx, 10*time.Second, p.sides, []string{"slow"})
			if err != nil || !report.Equal() {
				t.Fatalf("WaitEqual = %v, %v", report, err)
			}
			if report.Total().Records >= records {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d records never came: %s", records, report)
			}
		}
	}
}

func TestWaitEqualEnds(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "behind", 1)
	p.topic(p.target, "behind", 1)
	p.write(p.source, "behind", all, 50, false)
	p.write(p.target, "behind", all[:199], 50, false)
	report, err := WaitEqual(p.ctx, 300*time.Millisecond, p.sides, []string{"behind"})
	if err != nil {
		t.Fatal(err)
	}
	want := counted{Records: 199, Missing: 1, Tail: 1}
	if got := countsOf(report.Partitions[0]); got != want {
		t.Errorf("after the time: got %+v, want %+v", got, want)
	}
	p.write(p.target, "behind", all[198:], 50, false) // 198 again: nothing can heal this
	report, err = WaitEqual(p.ctx, time.Hour, p.sides, []string{"behind"})
	if err != nil {
		t.Fatal(err)
	}
	want = counted{Records: 200, Extra: 1, Doubled: 1}
	if got := countsOf(report.Partitions[0]); got != want {
		t.Errorf("a difference that stays: got %+v, want %+v", got, want)
	}
}
