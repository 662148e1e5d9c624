package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"replicator/internal/answers"
	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/partition"
)

// status reads the JSON that scripts read.
func (w *world) status() *inspect.FlowStatus {
	w.t.Helper()
	var got answers.Status
	out := w.must("status", "--json")
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Flows) != 1 {
		w.t.Fatalf("status --json: %v, %d flows\n%s", err, len(got.Flows), out)
	}
	return got.Flows[0]
}

// positionOf finds a group's position.
func positionOf(t *testing.T, s *inspect.FlowStatus, group, topic string, partition int32) inspect.PositionStatus {
	t.Helper()
	for _, g := range s.Groups {
		for _, p := range g.Positions {
			if g.Group == group && p.Topic == topic && p.Partition == partition {
				return p
			}
		}
	}
	t.Fatalf("no position of group %s in %s/%d: %+v", group, topic, partition, s.Groups)
	return inspect.PositionStatus{}
}

// partitionOf finds a partition.
func partitionOf(t *testing.T, s *inspect.FlowStatus, topic string, number int32) inspect.PartitionStatus {
	t.Helper()
	for _, p := range s.Partitions {
		if p.Topic == topic && p.Partition == number {
			return p
		}
	}
	t.Fatalf("no partition %s/%d: %+v", topic, number, s.Partitions)
	return inspect.PartitionStatus{}
}

// The whole of what an operator does: look, copy, look again, ask for positions.
func TestCatchUpAndTranslate(t *testing.T) {
	t.Parallel()
	for _, flow := range [][]string{{"delivery: exactly_once"}, {"delivery: at_least_once", "naming: prefix"}} {
		t.Run(flow[0], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, flow...)
			name := func(topic string) string {
				if len(flow) > 1 {
					return "old." + topic
				}
				return topic
			}
			w.source.Topic("orders", 3)
			w.source.Topic("payments", 1)
			w.source.Fill("orders", 0, 120)
			w.source.Fill("orders", 1, 50)
			w.transactions(w.source, "payments", 0, 10, 7) // 8 offsets each; the 3rd, 6th and 9th are aborted
			stands := []struct {
				group, topic string
				partition    int32
				at           int64
				rule         string
			}{
				{"billing", "orders", 0, 100, "in_run"},
				{"billing", "payments", 0, 20, "in_gap"}, // aborted
				{"billing", "orders", 1, 0, "in_run"},
				{"audit", "orders", 1, 50, "at_end"},
				{"audit", "payments", 0, 80, "at_end"},
				{"audit", "orders", 2, 0, "at_end"},
			}
			for _, s := range stands {
				w.source.Commit(s.group, s.topic, s.partition, s.at)
			}

			before := w.status()
			if before.Shards != 0 || before.CaughtUp || before.Behind != 250 {
				t.Errorf("before: %d shards, caught up %v, %d behind, want 0, false, 250 offsets",
					before.Shards, before.CaughtUp, before.Behind)
			}
			if p := partitionOf(t, before, "orders", 0); p.Phase != partition.PhaseNotStarted || p.Progress != nil {
				t.Errorf("before: %+v, want not started", p)
			}

			out := w.must("run", "--until-caught-up")
			if !strings.Contains(out, "caught up: copied 219 records") { // 120 + 50 + 7 times 7
				t.Errorf("run says %q, want 219 records copied", out)
			}
			after := w.status()
			if !after.CaughtUp || after.Behind != 0 || after.Stopped != 0 || after.Shards != 2 || len(after.Problems) != 0 {
				t.Errorf("after: %+v, want caught up without problems", after)
			}
			for _, s := range stands {
				p := positionOf(t, after, s.group, s.topic, s.partition)
				if p.State != "right" || p.Rule != s.rule || p.Target == nil || p.Translation == nil ||
					*p.Target != *p.Translation {
					t.Errorf("%s in %s/%d at %d: %+v, want it right by rule %s", s.group, s.topic, s.partition, s.at, p, s.rule)
					continue
				}
				want := w.next(w.source, s.topic, s.partition, s.at)
				got := w.next(w.target, name(s.topic), s.partition, int64(*p.Target))
				if got != want {
					t.Errorf("%s in %s/%d reads %q next on the target, want %q", s.group, s.topic, s.partition, got, want)
				}
				if s.rule == "at_end" && (p.SourceLag != 0 || p.TargetLag == nil || *p.TargetLag != 0) {
					t.Errorf("%s has caught up in %s/%d, its lag is not 0: %+v", s.group, s.topic, s.partition, p)
				}
			}
			w.translations(name("payments"))
			if out := w.must("check", "--connect"); !strings.Contains(out, "nothing is in the way") ||
				!strings.Contains(out, "as is     orders") {
				t.Errorf("check --connect after the copy:\n%s", out)
			}
		})
	}
}

