package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/answers"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/partition"
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
			w.source.Topic("orders", 3)
			w.source.Topic("payments", 1)
			w.source.Fill("orders", 0, 120)
			w.source.Fill("orders", 1, 50)
			w.transactions(w.source, "payments", 0, 10, 7)
			w.source.Commit("billing", "orders", 0, 100)
			before := w.run("verify")
			for _, want := range []string{"verdict     incomplete", "the flow has never run", "not copied  250 offsets"} {
				if before.code != exitFailed || !strings.Contains(before.stdout, want) {
					t.Errorf("before the copy: exit %d without %q\n%s%s", before.code, want, before.stdout, before.stderr)
				}
			}
			w.must("run", "--until-caught-up")

			path := filepath.Join(t.TempDir(), "proof.json")
			out := w.must("verify", "--report", path)
			for _, want := range []string{"compared    219 records of 4 partitions", "program     ",
				"source      old, cluster id source-id", "target      new, cluster id target-id",
				"groups      1 of 1 positions stand right", "verdict     equal"} {
				if !strings.Contains(out, want) {
					t.Errorf("verify does not say %q:\n%s", want, out)
				}
			}
			proof := w.proof(path)
			if proof.Compared != 219 || proof.Verdict != verify.Equal || proof.NotCopied != 0 || len(proof.Unverified) != 0 ||
				proof.Source.ID != "source-id" || proof.Target.ID != "target-id" || proof.Ended.Before(proof.Begun) {
				t.Errorf("the report: %+v", proof)
			}
			for _, p := range proof.Partitions {
				if p.SourceDigest == "" || p.SourceDigest != p.TargetDigest {
					t.Errorf("digests of %s/%d: %q and %q", p.Topic, p.Partition, p.SourceDigest, p.TargetDigest)
				}
			}

			for _, p := range proof.Partitions {
				if p.State != partition.PhaseIdle {
					t.Errorf("%s/%d is %s, want idle: no replica runs", p.Topic, p.Partition, p.State)
				}
			}
			some := w.must("verify", "--topics", "pay.*", "--since", "1h", "--json")
			if !strings.Contains(some, `"compared": 49`) || strings.Contains(some, `"orders"`) {
				t.Errorf("one topic, an hour: %s", some)
			}

			w.target.Fill(target, 1, 1)
			got := w.run("verify", "--report", path, "--overwrite")
			proof = w.proof(path)
			want := "extra       orders/1 target 51: "
			if target != "orders" {
				want = "extra       orders/1 target 50: no run of the map explains it, and it is no copy of"
			}
			if got.code != exitFailed || !strings.Contains(got.stdout, want) || proof.Verdict != verify.Different ||
				!strings.Contains(got.stderr, "error: flow old->new: 1 differences between old and new\nremedy: ") {
				t.Errorf("a record of somebody else: exit %d without %q\n%s%s", got.code, want, got.stdout, got.stderr)
			}
		})
	}
}

func (w *world) proof(path string) *verify.Report {
	w.t.Helper()
	var all answers.Verified
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
	w.source.Topic("orders", 1)
	w.target.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.must("run", "--until-caught-up")
	w.target.Fill("orders", 0, 1)
	later := w.source.Writer()
	for i := range 5 {
		r := &kgo.Record{Topic: "orders", Value: fmt.Appendf(nil, "late %d", i)}
		if err := later.ProduceSync(w.ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			w.config = w.write(w.source.Address(), w.target.Address())
			w.must("run", "--until-caught-up")
		}
	}
	w.must("run", "--until-caught-up")
	got := w.run("verify")
	if got.code != exitFailed || !strings.Contains(got.stdout, "compared    15 records") ||
		!strings.Contains(got.stdout, "1 extra and noted as somebody else's") {
		t.Errorf("all: exit %d\n%s", got.code, got.stdout)
	}
	got = w.run("verify", "--since", "0s")
	if got.code != exitFailed || !strings.Contains(got.stdout, "compared    0 records") ||
		!strings.Contains(got.stderr, "incomplete: nothing was compared: no record that was copied is as new as") {
		t.Errorf("since now: exit %d\n%s%s", got.code, got.stdout, got.stderr)
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
	w.source.Topic("orders", 1)
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

// What the source deleted before it was copied is on neither side: that nothing
// differs does not make both sides equal.
func TestVerifySaysWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Topic("late", 1)
	w.source.Fill("orders", 0, 50)
	w.must("run", "--until-caught-up")
	w.must("verify")
	w.source.Fill("orders", 0, 100)
	below := kadm.Offsets{}
	below.AddOffset("orders", 0, 150, -1)
	if _, err := w.source.Admin().DeleteRecords(w.ctx, below); err != nil {
		t.Fatal(err)
	}
	got := w.run("verify")
	if got.code != exitFailed || !strings.Contains(strings.Join(strings.Fields(got.stdout), " "),
		"has deleted offsets [50,150) before they were copied") || !strings.Contains(got.stdout, "verdict     incomplete") {
		t.Errorf("a hole to come: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	w.source.Fill("orders", 0, 10)
	w.must("run", "--until-caught-up")
	path := filepath.Join(t.TempDir(), "proof.json")
	got = w.run("verify", "--report", path)
	for _, want := range []string{
		"known lost  at most 100 records", "verdict     incomplete", "0 missing", "the last at [50,150)",
	} {
		if got.code != exitFailed || !strings.Contains(got.stdout, want) {
			t.Errorf("a hole: exit %d, without %q\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
	v := w.proof(path)
	if v.Verdict != verify.Incomplete || v.KnownLost != 100 || len(v.Incomplete) != 1 ||
		v.Incomplete[0].Topic != "orders" || v.Partitions[1].Holes == nil || v.Partitions[1].KnownLost != 100 {
		t.Errorf("the report: %+v", v)
	}
	if v := w.must("verify", "--topics", "late"); !strings.Contains(v, `only        topics "late"`) {
		t.Errorf("the filter is not told:\n%s", v)
	}

	// What is stopped and what is not begun is not equal either.
	w.target.Topic("taken", 1)
	w.source.Topic("taken", 1)
	w.target.Fill("taken", 0, 1)
	w.source.Fill("taken", 0, 7)
	got = w.run("verify", "--topics", "taken")
	if got.code != exitFailed || !strings.Contains(got.stdout, "nothing of it is copied yet: 7 source offsets") {
		t.Errorf("not begun: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if got := w.run("run", "--until-caught-up"); got.code != exitFailed {
		t.Errorf("taken was copied over what is somebody else's: %s", got.stderr)
	}
	got = w.run("verify", "--topics", "taken")
	if got.code != exitFailed || !strings.Contains(got.stdout, "taken/0: stopped: ") ||
		!strings.Contains(got.stdout, "verdict     incomplete") {
		t.Errorf("stopped: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
