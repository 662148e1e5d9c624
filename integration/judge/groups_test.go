package judge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// groupCase is one group with a position on both sides; target -1 is none.
type groupCase struct {
	name           string
	source, target int64
	want           Verdict
	records        int64
}

func (p *pair) judgeGroups(t *testing.T, topic string, cases []groupCase, ok bool, opts ...Option) {
	t.Helper()
	var names []string
	for _, c := range cases {
		name := topic + "." + strings.ReplaceAll(c.name, " ", "-")
		names = append(names, name)
		p.commit(p.source, name, topic, c.source)
		if c.target >= 0 {
			p.commit(p.target, name, topic, c.target)
		}
	}
	report, err := Groups(p.ctx, p.sides, names, []string{topic}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if report.Positions != len(cases) || report.OK() != ok || (report.Err() == nil) != ok {
		t.Errorf("%d positions, OK %t, want %d, %t:\n%s", report.Positions, report.OK(), len(cases), ok, report)
	}
	found := map[string]Finding{}
	for _, f := range report.Findings {
		found[f.Group] = f
	}
	for i, c := range cases {
		got, listed := found[names[i]]
		if !listed {
			got.Verdict = Exact
		}
		if got.Verdict != c.want || got.Records != c.records {
			t.Errorf("%s: source %d, target %d: got %q and %d records (%s), want %q and %d",
				c.name, c.source, c.target, got.Verdict, got.Records, got.What, c.want, c.records)
		}
	}
}

// TestGroupsSeesEachFault: the source holds, three times, two aborted records,
// their marker, ten records and their marker: record i lies at
// i + 3 + 4*(i/10), and its log ends at 42. The target holds the 30 records and
// one marker, and ends at 31.
func TestGroupsSeesEachFault(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "exact", 1)
	p.topic(p.target, "exact", 1)
	p.write(p.source, "exact", all[:30], 10, true)
	p.write(p.target, "exact", all[:30], 30, false)
	right := []groupCase{
		{"on a record", 8, 5, Exact, 0},
		{"on another", 9, 6, Exact, 0},
		{"start", 0, 0, Exact, 0},
		{"on the first aborted record", 14, 10, Exact, 0},
		{"on a marker", 13, 10, Exact, 0},
		{"on the second marker", 16, 10, Exact, 0},
		{"after the last record", 41, 31, Exact, 0},
		{"at the end", 42, 31, Exact, 0},
		{"last record", 40, 29, Exact, 0},
	}
	p.judgeGroups(t, "exact", right, true)
	p.judgeGroups(t, "exact", append([]groupCase{
		{"one back", 8, 4, Behind, 1},
		{"one on", 8, 6, Ahead, 1},
		{"far back", 42, 0, Behind, 30},
		{"far on", 0, 31, Ahead, 30},
		{"not there", 8, -1, Missing, 0},
		{"past the end", 42, 32, OutOfRange, 0},
		{"far past the end", 42, 1000, OutOfRange, 0},
		{"in front of our own marker", 42, 30, Lagging, 0},
	}, right...), false)
}

func TestGroupsSeesOtherRecords(t *testing.T) {
	p := newPair(t)
	target := with(all, 20, func(r *kgo.Record) { r.Value = nil })
	p.topic(p.source, "unequal", 1)
	p.topic(p.target, "unequal", 1)
	p.write(p.source, "unequal", all, 200, false)
	p.write(p.target, "unequal", target[:190], 200, false)
	p.judgeGroups(t, "unequal", []groupCase{
		{"well before", 10, 10, Exact, 0},
		{"just before", 16, 16, Unequal, 0},
		{"on the changed one", 20, 20, Unequal, 0},
		{"after it", 21, 21, Unequal, 0},
	}, false)
	p.topic(p.source, "tail", 1)
	p.topic(p.target, "tail", 1)
	p.write(p.source, "tail", all, 200, false)
	p.write(p.target, "tail", all[:190], 200, false)
	p.judgeGroups(t, "tail", []groupCase{
		{"copied", 180, 180, Exact, 0},
		{"next is not there yet", 190, 190, Unequal, 0},
		{"beyond", 195, 190, Unequal, 0},
	}, false)
	p.topic(p.source, "absent", 1)
	p.write(p.source, "absent", all, 200, false)
	p.judgeGroups(t, "absent", []groupCase{{"any", 5, -1, Unequal, 0}}, false)
}

// TestGroupsAllowDuplicates: the target is 0..59, 40..99, marker at 120.
func TestGroupsAllowDuplicates(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "again", 1)
	p.topic(p.target, "again", 1)
	p.write(p.source, "again", all[:100], 100, false)
	p.write(p.target, "again", join(all[:60], all[40:100]), 120, false)
	right := []groupCase{
		{"before", 10, 10, Exact, 0},
		{"second copy", 50, 70, Exact, 0},
		{"first copy", 50, 50, Behind, 20},
		{"after", 80, 100, Exact, 0},
		{"end", 101, 121, Exact, 0},
	}
	p.judgeGroups(t, "again", right, true, AllowDuplicates())
	p.judgeGroups(t, "again", append([]groupCase{
		{"past the second copy", 50, 73, Ahead, 3},
		{"lost at the end", 98, 121, Ahead, 2},
		{"lag", 101, 120, Lagging, 0},
	}, right...), false, AllowDuplicates())
	p.write(p.source, "again", all[100:101], 1, false) // not copied: no place can be right
	p.judgeGroups(t, "again", []groupCase{{"beyond", 50, 70, Unequal, 0}}, false, AllowDuplicates())
}

func TestGroupsOverNothingIsNoPass(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "some", 1)
	p.topic(p.target, "some", 1)
	report, err := Groups(p.ctx, p.sides, []string{"nobody"}, []string{"some"})
	if err != nil || report.OK() || report.Err() == nil {
		t.Errorf("Groups over no position = %v, %v; want a report that is not OK", report, err)
	}
}

func TestWaitGroups(t *testing.T) {
	p := newPair(t)
	p.topic(p.source, "wait", 1)
	p.topic(p.target, "wait", 1)
	p.write(p.source, "wait", all[:20], 20, false)
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprintf("wait-%d", i))
		p.commit(p.source, names[i], "wait", int64(2*i))
	}
	report, err := WaitGroups(p.ctx, 300*time.Millisecond, p.sides, names, []string{"wait"})
	if err != nil || report.OK() || report.Counts[Unequal]+report.Counts[Missing] != 10 {
		t.Fatalf("before any copy: %v, %v; want no position right", report, err)
	}
	go func() {
		p.write(p.target, "wait", all[:20], 5, false) // a marker after each five records
		for i, name := range names {
			p.commit(p.target, name, "wait", int64(2*i+2*i/5))
		}
	}()
	report, err = WaitGroups(p.ctx, 20*time.Second, p.sides, names, []string{"wait"})
	if err != nil || !report.OK() || report.Counts[Exact] != 10 {
		t.Errorf("after the copy: %v, %v; want 10 exact", report, err)
	}
}
