package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What an open transaction has written is on the source and not on the target, and a group has yet to read it once it
// is committed: until then nothing is drained, aged out, or near.
func TestOpenTransactionHoldsAnswers(t *testing.T) {
	w := newWorld(t)
	w.topic(w.source, "orders", 1)
	w.plain(w.source, "orders", 0, 5)
	w.commit(w.source, "billing", "orders", 0, 5)
	w.must("run", "--until-caught-up")
	all := [][]string{{"--lag", "0"}, {"--drained"}, {"--aged-out"}}
	for _, asked := range all {
		w.must(append([]string{"wait"}, asked...)...)
	}

	client := w.client(w.source, kgo.TransactionalID("open"), kgo.DefaultProduceTopic("orders"))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(w.ctx, kgo.StringRecord("a"), kgo.StringRecord("b")).FirstErr(); err != nil {
		t.Fatal(err)
	}
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

// A group that reads and has committed nothing is not counted among those that are drained, and named.
func TestDrainedNamesGroupsWithoutPosition(t *testing.T) {
	w := newWorld(t)
	w.topic(w.source, "orders", 1)
	w.plain(w.source, "orders", 0, 5)
	w.commit(w.source, "billing", "orders", 0, 5)
	lazy := w.client(w.source, kgo.ConsumerGroup("lazy"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
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
