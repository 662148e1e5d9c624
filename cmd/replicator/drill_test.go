package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/answers"
	"replicator/pkg/operate/drill"
)

// A drill says whether a failover would do, in words and in a report that can be signed and checked.
func TestDrill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 20)
	w.source.Commit("billing", "orders", 0, 7)
	if got := w.run("drill"); got.code != exitFailed || !strings.Contains(got.stderr, "has never run") ||
		!strings.Contains(got.stderr, "\nremedy: ") {
		t.Errorf("of a flow that has never run: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	w.must("run", "--until-caught-up")
	private, public := keyPair(t)
	path := filepath.Join(t.TempDir(), "drill.json")
	before := w.topics(w.target)
	out := w.must("drill", "--report", path, "--sign", private)
	for _, want := range []string{"step        fence    failover", "groups      1 of 1 positions stand exactly",
		"compared    the last records of each partition: 5 are alike", "rpo         0.000 s: up to 0 records",
		"rto         ", "verdict     ready"} {
		if !strings.Contains(out, want) {
			t.Errorf("drill does not say %q:\n%s", want, out)
		}
	}
	if after := w.topics(w.target); after != before {
		t.Errorf("the target was\n%s\nand is\n%s", before, after)
	}
	got := command(w.ctx, "report", "verify", path, "--key", public)
	if got.code != exitDone || !strings.Contains(got.stdout, "it says     flow old->new: ready") {
		t.Errorf("the report: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}

	w.source.Fill("orders", 0, 3)
	w.source.Commit("billing", "orders", 0, 9)
	got = w.run("drill", "--in-flight", "100ms", "--report", path, "--sign", private)
	for _, want := range []string{"orders/0: no replica copies it: up to 3 records would be lost",
		"group billing in orders/0: it stands at 7 and ought to at 9: 2 records would be read again",
		"rpo ", ": up to 3 records are not copied", "verdict     not ready"} {
		if said := strings.Join(strings.Fields(got.stdout), " "); got.code != exitFailed ||
			!strings.Contains(said, strings.Join(strings.Fields(want), " ")) {
			t.Errorf("exit %d without %q:\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
	if !strings.Contains(got.stderr, "error: flow old->new is not ready for a failover: ") ||
		!strings.Contains(got.stderr, "\nremedy: start a replica") {
		t.Errorf("the error:\n%s", got.stderr)
	}
	var all answers.Rehearsed
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all.Drills) != 1 || all.Drills[0].Verdict != drill.NotReady || all.Drills[0].RPO.Records != 3 ||
		*all.Drills[0].Groups[0].ReadAgain != 2 || all.SignedBy == "" {
		t.Errorf("the report: %v\n%s", err, text)
	}
	for args, want := range map[string]string{
		"drill --in-flight -1s": "is no time that could pass", "drill --sign " + private: "--sign signs the file of --report",
	} {
		if got := w.run(strings.Fields(args)...); got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: exit %d\n%s", args, got.code, got.stderr)
		}
	}
}

// A report of another kind is not replaced, and neither is a signed one by one that is not.
func TestReportsOfDrillsReplaceTheirLike(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 3)
	w.must("run", "--until-caught-up")
	private, _ := keyPair(t)
	proof, rehearsed := filepath.Join(t.TempDir(), "proof.json"), filepath.Join(t.TempDir(), "drill.json")
	w.must("verify", "--report", proof)
	w.must("drill", "--report", rehearsed)
	w.must("drill", "--report", rehearsed, "--sign", private)
	for _, c := range []struct{ line, want string }{
		{"drill --report " + proof, "is no report of drill"},
		{"verify --report " + rehearsed, "is no report of verify"},
		{"drill --report " + rehearsed, "is kept: it is signed, and this one would not be"},
	} {
		got := w.run(strings.Fields(c.line)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, c.want) || got.stdout != "" {
			t.Errorf("%s: exit %d\n%s%s", c.line, got.code, got.stdout, got.stderr)
		}
	}
	w.must("drill", "--report", rehearsed, "--overwrite")
}

// A drill needs what a flow needs, and the rights on its topic; each that is missing is named, and nothing is left.
func TestDrillRights(t *testing.T) {
	t.Parallel()
	const topic = "__replicator-drill.old.new."
	all := everything()
	for _, o := range []kmsg.ACLOperation{kmsg.ACLOperationCreate, kmsg.ACLOperationWrite, kmsg.ACLOperationRead,
		kmsg.ACLOperationDelete, kmsg.ACLOperationDescribe} {
		all = append(all, right(onTopic, topic, o))
	}
	for _, c := range []struct {
		acls []kfake.ACL
		want string
	}{
		{all, ""},
		{without(all, onTopic, topic, kmsg.ACLOperationDelete), "do Delete on topic " + topic},
		{without(all, onTopic, topic, kmsg.ACLOperationCreate), "do Create on the cluster or topic " + topic},
		{without(all, onTopic, topic, kmsg.ACLOperationRead), "do Read on topic " + topic},
		{without(all, onTopic, topic, kmsg.ACLOperationWrite), "do Write on topic " + topic},
	} {
		w := newGuardedWorld(t, c.acls)
		w.must("run", "--until-caught-up")
		before := w.topics(w.target)
		got := w.run("drill")
		said := strings.Join(strings.Fields(got.stdout), " ")
		if (got.code == exitDone) != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("to name %q: exit %d\n%s%s", c.want, got.code, got.stdout, got.stderr)
		}
		if got := w.run("drill", "--no-topic"); got.code != exitDone ||
			!strings.Contains(got.stdout, "no test topic was made") || strings.Contains(got.stdout, "step        fence") {
			t.Errorf("without a topic, %q: exit %d\n%s%s", c.want, got.code, got.stdout, got.stderr)
		}
		if after := w.topics(w.target); after != before {
			t.Errorf("without %q the target was\n%s\nand is\n%s", c.want, before, after)
		}
	}
}
