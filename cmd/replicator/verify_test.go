package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate"
)

// What an operator keeps as the proof of a migration.
func TestVerifyACopy(t *testing.T) {
	t.Parallel()
	for _, flow := range [][]string{
		{"delivery: exactly_once"}, {"delivery: exactly_once", "lane: record"}, {"delivery: at_least_once", "naming: prefix"},
	} {
		t.Run(strings.Join(flow, ", "), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, flow...)
			target := "orders"
			if len(flow) > 1 && flow[1] == "naming: prefix" {
				target = "old.orders"
			}
			w.topic(w.source, "orders", 3)
			w.topic(w.source, "payments", 1)
			w.plain(w.source, "orders", 0, 120)
			w.plain(w.source, "orders", 1, 50)
			w.transactions(w.source, "payments", 0, 10, 7)
			w.commit(w.source, "billing", "orders", 0, 100)
			if out := w.must("verify"); !strings.Contains(out, "verdict     equal") ||
				!strings.Contains(out, "not copied  250 offsets") {
				t.Errorf("before the copy:\n%s", out)
			}
			w.must("run", "--until-caught-up")

			path := filepath.Join(t.TempDir(), "proof.json")
			out := w.must("verify", "--report", path)
			for _, want := range []string{"compared    219 records of 4 partitions", "groups      1 of 1 positions stand right",
				"verdict     equal"} {
				if !strings.Contains(out, want) {
					t.Errorf("verify does not say %q:\n%s", want, out)
				}
			}
			proof := w.proof(path)
			if proof.Compared != 219 || proof.Verdict != replicate.Equal || proof.NotCopied != 0 || len(proof.Unverified) != 0 ||
				proof.Source.ID != "source-id" || proof.Target.ID != "target-id" || proof.Ended.Before(proof.Begun) {
				t.Errorf("the report: %+v", proof)
			}
			for _, p := range proof.Partitions {
				if p.SourceDigest == "" || p.SourceDigest != p.TargetDigest {
					t.Errorf("digests of %s/%d: %q and %q", p.Topic, p.Partition, p.SourceDigest, p.TargetDigest)
				}
			}

			some := w.must("verify", "--topics", "pay.*", "--since", "1h", "--json")
			if !strings.Contains(some, `"compared": 49`) || strings.Contains(some, `"orders"`) {
				t.Errorf("one topic, an hour: %s", some)
			}

			w.plain(w.target, target, 1, 1)
			got := w.run("verify", "--report", path)
			proof = w.proof(path)
			if proof.Verdict == replicate.Equal != (len(flow) > 1 && target != "orders") {
				t.Errorf("a record of somebody else: %+v\n%s", proof, got.stdout)
			}
			if proof.Verdict == replicate.Equal { // without transactions it might be the flow's own
				return
			}
			if want := "extra       orders/1 target 51: "; got.code != exitFailed || !strings.Contains(got.stdout, want) ||
				!strings.Contains(got.stderr, "error: flow old->new: 1 differences between old and new\nremedy: ") {
				t.Errorf("a record of somebody else: exit %d without %q\n%s%s", got.code, want, got.stdout, got.stderr)
			}
		})
	}
}

func (w *world) proof(path string) *replicate.Verification {
	w.t.Helper()
	var all verified
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all.Flows) != 1 {
		w.t.Fatalf("report %s: %v\n%s", path, err, text)
	}
	return all.Flows[0]
}

// Since begins in the middle of what was copied; what is before it is left alone.
func TestVerifySince(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic(w.source, "orders", 1)
	w.topic(w.target, "orders", 1)
	w.plain(w.source, "orders", 0, 10)
	w.must("run", "--until-caught-up")
	w.plain(w.target, "orders", 0, 1)
	later := w.client(w.source)
	for i := range 5 {
		r := &kgo.Record{Topic: "orders", Value: fmt.Appendf(nil, "late %d", i)}
		if err := later.ProduceSync(w.ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			w.config = w.write(addresses(w.source), addresses(w.target))
			w.must("run", "--until-caught-up")
		}
	}
	w.must("run", "--until-caught-up")
	got := w.run("verify")
	if got.code != exitFailed || !strings.Contains(got.stdout, "compared    15 records") ||
		!strings.Contains(got.stdout, "1 extra by somebody else") {
		t.Errorf("all: exit %d\n%s", got.code, got.stdout)
	}
	out := w.must("verify", "--since", "0s")
	if !strings.Contains(out, "compared    0 records") {
		t.Errorf("since now:\n%s", out)
	}
}

func TestVerifyBadFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for args, want := range map[string]string{
		"verify --topics (":                   "--topics: \"(\" is not a pattern",
		"verify --since yesterday":            "--since: \"yesterday\" is neither a time",
		"verify --since -5m":                  "--since: \"-5m\" is neither a time",
		"verify --since 1900-01-01T00:00:00Z": "is neither a time",
	} {
		if got := w.run(strings.Fields(args)...); got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: exit %d without %q\n%s", args, got.code, want, got.stderr)
		}
	}
	got := w.run("verify", "--report", "/nowhere/proof.json")
	if got.code != exitFailed || !strings.Contains(got.stderr, "--report: ") {
		t.Errorf("a report that cannot be written: exit %d\n%s", got.code, got.stderr)
	}
}

// Verify needs no more than to read, and names what is missing of that.
func TestVerifyRights(t *testing.T) {
	t.Parallel()
	read := []kfake.ACL{
		right(onTopic, "orders", kmsg.ACLOperationDescribe), right(onTopic, "orders", kmsg.ACLOperationRead),
		right(onTopic, ledgerTopic, kmsg.ACLOperationDescribe), right(onTopic, ledgerTopic, kmsg.ACLOperationRead),
		right(onGroup, "", kmsg.ACLOperationDescribe),
	}
	for _, c := range []struct {
		acls []kfake.ACL
		want string
	}{
		{read, ""},
		{without(read, onTopic, "orders", kmsg.ACLOperationRead), "do Read on topic orders"},
		{without(read, onTopic, ledgerTopic, kmsg.ACLOperationRead), "do Read on topic " + ledgerTopic},
	} {
		w := newGuardedWorld(t, c.acls)
		text, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		asAdmin := strings.NewReplacer("username: mirror", "username: admin", "password: secret", "password: admin")
		for _, content := range []string{asAdmin.Replace(string(text)), string(text)} {
			if err := os.WriteFile(w.config, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if content != string(text) {
				w.must("run", "--until-caught-up")
			}
		}
		got := w.run("verify")
		if (got.code == exitDone) != (c.want == "") || !strings.Contains(got.stdout+got.stderr, c.want) ||
			c.want == "" && !strings.Contains(got.stdout, "compared    3 records") {
			t.Errorf("to name %q: exit %d\n%s%s", c.want, got.code, got.stdout, got.stderr)
		}
	}
}
