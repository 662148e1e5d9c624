package main

import (
	"os"
	"strings"
	"testing"
)

// What is said of a flow between clusters with prefixes names everything as it is
// called on each side.
func TestPrefixedNamesAreReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	for side, prefix := range map[string]string{"old: {": "p1.", "new: {": "p2."} {
		text = []byte(strings.Replace(string(text), side, side+"prefix: "+prefix+", ", 1))
	}
	if err := os.WriteFile(w.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"p1.orders", "stranger"} {
		w.source.Topic(name, 1)
		w.source.Fill(name, 0, 5)
	}
	w.source.Commit("p1.billing", "p1.orders", 0, 3)
	w.source.Commit("stranger", "p1.orders", 0, 1)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"check"}, []string{"p1.<topic> is called p2.<topic>, group p1.<group> is called p2.<group>",
			"p2.__replicator.old.new on new"}},
		{[]string{"check", "--connect"}, []string{"ledger p2.__replicator.old.new would be created",
			"p1.orders as p2.orders, 1 partition", "1 of 2 follow", "p1.billing as p2.billing, 1 position",
			`not ours: it does not begin with the prefix of old, "p1.": stranger`}},
		{[]string{"run", "--until-caught-up"}, []string{"copied 5 records"}},
		{[]string{"status", "--all"}, []string{"p1.orders/0", "p1.billing as p2.billing"}},
		{[]string{"status", "--json"}, []string{
			`"group": "p1.billing", "target_group": "p2.billing", "target_state": "Empty"`,
			`"topic": "p1.orders", "partition": 0, "target_topic": "p2.orders"`, `"ledger": "p2.__replicator.old.new"`}},
		{[]string{"offsets", "--topic", "p1.orders", "--partition", "0", "--at", "3"},
			[]string{"source p1.orders/0 offset 3 target p2.orders/0 offset 3"}},
	} {
		got := strings.Join(strings.Fields(w.must(c.args...)), " ")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v does not say %q:\n%s", c.args, want, got)
			}
		}
	}
	if got := w.run("offsets", "--topic", "p2.orders", "--partition", "0", "--at", "3"); got.code != exitUsage ||
		!strings.Contains(got.stderr, "--topic p1.orders") {
		t.Errorf("offsets of the target's name: exit %d\n%s", got.code, got.stderr)
	}
	got := w.run(strings.Fields("topic-version --cluster new --topic orders --from v0 --to v1 --partitions 5")...)
	if got.code != exitUsage || !strings.Contains(got.stderr, `cluster new has the prefix "p2."`) {
		t.Errorf("topic-version on a cluster with a prefix: exit %d\n%s", got.code, got.stderr)
	}
	if got := w.topics(w.target); !strings.Contains(got, "p2.orders ") || strings.Contains(got, "stranger") {
		t.Errorf("the target holds\n%s", got)
	}
}
