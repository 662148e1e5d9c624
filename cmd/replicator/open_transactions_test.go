package main

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What an open transaction has written is on the source and not on the target, and a group has yet to read it once it
// is committed: until then nothing is drained, aged out, or near.
func TestOpenTransactionHoldsAnswers(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 5)
	w.source.Commit("billing", "orders", 0, 5)
	w.must("run", "--until-caught-up")
	all := [][]string{{"--lag", "0"}, {"--drained"}, {"--aged-out"}}
	for _, asked := range all {
		w.must(append([]string{"wait"}, asked...)...)
	}

	client := w.open("orders", "a", "b")
	for _, asked := range all {
		got := w.run(append([]string{"wait", "--timeout", "1s"}, asked...)...)
		if got.code != exitFailed {
			t.Errorf("wait %v: exit %d", asked, got.code)
		}
		says(t, asked[0], got.stderr, "not in time", "2 offsets wait for its end", "remedy:")
	}
	says(t, "the table", w.must("drained"), "group billing: has read what is there, but a transaction is open",
		"partition 0 has an open transaction", "drained: false, aged out: false")
	w.must("wait", "--lag", "2")

	if err := client.EndTransaction(w.ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	w.must("wait", "--drained", "--aged-out")
}

// open begins a transaction on the source and writes values in it.
func (w *world) open(topic string, values ...string) *kgo.Client {
	w.t.Helper()
	client := w.source.Writer(kgo.TransactionalID("open"), kgo.DefaultProduceTopic(topic))
	if err := client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	for _, value := range values {
		if err := client.ProduceSync(w.ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	return client
}

// A one-off copy is about all that was on the source at its start, what an open transaction holds back included.
func TestCatchUpWaitsForOpenTransactions(t *testing.T) {
	t.Parallel()
	for _, lane := range []string{"batch", "record"} {
		t.Run(lane, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "lane: "+lane)
			w.source.Topic("orders", 1)
			w.source.Fill("orders", 0, 5)
			client := w.open("orders", "a", "b")
			w.source.Fill("orders", 0, 1)

			ctx, stop := context.WithCancel(w.ctx)
			defer stop()
			var stdout, stderr output
			code := make(chan int, 1)
			go func() {
				code <- execute(ctx, []string{"run", "-c", w.config, "--until-caught-up"}, &stdout, &stderr)
			}()
			const named = "orders/0 has an open transaction: 3 offsets wait for its end"
			w.await("the log", func() bool { return strings.Contains(stderr.String(), named) || len(code) > 0 })
			stop()
			if got := <-code; got != exitFailed {
				t.Fatalf("exit %d: %s%s", got, stdout.String(), stderr.String())
			}
			says(t, "the interrupted copy", stderr.String(), "waiting for transactions that were open",
				"interrupted before it had caught up: "+named, "remedy: ", "'replicator plan'")

			ended := make(chan outcome, 1)
			go func() { ended <- w.run("run", "--until-caught-up") }()
			w.await("a replica", func() bool { s := w.status(); return *s.Replicas == 1 || len(ended) > 0 })
			if err := client.EndTransaction(w.ctx, kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
			if got := <-ended; got.code != exitDone || !strings.Contains(got.stdout, "copied 3 records") {
				t.Errorf("after its end: exit %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			w.must("wait", "--lag", "0")
		})
	}
}

// A group that reads and has committed nothing is not counted among those that are drained, and named.
func TestDrainedNamesGroupsWithoutPosition(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 5)
	w.source.Commit("billing", "orders", 0, 5)
	lazy := w.source.Client(kgo.ConsumerGroup("lazy"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
	if lazy.PollFetches(w.ctx).Empty() {
		t.Fatal("the group reads nothing")
	}
	const named = "it has committed no position in a topic that the flow selects: lazy"
	fields := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	says(t, "the table", fields(w.must("drained")), named, "drained: true")
	says(t, "waiting", fields(w.run("wait", "--drained").stderr), named)
	says(t, "the answer", w.must("wait", "--drained", "--json"), `"left_out"`, `"lazy"`)
	if other := w.must("drained", "--groups", "billing"); strings.Contains(other, "lazy") {
		t.Errorf("a group that was not asked for is named:\n%s", other)
	}
}

// A group that reads and has committed nothing cannot be moved: a cutover waits until it has stopped, and names it in
// the plan and at the end.
func TestCutoverNamesGroupsWithoutPosition(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 5)
	w.source.Commit("billing", "orders", 0, 5)
	w.must("run", "--until-caught-up")
	lazy := w.source.Client(kgo.ConsumerGroup("lazy"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
	if lazy.PollFetches(w.ctx).Empty() {
		t.Fatal("the group reads nothing")
	}
	const named = "it has committed no position in a topic that the flow selects: lazy"
	fields := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	plan := fields(w.must("cutover", "--dry-run", "--silent-for", "100ms"))
	says(t, "the plan", plan, "idle open", "consumers are at work: lazy (1 members, without a position)", named)
	says(t, "the plan as JSON", w.must("cutover", "--dry-run", "--json", "--silent-for", "100ms"), `"left_out"`, `"lazy"`)
	others := w.must("cutover", "--dry-run", "--groups", "billing", "--silent-for", "100ms")
	if strings.Contains(others, "lazy") {
		t.Errorf("a group that was not asked for is named:\n%s", others)
	}
	forced := w.run("cutover", "--yes", "--json", "--force", "--timeout", "1s", "--silent-for", "100ms")
	says(t, "the end", forced.stdout, `"left_out"`, "group lazy is at work on old (1 members) and has committed no "+
		"position: it is not moved, and its auto.offset.reset decides what it reads on new")
	w.must("cutover", "--undo", "--yes")
	lazy.Close()
	says(t, "the end without it", fields(w.must("cutover", "--yes", "--silent-for", "100ms")), "may start on new")
}
