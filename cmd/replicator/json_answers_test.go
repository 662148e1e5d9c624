package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"replicator/cmd/replicator/line"
)

// Every verb that answers something answers in JSON as well.
func TestEveryAnswerIsThereAsJSON(t *testing.T) {
	t.Parallel()
	none := []string{"replicator", "replicator run", "replicator demo", "replicator help"}
	for _, cmd := range all(newRoot(io.Discard, io.Discard)) {
		if !cmd.Runnable() || slices.Contains(none, cmd.CommandPath()) || strings.Contains(cmd.CommandPath(), "completion") {
			continue
		}
		if cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
	}

	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Commit("billing", "orders", 0, 4)
	w.source.Commit("connect-sink", "orders", 0, 4)
	says := func(line string, code int, fields map[string]any) {
		t.Helper()
		got := w.run(strings.Fields(line)...)
		var answer any
		if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != code {
			t.Fatalf("%s: exit %d, want %d with JSON: %v\n%s%s", line, got.code, code, err, got.stdout, got.stderr)
		}
		for path, want := range fields {
			if is := at(answer, path); is != want {
				t.Errorf("%s: %s is %v, want %v\n%s", line, path, is, want, got.stdout)
			}
		}
	}
	says("config --json", 0, map[string]any{"settings.0.section": "cluster old", "settings.0.from": "line"})
	says("check --json", 0, map[string]any{"flows.0.flow": "old->new", "flows.0.shards": 2.0, "http": ""})
	says("check --connect --json", 0, map[string]any{
		"flows.0.topics.0.action": "create", "flows.0.topics.0.records_to_copy": 10.0,
		"flows.0.groups.0.group": "billing", "flows.0.left_out.0.name": "connect-sink", "flows.0.ledger.exists": false})
	says("topics --json", 0, map[string]any{"flows.0.right": 1.0})
	w.must("run", "--until-caught-up")
	says("offsets --topic orders --partition 0 --at 4 --json", 0, map[string]any{"target_offset": 4.0, "rule": "in_run"})
	says("wait --lag 0 --json", 0, map[string]any{"holds": true})
	says("wait --drained --timeout 2s --json", 1, map[string]any{"holds": false,
		"missing": "flow old->new: group billing has not read up to 6 records of 1 partitions on the source"})
	says("cutover --dry-run --silent-for 0s --json", 0, map[string]any{"done": false, "steps.0.step": "silent",
		"steps.0.done": true})
	says("cutover --yes --silent-for 0s --json", 0, map[string]any{"done": true, "on": "new", "record.groups": 1.0})
	says("rollback --dry-run --silent-for 0s --json", 0, map[string]any{"done": false, "back.records": 0.0})
	says("rollback --yes --silent-for 0s --json", 0, map[string]any{"done": true, "on": "old"})
	says("topics restore --json", 0, map[string]any{"flows.0.put_back": false})
	w.source.Fill("orders", 0, 3)
	says("orphans --json", 0, map[string]any{"records": 3.0, "partitions.0.first.offset": 10.0, "partitions.0.open": 0.0})
	file := filepath.Join(t.TempDir(), "orphans.jsonl")
	says("orphans --json --export "+file, 0, map[string]any{"file": file, "records": 3.0})
	says("import-records --to new --json --dry-run "+file, 0, map[string]any{"records": 3.0, "dry_run": true})
	says("import-records --to new --json "+file, 0, map[string]any{"written": 3.0, "written_before": 0.0})
	if got := w.run("cutover", "--json"); got.code != exitUsage || !strings.Contains(got.stderr, line.ErrAsked.Error()) {
		t.Errorf("JSON with a question: exit %d\n%s", got.code, got.stderr)
	}

	properties := filepath.Join(t.TempDir(), "mm2.properties")
	text := "clusters = A, B\nA.bootstrap.servers = a:1\nB.bootstrap.servers = b:1\nA->B.enabled = true\n"
	if err := os.WriteFile(properties, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{{"version", "--json"}, {"import", properties, "--json"}} {
		got := command(t.Context(), line...)
		var answer map[string]string
		if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitDone || len(answer) < 2 {
			t.Errorf("%v: exit %d: %v\n%s%s", line, got.code, err, got.stdout, got.stderr)
		}
	}
}

// at finds a value by its path, as flows.0.flow.
func at(value any, path string) any {
	for _, step := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			if n := int(step[0] - '0'); n < len(v) {
				value = v[n]
				continue
			}
			return nil
		}
	}
	return value
}
