package main

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/internal/answers"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/snapshot"
)

// What ledger and target know is told while the source is silent, soon, and never as if all were well.
func TestVerbsWithoutTheSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 5)
	w.source.Commit("readers", "orders", 0, 3)
	w.must("run", "--until-caught-up")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dead, mute := w.write("127.0.0.1:1", w.target.Address()), w.write(silent.Addr().String(), w.target.Address())
	for _, c := range []struct {
		config string
		line   string
		code   int
		says   []string
	}{
		{mute, "status", exitFailed, []string{"SOURCE AWAY", "the broker takes connections, and does not answer",
			"carried over", "orders/0 ? 5 ?"}},
		{dead, "status --topic orders --json", exitFailed, []string{`"source_away": true`, `"caught_up": false`,
			`"progress": 5`, `"state": "carried_over"`}},
		{dead, "verify", exitFailed, []string{"verdict incomplete", "nothing is compared: copied up to source offset 5",
			"group readers: where it stands on the source is not known"}},
		{dead, "offsets --topic orders --partition 0 --at 3", exitDone, []string{"target orders/0 offset 3",
			"where the source ends is not known"}},
		{dead, "offsets --topic orders --partition 0 --at 9", exitFailed,
			[]string{"beyond what has been copied: progress is 5", "connection refused"}},
		{dead, "offsets --topic users --partition 0 --at 9", exitFailed, []string{"the ledger knows nothing of topic users"}},
	} {
		w.config = c.config
		begun := time.Now()
		got := w.run(strings.Fields(c.line)...)
		took := time.Since(begun)
		said := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
		for _, want := range c.says {
			if !strings.Contains(said, want) {
				t.Errorf("%s does not say %q:\n%s%s", c.line, want, got.stdout, got.stderr)
			}
		}
		if got.code != c.code || took > 3*snapshot.Patience {
			t.Errorf("%s: exit %d after %s, want %d\n%s%s", c.line, got.code, took, c.code, got.stdout, got.stderr)
		}
	}
}

// bothWays adds a flow in the opposite direction to the configuration.
func (w *world) bothWays() {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	back := "  - {from: new, to: old, shards: 2, commit_interval: 50ms, sync_topic_configs: false}\nhttp:"
	both := strings.Replace(string(text), "http:", back, 1)
	if err := os.WriteFile(w.config, []byte(both), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// Of a flow to a dead site its source tells what it holds, and what to do; the flow from there is told by ledger and
// target.
func TestStatusOfAPairWithADeadSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 5)
	w.must("run", "--until-caught-up")
	w.bothWays()
	w.must("run", "--until-caught-up")
	w.target.Fill("orders", 0, 3)
	w.source.Close()
	got := w.run("status")
	said := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
	for _, want := range []string{
		"flow new->old: cluster old (", "connection refused; it is the target, and keeps the ledger: how far it has copied " +
			"is not known. new holds up to 9 records of its topics",
		"Once old answers the flow goes on from its ledger: until then new has to keep its records",
		"SOURCE AWAY", "orders/0 ? 5 ?",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s%s", want, got.stdout, got.stderr)
		}
	}
	var seen answers.Status
	asJSON := w.run("status", "--json")
	if err := json.Unmarshal([]byte(asJSON.stdout), &seen); err != nil {
		t.Fatal(err)
	}
	if got.code != exitFailed || asJSON.code != exitFailed || len(seen.Flows) != 1 || len(seen.Failed) != 2 ||
		seen.Failed[0].Flow != "old->new" || seen.Failed[1].Flow != "new->old" || seen.Failed[1].Remedy == "" {
		t.Errorf("exit %d and %d: %d flows, failed %+v", got.code, asJSON.code, len(seen.Flows), seen.Failed)
	}
	w.target.Close()
	got = w.run("status", "--flow", "new->old")
	if got.code != exitFailed || !strings.Contains(got.stderr, "the other cluster does not answer either") {
		t.Errorf("with both dead: exit %d: %s", got.code, got.stderr)
	}
}

// A source that answers in part is not looked at: status tells what it knows, and fails.
func TestStatusFailsWithHalfASource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var doors []kafkatest.Door
	w.source, doors = kafkatest.Brokers(t, 2, kfake.ClusterID("source-id"))
	w.config = w.write(w.source.Address(), w.target.Address())
	w.source.Topic("orders", 2)
	for n := range int32(2) {
		if err := w.source.MoveTopicPartition("orders", n, n); err != nil {
			t.Fatal(err)
		}
		w.source.Fill("orders", n, 5)
	}
	w.must("run", "--until-caught-up")
	w.must("status")
	doors[1].Shut()
	got := w.run("status")
	said := strings.Join(strings.Fields(got.stderr), " ")
	if got.code != exitFailed || !strings.Contains(said, "of 1 of 2 partitions it does not tell where they end") ||
		!strings.Contains(said, "what was last seen: orders/1 remedy: ") {
		t.Errorf("exit %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
}
