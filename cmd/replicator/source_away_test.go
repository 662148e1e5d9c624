package main

import (
	"net"
	"strings"
	"testing"
	"time"

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
