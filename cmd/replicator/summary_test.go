package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

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
	if err := showFlows(&out, []*inspect.FlowStatus{crowded("old->new")}); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if n := lines(text); n > tableHeight {
		t.Errorf("%d lines, want %d at most", n, tableHeight)
	}
	for _, line := range strings.Split(text, "\n") {
		if n := len([]rune(line)); n > tableWidth {
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
	if err := showFlows(&out, []*inspect.FlowStatus{crowded("old->new"), crowded("a->b")}); err != nil {
		t.Fatal(err)
	}
	top := strings.Join(strings.SplitN(out.String(), "\n", 6)[:5], "\n")
	if !strings.Contains(top, "flow old->new") || !strings.Contains(top, "flow a->b") {
		t.Errorf("not both flows come first:\n%s", out.String())
	}
	if n := lines(out.String()); n > 2*tableHeight {
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
	if n := lines(short) + 1; n != 6 {
		t.Errorf("%d lines for five kinds in one topic and one in another:\n%s", n, short)
	}
	says(t, "the summary", short,
		"wide has 200 holes in 100 partitions: at most 700 records were deleted on the source",
		"wide: up to 400 records were lost after they were copied (100 cuts in 100 partitions)",
		"wide: 'replicator resume' has given up up to 400 records in 100 partitions",
		"old.wide holds up to 400 records of somebody else on the target, 200 stretches in 100 partitions",
		"wide: transactions are open on the source in 100 partitions; 200 offsets",
		"'replicator status --topic wide' shows each", "zone/0 has 1 hole: at most 5 records")
	says(t, "the details", said(true), "wide/99 has 2 holes",
		"wide/99: 'replicator resume' has given up source offsets [5,9) on 2026-01-31T06:00:00Z, up to 4 records",
		"old.wide/99 holds records of somebody else on the target at [6,7)")
	var out bytes.Buffer
	if err := showFlows(&out, []*inspect.FlowStatus{s}); err != nil {
		t.Fatal(err)
	}
	if n := lines(out.String()); n > tableHeight || !strings.HasPrefix(out.String(), "flow old->new") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// A partition is copying while a replica runs, and idle when none does; a part can be asked for.
func TestStatusOfAPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 2)
	w.source.Topic("payments", 1)
	w.source.Fill("orders", 0, 20)
	w.source.Fill("payments", 0, 10)
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	var log output
	code := make(chan int, 1)
	go func() { code <- execute(ctx, []string{"run", "-c", w.config}, &log, &log) }()
	w.await("the copy", func() bool {
		s := w.status()
		return s.CaughtUp && partitionOf(t, s, "orders", 0).Phase == partition.PhaseCopying && len(s.Members) == 1 &&
			len(s.Members[0].Shards) == 2 && len(s.Unowned) == 0
	})
	stop()
	<-code
	w.source.Fill("orders", 1, 5)
	s := w.status()
	if p := partitionOf(t, s, "orders", 0); p.Phase != partition.PhaseIdle {
		t.Errorf("without a replica orders/0 is %s, want %s", p.Phase, partition.PhaseIdle)
	}
	if len(s.Unowned) != 2 || s.CaughtUp {
		t.Errorf("shards without a replica: %v, caught up: %v", s.Unowned, s.CaughtUp)
	}
	for _, c := range []struct {
		args      []string
		has, lack []string
	}{
		{[]string{"--topic", "pay.*"}, []string{"payments/0"}, []string{"orders/"}},
		{[]string{"--behind"}, []string{"orders/1"}, []string{"orders/0", "payments/"}},
		{[]string{"--behind", "--topic", "payments"}, []string{"no partition is behind"}, []string{"orders/1", "payments/0"}},
		{[]string{"--json", "--topic", "payments"}, []string{`"payments"`, `"records_behind": 5`}, []string{`"orders"`}},
	} {
		out := w.must(append([]string{"status"}, c.args...)...)
		for _, want := range c.has {
			if !strings.Contains(out, want) {
				t.Errorf("%v does not show %q:\n%s", c.args, want, out)
			}
		}
		for _, not := range c.lack {
			if strings.Contains(out, not) {
				t.Errorf("%v shows %q:\n%s", c.args, not, out)
			}
		}
	}
	if got := w.run("status", "--topic", "oders"); got.code != exitUsage || !strings.Contains(got.stderr, "orders") {
		t.Errorf("a pattern that matches nothing: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// The ledger is deleted under a running daemon: that is not a flow that has never run.
func TestStatusWithoutALedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 2)
	w.source.Fill("orders", 0, 20)
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	var log output
	code := make(chan int, 1)
	go func() { code <- execute(ctx, []string{"run", "-c", w.config}, &log, &log) }()
	defer func() { stop(); <-code }()
	w.await("the copy", func() bool { return w.status().CaughtUp })
	if _, err := w.target.Admin().DeleteTopics(w.ctx, ledgerTopic); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(w.must("status")), " ")
	if !strings.Contains(text, "the ledger topic "+ledgerTopic+" was deleted on cluster new while the flow runs") ||
		strings.Contains(text, "never run") {
		t.Errorf("status does not say that the ledger was deleted:\n%s", text)
	}
	for _, verb := range []string{"verify", "drained", "offsets --topic orders --partition 0 --at 3",
		"wait --lag 0 --timeout 20s", "wait --drained --timeout 20s", "cutover --yes", "rollback --yes", "resume --dry-run",
		"check --connect"} {
		got := w.run(strings.Fields(verb)...)
		if got.code != exitFailed || strings.Contains(got.stdout+got.stderr, "never run") ||
			!strings.Contains(got.stderr, "the ledger topic "+ledgerTopic+" was deleted on cluster new while the flow runs") {
			t.Errorf("%s: exit %d\n%s%s", verb, got.code, got.stdout, got.stderr)
		}
	}
	w.source.Fill("orders", 0, 5)
	w.await("the daemon says it too", func() bool {
		return strings.Contains(log.String(), "the ledger topic "+ledgerTopic+" was deleted")
	})
}
