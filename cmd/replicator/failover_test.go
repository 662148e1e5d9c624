package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/wait"
)

// A dead source is given up from the command line; whoever is asked for the flow afterwards says so, with what to do.
func TestFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Commit("billing", "orders", 0, 4)
	w.source.Commit("audit", "orders", 0, 10)
	w.must("run", "--until-caught-up")
	answer := func(code int, line string) (found any) {
		t.Helper()
		got := w.run(strings.Fields(line)...)
		if err := json.Unmarshal([]byte(got.stdout), &found); err != nil || got.code != code {
			t.Fatalf("%s: exit %d, want %d with JSON: %v\n%s%s", line, got.code, code, err, got.stdout, got.stderr)
		}
		return found
	}
	fields := func(line string, found any, want map[string]any) {
		t.Helper()
		for path, value := range want {
			if is := at(found, path); is != value {
				t.Errorf("%s: %s is %v, want %v in %v", line, path, is, value, found)
			}
		}
	}

	stop := w.keepsWriting("orders")
	got := w.run("failover", "--yes")
	written := stop()
	said := strings.Join(strings.Fields(got.stderr), " ")
	if got.code != exitFailed {
		t.Errorf("of a source that lives: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	says(t, "failover of a source that lives", said, "old answers, and somebody writes there: orders",
		"remedy: stop them and use 'replicator cutover'", "--source-is-dead")
	line := "failover --dry-run --source-is-dead --json"
	fields(line, answer(exitDone, line), map[string]any{"done": false, "record.source": "whole",
		"record.records_not_copied": float64(written),
		"topics.0.seen_ends.0":      float64(10 + written), "steps.1.step": "closed", "steps.1.done": false})

	w.source.Close()
	line = "failover --dry-run --json"
	fields(line, answer(exitDone, line), map[string]any{"done": false, "record.source": "silent",
		"record.ends_unknown": 1.0, "steps.0.done": true, "groups.1.positions.0.source_offset": 4.0})
	line = "failover --yes --groups bil.* --json"
	fields(line, answer(exitDone, line), map[string]any{"done": true, "on": "new", "record.state": "done",
		"record.groups": 2.0, "groups.0.group": "billing", "groups.0.positions.0.target_lag": 7.0,
		"topics.0.progress.0": 10.0})
	fields("failover again", answer(exitDone, "failover --json --dry-run"), map[string]any{"done": true, "before": true,
		"groups.1.group": "billing"})
	says(t, "failover again", w.must("failover"), "nothing is to be done: flow old->new failed over before",
		"old does not answer: ", "done at ", "applications may start on new")
	got = w.run("status")
	says(t, "status", strings.Join(strings.Fields(got.stdout+got.stderr), " "),
		"flow old->new is closed: it failed over at ", "'replicator failback'")
	says(t, "history", w.must("history"), "  failover: ", "done with 2 groups, 1 partitions; the source answered: silent")
	got = w.run("run")
	says(t, "run", strings.Join(strings.Fields(got.stderr), " "), "flow old->new is closed: it failed over at ",
		"remedy: ", "'replicator failback'")
}

// keepsWriting writes to a topic of the source until it is told to stop, and answers how many records there are then.
func (w *world) keepsWriting(topic string) (stop func() (written int)) {
	ctx, cancel := context.WithCancel(w.ctx)
	begun, ended := make(chan struct{}), make(chan int)
	go func() {
		client := w.source.Writer()
		defer client.Close()
		n := 0
		for ctx.Err() == nil {
			if client.ProduceSync(w.ctx, &kgo.Record{Topic: topic, Value: []byte("late")}).FirstErr() != nil {
				break
			}
			if n++; n == 1 {
				close(begun)
			}
			if wait.Pause(ctx, 10*time.Millisecond) != nil {
				break
			}
		}
		ended <- n
	}()
	<-begun
	return func() int {
		cancel()
		return <-ended
	}
}

// Verbs that need both clusters say of a flow that failed over what to do, once its source is back.
func TestFlowIsClosedAfterItsFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.must("run", "--until-caught-up")
	w.must("failover", "--yes", "--source-is-dead")
	const closed = "flow old->new is closed: it failed over at "
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	says(t, "status", words(w.must("status")), closed, "'replicator failback'")
	says(t, "status --json", w.must("status", "--json"), `"failover": {`)
	for _, line := range []string{"cutover --yes", "rollback --yes", "run", "run --until-caught-up", "drained",
		"wait --lag 0 --timeout 20s"} {
		got := w.run(strings.Fields(line)...)
		if got.code != exitFailed || strings.Contains(got.stderr, "not in time") {
			t.Errorf("%s: exit %d, %s", line, got.code, got.stderr)
		}
		says(t, line, words(got.stderr), closed, "remedy:", "'replicator failback'")
	}
}

// A flow that failed over is opened again, once it is said what becomes of what was never copied.
func TestFailback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.must("run", "--until-caught-up")
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	got := w.run("failback", "--dry-run")
	says(t, "before a failover", words(got.stderr), "flow old->new has no record of a failover", "remedy:")
	w.must("failover", "--yes", "--source-is-dead")
	w.source.Fill("orders", 0, 3)
	for line, code := range map[string]int{"failback --yes": exitFailed, "failback --yes --orphans some": exitUsage,
		"failback --yes --orphans export": exitUsage, "failback --yes --orphans append --export x": exitUsage,
		"failback --json": exitUsage} {
		if got := w.run(strings.Fields(line)...); got.code != code || !strings.Contains(got.stderr, "remedy:") {
			t.Errorf("%s: exit %d, want %d\n%s%s", line, got.code, code, got.stdout, got.stderr)
		}
	}
	got = w.run("failback", "--dry-run", "--json")
	says(t, "failback --dry-run --json", got.stdout, `"done": false`, `"records": 3`)
	says(t, "failback --dry-run", words(got.stderr), "old holds 3 records that were never copied", "--orphans append")
	says(t, "failback", words(w.must("failback", "--yes", "--orphans", "append")), "flow old->new is open again since ",
		"the 3 records of old that were never copied come to new")
	says(t, "failback again", w.must("failback", "--json", "--yes"), `"before": true`, `"state": "failed_back"`)
	w.must("run", "--until-caught-up")
	if n := len(w.target.Read("orders", 0, 0)); n != 13 {
		t.Errorf("%d records are on the target, want 13", n)
	}
}

// With --return both flows run in the command, the opposite one made for it, and the applications are handed over.
func TestFailbackReturns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Commit("billing", "orders", 0, 7)
	w.must("run", "--until-caught-up")
	w.source.Fill("orders", 0, 4)
	w.must("failover", "--yes", "--source-is-dead")
	w.target.Fill("orders", 0, 5)
	w.target.Commit("billing", "orders", 0, 10)
	says(t, "a plan", w.must("failback", "--return", "--dry-run", "--orphans", "append"), "1. begun     open",
		"2. silent    open", "3. carried   open")
	says(t, "failback", w.must("failback", "--return", "--orphans", "append", "--silent-for", "100ms", "--yes"),
		"flow old->new is open again", "applications may start on old, where 1 partitions and 1 groups stand")
	says(t, "failback again", w.must("failback", "--return", "--yes", "--json"), `"before": true`, `"returned": "`)
	if a, b := len(w.source.Read("orders", 0, 0)), len(w.target.Read("orders", 0, 0)); a != 19 || b != 19 {
		t.Errorf("the sides hold %d and %d records, want 19", a, b)
	}
	w.must("run", "--until-caught-up")
}
