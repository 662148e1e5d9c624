package status

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/partition"
)

// crowded is a flow with more of everything than a terminal holds.
func crowded(name string) *inspect.FlowStatus {
	two := 2
	since := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	s := &inspect.FlowStatus{Flow: name, Taken: since, Replicas: &two, Shards: 8, Unowned: []int{3},
		Members: []snapshot.Replica{{Host: "10.0.0.1"}, {Host: "10.0.0.2"}}}
	for topic := range 300 {
		for number := range int32(4) {
			p := inspect.PartitionStatus{Topic: fmt.Sprintf("team.domain.topic-%03d", topic), Partition: number,
				Phase: partition.PhaseCopying, SourceEnd: offsets.Source(1000 + topic), Behind: int64(topic)}
			switch topic {
			case 7:
				p.Phase, p.Reason, p.Remedy = partition.PhaseStopped, strings.Repeat("because ", 40), strings.Repeat("do this ", 40)
				s.Stopped++
			case 8:
				p.EndsUnknown, p.Behind = true, 0
				s.EndsUnknown++
			}
			s.Behind += p.Behind
			s.Partitions = append(s.Partitions, p)
		}
	}
	for group := range 100 {
		g := inspect.GroupStatus{Group: fmt.Sprintf("group-%02d", group)}
		for number := range int32(4) {
			state := "right"
			if group == 42 {
				state = "foreign_commit"
			}
			g.Positions = append(g.Positions, inspect.PositionStatus{Topic: "team.domain.topic-000", Partition: number,
				State: state})
		}
		s.Groups = append(s.Groups, g)
	}
	for range 30 {
		s.Problems = append(s.Problems, inspect.ProblemStatus{Error: strings.Repeat("trouble ", 20), Remedy: "look"})
	}
	return s
}

// However much there is, status fits a terminal, and what matters stands first.
func TestStatusFitsATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Show(&out, []*inspect.FlowStatus{crowded("old->new")}); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if n := terminal.Lines(text); n > terminal.Height {
		t.Errorf("%d lines, want %d at most", n, terminal.Height)
	}
	for _, line := range strings.Split(text, "\n") {
		if n := len([]rune(line)); n > terminal.Width {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	first := strings.Join(strings.Fields(text), " ")
	for _, want := range []string{
		"flow old->new at least 179368 records behind, 4 partitions of UNKNOWN lag, 4 STOPPED, 2 replicas",
		"1 shard of 8 belong to no replica", "10.0.0.1", "more like these: --all", "team.domain.topic-007 4 28 stopped",
		"team.domain.topic-008 4 0+? copying", "topics, ", "100 groups, 99 stand right",
		"foreign commit: 1: group-42", "--topic NAME",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}
	if !strings.HasPrefix(text, "flow old->new  at least") {
		t.Errorf("the summary does not come first:\n%s", text)
	}
	out.Reset()
	if err := Show(&out, []*inspect.FlowStatus{crowded("old->new"), crowded("a->b")}); err != nil {
		t.Fatal(err)
	}
	top := strings.Join(strings.SplitN(out.String(), "\n", 6)[:5], "\n")
	if !strings.Contains(top, "flow old->new") || !strings.Contains(top, "flow a->b") {
		t.Errorf("not both flows come first:\n%s", out.String())
	}
	if n := terminal.Lines(out.String()); n > 2*terminal.Height {
		t.Errorf("two flows take %d lines", n)
	}
}

// What happened in many partitions of a topic is one line, which says how to see each; --topic and --all show each.
func TestHistoryIsFolded(t *testing.T) {
	t.Parallel()
	s := &inspect.FlowStatus{Flow: "old->new", Shards: 8}
	at, since := offsets.Source(9), time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	for number := range int32(100) {
		s.Partitions = append(s.Partitions, inspect.PartitionStatus{Topic: "wide", TargetTopic: "old.wide",
			Partition: number, Phase: partition.PhaseCopying, SourceOpen: 2,
			Holes:   &inspect.HoleStatus{Count: 2, Offsets: 7, Last: inspect.Range{From: 3, To: 8}},
			Cuts:    &inspect.CutStatus{Count: 1, Offsets: 4, At: 5, Copied: at, Resumed: &at, Decided: &since},
			GivenUp: []inspect.GivenUp{{Range: inspect.Range{From: 5, To: 9}, Ordered: since}},
			Foreign: []inspect.Range{{From: 1, To: 4}, {From: 6, To: 7}}})
	}
	s.Partitions = append(s.Partitions, inspect.PartitionStatus{Topic: "zone", Phase: partition.PhaseCopying,
		Holes: &inspect.HoleStatus{Count: 1, Offsets: 5, Last: inspect.Range{From: 1, To: 6}}})
	said := func(each bool) string {
		var text []string
		for _, r := range attention(s, each) {
			text = append(text, r.fact+" "+r.remedy)
		}
		return strings.Join(text, "\n")
	}
	short := said(false)
	if n := terminal.Lines(short) + 1; n != 6 {
		t.Errorf("%d lines for five kinds in one topic and one in another:\n%s", n, short)
	}
	says(t, "the summary", short,
		"wide has 200 holes in 100 partitions: at most 700 records were deleted on the source",
		"wide: up to 400 records were lost after they were copied (100 cuts in 100 partitions)",
		"wide: up to 400 records in 100 partitions were given up, by 'replicator resume' or 'replicator failback'",
		"old.wide holds up to 400 records of somebody else on the target, 200 stretches in 100 partitions",
		"wide: transactions are open on the source in 100 partitions; 200 offsets",
		"'replicator status --topic wide' shows each", "zone/0 has 1 hole: at most 5 records")
	says(t, "the details", said(true), "wide/99 has 2 holes",
		"wide/99: an operator has given up source offsets [5,9) on 2026-01-31T06:00:00Z, up to 4 records",
		"old.wide/99 holds records of somebody else on the target at [6,7)")
	var out bytes.Buffer
	if err := Show(&out, []*inspect.FlowStatus{s}); err != nil {
		t.Fatal(err)
	}
	if n := terminal.Lines(out.String()); n > terminal.Height || !strings.HasPrefix(out.String(), "flow old->new") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// says fails the test unless the text has all of these.
func says(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, s := range want {
		if !strings.Contains(text, s) {
			t.Errorf("%s does not say %q:\n%s", what, s, text)
		}
	}
}