// translations asks for single positions of payments, whose target topic has the given name.
func (w *world) translations(target string) {
	w.t.Helper()
	for _, c := range []struct {
		args, source, rule string
		leads              string // to this record
		back               int64
	}{
		{"--at 9", "payments/0 offset 9", "in_run", "1.1", 9},
		{"--at 7", "payments/0 offset 7", "in_gap", "1.0", 8}, // a marker
	} {
		out := w.must(append([]string{"offsets", "--topic", "payments", "--partition", "0"}, strings.Fields(c.args)...)...)
		lines := strings.Split(out, "\n")
		if lines[1] != "source    "+c.source || !strings.HasPrefix(lines[3], "rule      "+c.rule+":") {
			w.t.Fatalf("offsets %s:\n%s\nwant %s by %s", c.args, out, c.source, c.rule)
		}
		var there, back int64
		if _, err := fmt.Sscanf(lines[2], "target    "+target+"/0 offset %d", &there); err != nil {
			w.t.Fatalf("offsets %s: %v\n%s", c.args, err, out)
		}
		if got := w.next(w.target, target, 0, there); got != c.leads {
			w.t.Errorf("offsets %s leads to %q, want %q", c.args, got, c.leads)
		}
		out = w.must("offsets", "--topic", "payments", "--partition", "0", "--at", fmt.Sprint(there), "--inverse")
		if _, err := fmt.Sscanf(strings.Split(out, "\n")[2], "source    payments/0 offset %d", &back); err != nil {
			w.t.Fatalf("offsets --inverse of %d: %v\n%s", there, err, out)
		}
		if back != c.back {
			w.t.Errorf("offsets %s and back is %d, want %d", c.args, back, c.back)
		}
	}
	beyond := w.run("offsets", "--topic", "payments", "--partition", "0", "--at", "81")
	if beyond.code != exitFailed || !strings.Contains(beyond.stderr, "beyond the end of the log there, which is 80") {
		w.t.Errorf("offsets --at 81 of 80: exit %d, %s", beyond.code, beyond.stderr)
	}
}

// One record that somebody else wrote to an empty target partition is no marker of
// ours: a group at its beginning must not be moved past it.
func TestLoneForeignRecordIsNotPassed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("quiet", 1)
	w.source.Commit("audit", "quiet", 0, 0)
	w.must("run", "--until-caught-up")
	w.target.Fill("quiet", 0, 1)
	w.must("run", "--until-caught-up")
	p := positionOf(t, w.status(), "audit", "quiet", 0)
	if p.Target == nil || *p.Target != 0 || p.Translation == nil || *p.Translation != 0 {
		t.Errorf("audit stands before a foreign record at 0: %+v, want target and translation 0", p)
	}
}

// What is in the way of one topic is told with its remedy, and the others are copied.
func TestStopsAreReportedWithRemedies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Topic("taken", 1)
	w.source.Topic("wide", 2)
	w.target.Topic("taken", 1)
	w.target.Topic("wide", 4)
	w.source.Fill("orders", 0, 10)
	w.source.Fill("taken", 0, 10)
	w.target.Fill("taken", 0, 1)
	inTheWay := []string{
		"taken/0: target partition taken/0 holds a record at offset 0 that this flow did not write",
		"topic wide has 4 partitions on cluster new and 2 on cluster old",
		"remedy: ",
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"check", "--connect"}, append(inTheWay, "create    orders, 1 partition")},
		{[]string{"run", "--until-caught-up"}, inTheWay},
	} {
		got := w.run(c.args...)
		for _, want := range c.want {
			if !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("%v does not say %q:\n%s%s", c.args, want, got.stdout, got.stderr)
			}
		}
		if got.code != exitFailed {
			t.Errorf("%v: exit %d, want %d", c.args, got.code, exitFailed)
		}
	}
	s := w.status()
	for topic, want := range map[string]partition.Phase{
		"orders": partition.PhaseIdle, "taken": partition.PhaseStopped, "wide": partition.PhaseStopped,
	} {
		p := partitionOf(t, s, topic, 0)
		told := p.Reason != "" && p.Remedy != "" && p.StoppedSince != nil
		if p.Phase != want || (want == partition.PhaseStopped) != told {
			t.Errorf("%s: %+v, want %s", topic, p, want)
		}
	}
	if s.CaughtUp || s.Stopped != 3 {
		t.Errorf("caught up %v with %d stopped, want false with 3", s.CaughtUp, s.Stopped)
	}
	table := w.must("status", "--all")
	for _, want := range []string{"! wide/0, 1 stopped since", "3 STOPPED", "NO REPLICA RUNS"} {
		if !strings.Contains(table, want) {
			t.Errorf("status does not say %q:\n%s", want, table)
		}
	}
	for _, line := range strings.Split(table, "\n") {
		if n := len([]rune(line)); n > terminal.Width {
			t.Errorf("a line of %d characters in status: %s", n, line)
		}
	}
}

func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 3)
	w.source.Topic("grown", 4)
	w.target.Topic("grown", 2)
	w.source.Fill("orders", 0, 5)
	w.source.Commit("billing", "orders", 0, 3)
	before := w.topics(w.source) + w.topics(w.target)
	out := w.must("check", "--connect")
	for _, want := range []string{
		"cluster id source-id", "cluster id target-id", "ledger    __replicator.old.new would be created with 2 shards",
		"create    orders, 3 partitions, replication factor 1, at most 5 records", "alter     grown, partitions 2 -> 4",
		"groups    1 of 1 follow", "nothing is in the way",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("check --connect does not say %q:\n%s", want, out)
		}
	}
	if after := w.topics(w.source) + w.topics(w.target); after != before {
		t.Errorf("check --connect changed topics:\n%s\nwas\n%s", after, before)
	}
	groups, err := w.target.Admin().ListGroups(w.ctx)
	if err != nil || len(groups) != 0 {
		t.Errorf("check --connect left groups on the target: %v, %v", groups, err)
	}
}
