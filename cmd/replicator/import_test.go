package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// properties writes a file of MirrorMaker's for the world's two clusters.
func (w *world) properties(more ...string) string {
	w.t.Helper()
	text := fmt.Sprintf("clusters = old, new\nold.bootstrap.servers = %s\nnew.bootstrap.servers = %s\n",
		w.source.Address(), w.target.Address()) + strings.Join(more, "\n") + "\n"
	path := filepath.Join(w.t.TempDir(), "mm2.properties")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// What was imported is checked, runs, and names topics as MirrorMaker would.
func TestImportRuns(t *testing.T) {
	t.Parallel()
	for policy, name := range map[string]string{
		"org.apache.kafka.connect.mirror.DefaultReplicationPolicy":  "old-orders.eu",
		"org.apache.kafka.connect.mirror.IdentityReplicationPolicy": "orders.eu",
	} {
		w := newWorld(t)
		w.source.Topic("orders.eu", 2)
		w.source.Topic("orders.us", 1)
		w.source.Topic("payments", 1)
		w.source.Fill("orders.eu", 0, 30)
		w.source.Fill("orders.eu", 1, 10)
		w.source.Commit("billing", "orders.eu", 0, 20)
		file := w.properties("old->new.enabled = true", `old->new.topics = orders\\..*`, `topics.exclude = .*\\.us`,
			"replication.policy.class = "+policy, "replication.policy.separator = -", "replication.factor = 1",
			"old->new.sync.group.offsets.enabled = true", "sync.topic.acls.enabled = false", "tasks.max = 10")

		w.config = filepath.Join(t.TempDir(), "imported.yaml")
		got := command(w.ctx, "import", file, "-o", w.config)
		if got.code != exitDone || got.stdout != "" || !strings.Contains(got.stderr, "replicator check -c "+w.config) {
			t.Fatalf("import: exit %d\n%s%s", got.code, got.stdout, got.stderr)
		}
		if out := w.must("check", "--connect"); !strings.Contains(out, "topics    1 selected") ||
			!strings.Contains(out, name) {
			t.Errorf("check of what was imported does not create %s alone:\n%s", name, out)
		}
		if out := w.must("run", "--until-caught-up"); !strings.Contains(out, "copied 40 records") {
			t.Errorf("run of what was imported: %s", out)
		}
		p := positionOf(t, w.status(), "billing", "orders.eu", 0)
		if p.Target == nil || w.next(w.target, name, 0, int64(*p.Target)) != "orders.eu/0:20" {
			t.Errorf("%s: billing stands at %+v on the target", policy, p)
		}
		if listed := w.topics(w.target); strings.Contains(listed, ".us") || strings.Contains(listed, "payments") {
			t.Errorf("more was copied than was chosen:\n%s", listed)
		}
	}
}

func TestImportWritesNewFilesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := w.properties("old->new.enabled = true")
	piped := command(w.ctx, "import", file)
	if piped.code != exitDone || !strings.Contains(piped.stdout, "\nflows:\n") ||
		!strings.Contains(piped.stderr, "line   4  mapped") {
		t.Fatalf("import: exit %d\n%s%s", piped.code, piped.stdout, piped.stderr)
	}
	out, told := filepath.Join(t.TempDir(), "a.yaml"), filepath.Join(t.TempDir(), "a.txt")
	if got := command(w.ctx, "import", file, "-o", out, "--report", told); got.code != exitDone || got.stderr != "" {
		t.Fatalf("import: exit %d\n%s", got.code, got.stderr)
	}
	for path, want := range map[string]string{out: piped.stdout, told: "line   4  mapped"} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v\n%s", path, err, text)
		}
	}
	for _, args := range [][]string{{"-o", out}, {"--report", told}} {
		got := command(w.ctx, append([]string{"import", file}, args...)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, "exists, and no file is overwritten\nremedy: ") ||
			got.stdout != "" {
			t.Errorf("import %v over a file: exit %d\n%s%s", args, got.code, got.stdout, got.stderr)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	out := filepath.Join(t.TempDir(), "never.yaml")
	for _, c := range []struct{ args, want string }{
		{"", "error: accepts 1 arg(s), received 0"},
		{"/nowhere.properties", "error: /nowhere.properties: 1 problem\n  cannot be read"},
		{w.properties("old->new.enabled = true", "old->new.topic = x"),
			"line 5  old->new.topic: is no key of MirrorMaker 2; did you mean old->new.topics?"},
		{w.properties("old->new.enabled = true") + " --flow new->old", "enables no flow new->old; it enables old->new"},
	} {
		got := command(w.ctx, append([]string{"import", "-o", out}, strings.Fields(c.args)...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, c.want) || !strings.Contains(got.stderr, "\nremedy: ") {
			t.Errorf("import %s: exit %d, want %d with %q and a remedy\n%s", c.args, got.code, exitUsage, c.want, got.stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("import %s writes a file", c.args)
		}
	}
}
