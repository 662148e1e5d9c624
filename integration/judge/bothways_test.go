package judge

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestBothWays: two logs of the same ten records in two orders, and readers of parts of both.
func TestBothWays(t *testing.T) {
	p := newPair(t)
	all := numbered(10)
	p.topic(p.source, "t", 1)
	p.topic(p.target, "t", 1)
	p.write(p.source, "t", all, 100, false)                                         // 0 to 9, and a marker
	p.write(p.target, "t", join(all[5:8], all[0:2], all[8:], all[2:5]), 100, false) // 5 6 7 0 1 8 9 2 3 4, and a marker
	read := func(onTarget bool, from, to int64) Reads {
		return Reads{OnTarget: onTarget, Topic: "t", From: from, To: to}
	}
	for _, c := range []struct {
		why            string
		reads          []Reads
		source, target int64
		wantSource     BothFinding
		wantTarget     BothFinding
	}{
		{"nothing read", nil, 0, 0, BothFinding{}, BothFinding{}},
		{"a part of the source", []Reads{read(false, 0, 6)}, 6, 1,
			BothFinding{Position: 6, Best: 6}, BothFinding{Position: 1, Best: 1, Again: 5}},
		{"behind the best", []Reads{read(false, 0, 6)}, 4, 0,
			BothFinding{Position: 4, Best: 6, Needless: 2}, BothFinding{Best: 1, Again: 5, Needless: 1}},
		{"ahead of it", []Reads{read(false, 0, 6)}, 8, 6,
			BothFinding{Position: 8, Best: 6, Lost: 2}, BothFinding{Position: 6, Best: 1, Again: 5, Lost: 3}},
		{"parts of both", []Reads{read(false, 0, 2), read(true, 0, 3)}, 2, 5,
			BothFinding{Position: 2, Best: 2, Again: 3}, BothFinding{Position: 5, Best: 5}},
		{"all", []Reads{read(false, 0, 10)}, 11, 11,
			BothFinding{Position: 11, Best: 11}, BothFinding{Position: 11, Best: 11}},
	} {
		for i, client := range []*kadm.Client{kadm.NewClient(p.source), kadm.NewClient(p.target)} {
			var o kadm.Offsets
			o.AddOffset("t", 0, []int64{c.source, c.target}[i], -1)
			if _, err := client.CommitOffsets(p.ctx, "g", o); err != nil {
				t.Fatal(err)
			}
		}
		report, err := BothWays(p.ctx, p.sides, "g", []string{"t"}, c.reads)
		if err != nil || len(report.Findings) != 2 {
			t.Fatalf("%s: %+v, %v", c.why, report, err)
		}
		c.wantSource.Topic, c.wantTarget.Topic, c.wantTarget.OnTarget = "t", "t", true
		c.wantSource.Records, c.wantTarget.Records = 10, 10
		if got := report.Findings; got[0] != c.wantSource || got[1] != c.wantTarget {
			t.Errorf("%s:\n got %+v\nwant %+v\n and %+v", c.why, got, c.wantSource, c.wantTarget)
		}
	}
	report, err := BothWays(p.ctx, p.sides, "g", []string{"t"}, nil)
	if err != nil || !report.Hold(10) || report.Hold(11) {
		t.Errorf("both sides hold ten: %v, %v", report, err)
	}
	p.write(p.source, "t", all[:1], 100, false)
	if report, err := BothWays(p.ctx, p.sides, "g", []string{"t"}, nil); err == nil {
		t.Errorf("one record twice is judged as %v", report)
	}
}
