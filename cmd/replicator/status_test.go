package main

import (
	"context"
	"strings"
	"testing"

	"replicator/pkg/replicate/partition"
)

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
