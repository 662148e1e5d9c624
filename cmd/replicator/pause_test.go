package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"replicator/pkg/operate/history"
)

// TestPauseAsAnOperatorSeesIt: what waits is said by every look, over runs, until it is to go on; nobody is asked
// twice, and who decided what is kept.
func TestPauseAsAnOperatorSeesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 2)
	w.source.Topic("clicks", 1)
	w.source.Fill("orders", 0, 6)
	if got := w.run("pause", "orders", "--yes"); got.code != exitFailed || !strings.Contains(got.stderr, "never run") {
		t.Errorf("pause before the first run: exit %d\n%s", got.code, got.stderr)
	}
	if got := w.run("history"); got.code != exitFailed || !strings.Contains(got.stderr, "never run") {
		t.Errorf("history before the first run: exit %d\n%s", got.code, got.stderr)
	}
	w.must("run", "--until-caught-up")
	if got := w.must("history"); !strings.Contains(got, "nothing was decided") {
		t.Errorf("history before a word: %s", got)
	}
	for args, says := range map[string]string{
		"pause order --yes":               "copies no topic order",
		"pause orders":                    "nobody is there to be asked",
		"pause orders --json":             "--json needs --yes",
		"pause":                           "requires at least 1 arg",
		"resume orders --yes":             "nothing of orders is paused",
		"resume --yes":                    "name the topics or partitions",
		"resume orders --dry-run --yes":   "no cut is noted for orders",
		"resume orders/1 --from-cut":      "no cut is noted",
		"resume o --from-cut --from-end":  "exclude each other",
		"pause orders/7 --dry-run --json": "orders has 2 partitions",
	} {
		if got := w.run(strings.Fields(args)...); got.code == exitDone || !strings.Contains(got.stderr, says) {
			t.Errorf("%s: exit %d, want %q\n%s%s", args, got.code, says, got.stdout, got.stderr)
		}
	}
	if got := w.must("pause", "orders", "--dry-run"); !strings.Contains(got, "orders waits\n") {
		t.Errorf("a look at a pause: %s", got)
	}
	w.must("pause", "orders", "clicks/0", "--yes", "--why", "full disks", "--by", "eve")
	if got := w.must("pause", "orders", "--yes"); !strings.Contains(got, "orders waits already; eve has paused it on ") ||
		!strings.Contains(got, ": full disks") || strings.Contains(got, "ordered") {
		t.Errorf("a pause again: %s", got)
	}
	w.source.Fill("orders", 0, 3)
	for args, says := range map[string]string{
		"run --until-caught-up":    "orders was paused by eve: full disks",
		"status":                   "orders was paused by eve: full disks",
		"plan":                     "paused by eve",
		"wait --lag 0 --timeout 0": "does not come by waiting",
		"resume orders/0 --yes":    "paused as a whole",
		"resume --dry-run":         "clicks/0 waits already; eve",
	} {
		got := w.run(strings.Fields(args)...)
		if said := strings.Join(strings.Fields(got.stdout+got.stderr), " "); !strings.Contains(said, says) {
			t.Errorf("%s: exit %d, want %q\n%s%s", args, got.code, says, got.stdout, got.stderr)
		}
	}
	if got := w.must("resume", "orders", "--yes", "--by", "bob"); !strings.Contains(got, "goes on; eve has paused") {
		t.Errorf("resume: %s", got)
	}
	w.must("resume", "clicks", "--yes", "--by", "bob")
	w.must("run", "--until-caught-up")
	if p := partitionOf(t, w.status(), "orders", 0); p.Progress == nil || *p.Progress != 9 {
		t.Errorf("orders/0 stands at %v", p.Progress)
	}
	tellsWhoPaused(t, w)
}

func tellsWhoPaused(t *testing.T, w *world) {
	t.Helper()
	var told struct{ Events []history.Event }
	if err := json.Unmarshal([]byte(w.must("history", "--json")), &told); err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range told.Events {
		words = append(words, strings.TrimSpace(strings.Join([]string{e.Event, e.What, e.By, e.Text}, " ")))
		if time.Since(e.At) > time.Hour {
			t.Errorf("%+v", e)
		}
	}
	want := "pause clicks/0 eve full disks, pause orders eve full disks, resume orders bob, resume clicks/0 bob"
	if got := strings.Join(words, ", "); got != want {
		t.Errorf("history tells %q, want %q", got, want)
	}
	const pauses = "  pause  orders  eve: full disks\n"
	if text := w.must("history"); strings.Count(text, "\n") != 4 || !strings.Contains(text, pauses) {
		t.Errorf("history: %s", text)
	}
}
