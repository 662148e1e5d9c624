package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What was left behind is shown, kept in a file, and written where it lacks; each time what was done is said.
func TestOrphansAreKeptAndImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 2)
	w.source.Fill("orders", 1, 10)
	w.must("run", "--until-caught-up")
	says(t, "none", w.must("orphans"), "  orphans: 0 records, 0 B, in 0 partitions")
	w.source.Fill("orders", 1, 4)
	says(t, "four", w.must("orphans"), "  orders/1: 4 records, 40 B, [10,14), 20",
		"  orphans: 4 records, 40 B, in 1 partition\n")
	file := filepath.Join(t.TempDir(), "orphans.jsonl")
	says(t, "export", w.must("orphans", "--export", file), "orphans: 4 records", "written to "+file+", sha256 ")
	got := w.run("orphans", "--export", file)
	if got.code != exitFailed {
		t.Errorf("over a file that is there: exit %d", got.code)
	}
	says(t, "again", got.stderr, file+" exists, and no file is overwritten", "remedy: name another file")
	says(t, "dry", w.must("import-records", "--to", "new", "--dry-run", file), "orders/1: 4 records, 40 B",
		"all of it can be written to new; nothing was")
	says(t, "to where a flow carries it on", w.run("import-records", "--to", "old", "--dry-run", file).stderr,
		"! flow old->new carries what is written to old on to new: records that came from new are there twice then")
	says(t, "import", w.must("import-records", "--to", "new", file), "written to new: 4 records\n")
	says(t, "import again", w.must("import-records", "--to", "new", file),
		"written to new: 0 records; 4 records were by former runs, and are not written again\n")
	w.must("failover", "--yes", "--source-is-dead")
	says(t, "after the failover", w.must("orphans"), "  orphans: 4 records, 40 B, in 1 partition\n")
	if n := len(w.target.Read("orders", 1, 0)); n != 14 {
		t.Errorf("the target holds %d records, want 14", n)
	}
	says(t, "to topics", w.must("orphans", "--to-topic", "left."), "written to new: 4 records\n")
	if n := len(w.target.Read("left.orders", 1, 0)); n != 4 {
		t.Errorf("left.orders holds %d records, want 4", n)
	}
}

// Bad use is refused, with what is accepted; every obstacle is told, with its remedy.
func TestImportRecordsRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "records.jsonl")
	line := func(topic string) string {
		return `{"topic":"` + topic + `","partition":0,"ts":1,"key":null,"payload":"v"}` + "\n"
	}
	if err := os.WriteFile(file, []byte(line("gone")+line("away")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line, want string
		code       int
	}{
		{"import-records --to nowhere " + file, `--to "nowhere": the clusters are new, old`, exitUsage},
		{"import-records --to new", "accepts 1 arg(s), received 0", exitUsage},
		{"import-records --to new " + file, "no topic gone on cluster new\nremedy: make it, with 1 partitions", exitFailed},
		{"import-records --to new --dry-run " + file, "there is no topic away on cluster new\nremedy: ", exitFailed},
		{"orphans --export a --to-topic b", "--export and --to-topic exclude each other", exitUsage},
		{"orphans", "selects no topic of old", exitUsage},
	} {
		got := w.run(strings.Fields(c.line)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: exit %d, want %d with %q\n%s%s", c.line, got.code, c.code, c.want, got.stdout, got.stderr)
		}
	}
}
