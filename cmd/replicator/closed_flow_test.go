package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// After a rollback the flow that was its way back is closed, and the rollback is done: each verb that is given that
// flow says so, and none begins anything.
func TestFlowIsClosedAfterItsRollback(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Commit("billing", "orders", 0, 4)
	w.must("run", "--until-caught-up")
	w.must("cutover", "--yes", "--silent-for", "100ms")
	w.target.Fill("orders", 0, 5)
	w.must("rollback", "--yes", "--silent-for", "100ms")

	w.reverse()
	const done = "flow new->old is closed: the rollback of flow old->new, whose way back it was, was done at "
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	status := words(w.must("status"))
	says(t, "status", status, done, "flow old->new is the one that may run", "a rollback of a later cutover",
		"the way back of cutover ")
	says(t, "status --json", w.must("status", "--json"), `"closed_by": "old->new"`, `"rolled_back_at": "`)
	for _, line := range []string{
		"drained", "wait --lag 0 --timeout 20s", "wait --drained --timeout 20s", "cutover --dry-run", "ledger",
		"resume --dry-run", "orphans",
	} {
		got := w.run(strings.Fields(line)...)
		said := words(got.stderr)
		if got.code != exitFailed || strings.Contains(said, "not in time") || strings.Contains(said, "under way") {
			t.Errorf("%s: exit %d, %s", line, got.code, got.stderr)
		}
		says(t, line, said, done, "remedy:", "flow old->new is the one that may run")
	}
	for _, line := range []string{"rollback --dry-run", "rollback --yes"} {
		got := w.run(strings.Fields(line)...)
		if got.code != exitFailed {
			t.Errorf("%s: exit %d, %s", line, got.code, got.stdout)
		}
		says(t, line, words(got.stderr), "flow new->old has no cutover of its own: "+done, "remedy:")
	}
}

// reverse makes the configuration that of the opposite flow.
func (w *world) reverse() {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	turned := strings.NewReplacer("from: old", "from: new", "to: new", "to: old").Replace(string(text))
	w.config = filepath.Join(w.t.TempDir(), "reverse.yaml")
	if err := os.WriteFile(w.config, []byte(turned), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// Without a ledger of the flow that is named, verbs that go by it say so, and whether its clusters look exchanged.
func TestExchangedClustersAreReported(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	const none = "flow old->new has never run: there is no ledger __replicator.old.new on cluster new"
	says(t, "ledger", w.must("ledger"), none+"\n", "remedy: there is nothing to do")
	w.must("run", "--until-caught-up")
	right := w.config
	for what, exchange := range map[string]func(){
		"from and to": w.reverse,
		"addresses":   func() { w.config = w.write(w.target.Address(), w.source.Address()) },
	} {
		w.config = right
		exchange()
		for _, line := range []string{"ledger", "resume --dry-run", "cutover --dry-run", "rollback --dry-run"} {
			got := w.run(strings.Fields(line)...)
			if got.code != exitFailed {
				t.Errorf("%s, %s exchanged: exit %d", line, what, got.code)
			}
			says(t, line+", "+what+" exchanged", got.stdout+got.stderr, "has never run: there is no ledger",
				"; its source, cluster ", "holds ledger __replicator.old.new", "xchanged", "remedy:")
		}
	}
}
