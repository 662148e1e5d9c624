package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/internal/kafkatest"
)

// TestResumeAfterACutOfTheSource: a cut of the source, as an operator meets it: a one-off copy ends with 1
// until he decides, every look says so with figures, and the verb refuses what it does
// not know.
func TestResumeAfterACutOfTheSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source = kafkatest.OnDisk(t, kfake.ClusterID("source-id"))
	w.config = w.write(w.source.Address(), w.target.Address())
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 6)
	saved := w.source.Save()
	w.source.Fill("orders", 0, 4)
	w.must("run", "--until-caught-up")
	if got := w.run("resume", "orders", "--from-cut", "--yes"); got.code != exitUsage ||
		!strings.Contains(got.stderr, "no partition waits") {
		t.Errorf("resume without a cut: exit %d\n%s", got.code, got.stderr)
	}
	w.source.Restore(saved)
	for range 2 { // the second time the log is longer than what was copied
		got := w.run("run", "--until-caught-up")
		if got.code != exitFailed || !strings.Contains(got.stderr, "cut at offset 6") {
			t.Errorf("run: exit %d\n%s", got.code, got.stderr)
		}
		w.source.Fill("orders", 0, 8)
	}
	w.source.Commit("billing", "orders", 0, 22)
	const never = "does not come by waiting: flow old->new: "
	for verb, want := range map[string]string{
		"check --connect": "cut at offset 6", "status": "cut at offset 6", "verify": "cut at offset 6",
		"wait --lag 0 --timeout 20s":                  never + "orders/0: stopped: the source's log was cut",
		"wait --drained --timeout 20s":                never + "orders/0: the source's log was cut",
		"wait --aged-out --timeout 20s --json":        `"never": true`,
		"wait --groups billing --timeout 20s":         never + "group billing in orders/0",
		"drained":                                     "orders/0 was cut",
		"drained --json":                              "replicator resume orders/0 --from-cut",
		"offsets --topic orders --partition 0 --at 8": "replicator resume orders/0 --from-cut",
		"cutover --yes --silent-for 0s":               "cut at offset 6",
	} {
		got := w.run(strings.Fields(verb)...)
		said := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
		looks := verb == "status" || strings.HasPrefix(verb, "drained")
		if (got.code == exitDone) != looks || !strings.Contains(said, want) {
			t.Errorf("%s: exit %d without %q\n%s%s", verb, got.code, want, got.stdout, got.stderr)
		}
	}
	for args, want := range map[string]string{
		"":                                   "name the topics",
		"orders":                             "about a cut say --from-cut or --from-end",
		"--from-cut":                         "name the topics",
		"orders --from-cut":                  "add --yes",
		"order --from-cut --yes":             "these wait for an order: orders/0",
		"orders/1 --from-end --yes":          "these wait for an order: orders/0",
		"orders --from-end --from-cut --yes": "exclude each other",
	} {
		if got := w.run(append([]string{"resume"}, strings.Fields(args)...)...); got.code != exitUsage ||
			!strings.Contains(got.stderr, want) {
			t.Errorf("resume %s: exit %d without %q\n%s", args, got.code, want, got.stderr)
		}
	}
	plan := w.must("resume", "--dry-run")
	for _, want := range []string{"orders/0: the source's log was cut at source offset 6",
		"up to 16 records are copied from offset 6",
		"--from-end gives up up to 16 records of the source at [6,22); up to 4 that"} {
		if !strings.Contains(plan, want) {
			t.Errorf("--dry-run does not say %q:\n%s", want, plan)
		}
	}
	var said struct {
		Cuts []struct {
			Topic      string
			Cut, Lost  int
			Source_end int
		}
	}
	if err := json.Unmarshal([]byte(w.must("resume", "--dry-run", "--json")), &said); err != nil || len(said.Cuts) != 1 ||
		said.Cuts[0].Topic != "orders" || said.Cuts[0].Cut != 6 || said.Cuts[0].Source_end != 22 {
		t.Errorf("--json says %+v, %v", said, err)
	}
	w.must("resume", "orders/0", "--from-cut", "--yes")
	for verb, want := range map[string]string{
		"status": "an order of 'replicator resume' to go on at offset 6 waits", "wait --lag 0 --timeout 1s": "not in time",
		"resume --dry-run": "to go on at offset 6 waits for a replica to carry it out",
	} {
		got := w.run(strings.Fields(verb)...)
		if said := strings.Join(strings.Fields(got.stdout+got.stderr), " "); !strings.Contains(said, want) {
			t.Errorf("%s, while the order waits: exit %d without %q\n%s", verb, got.code, want, said)
		}
	}
	says(t, "history", w.must("history"), "  resume  orders/0: after a cut at offset 6 copying goes on at 6")
	w.must("run", "--until-caught-up")
	if got := w.must("status"); !strings.Contains(strings.Join(strings.Fields(got), " "),
		"orders/0: the source lost up to 4 records after they were copied") {
		t.Errorf("status does not keep what was lost:\n%s", got)
	}
	if got := w.next(w.target, "orders", 0, 11); got != "orders/0:0" { // ten records and their marker
		t.Errorf("behind what the source has lost stands %q, want the first record after the cut", got)
	}
}

// TestResumeOnTheWayBack: while a rollback is under way its ledger tells of cuts, and the file that the rollback was
// given is enough to decide about them.
func TestResumeOnTheWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.target = kafkatest.OnDisk(t, kfake.ClusterID("target-id"))
	w.config = w.write(w.source.Address(), w.target.Address())
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 20)
	w.must("run", "--until-caught-up")
	w.must("cutover", "--yes", "--silent-for", "100ms")
	saved := w.target.SaveLog("orders", 0)
	w.target.Fill("orders", 0, 7)
	ctx, kill := context.WithCancel(w.ctx)
	defer kill()
	var said output
	ended := make(chan int, 1)
	go func() {
		ended <- execute(ctx, []string{"rollback", "-c", w.config, "--yes", "--silent-for", "1h",
			"--timeout", "2h"}, &said, &said)
	}()
	w.await("what was written is carried back", func() bool {
		ends, err := w.source.Admin().ListCommittedOffsets(w.ctx, "orders")
		end, _ := ends.Lookup("orders", 0)
		return err == nil && end.Offset > 27 // and the transaction's marker
	})
	kill()
	<-ended
	w.target.Restore(saved)
	back := func() outcome {
		return w.run("rollback", "--yes", "--silent-for", "100ms")
	}
	if got := back(); got.code != exitFailed || !strings.Contains(got.stderr, "'replicator resume orders/0 --from-cut'") {
		t.Fatalf("a rollback from what was cut: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	for verb, want := range map[string]string{
		"--dry-run":                      "these are cuts of flow new->old, which carries records back",
		"--dry-run --json":               `"flow": "new->old"`,
		"orders/1 --from-cut --yes":      "in flow new->old; these wait for an order: orders/0",
		"orders/0 --from-cut --dry-run ": "orders/0: the source's log was cut at source offset 21",
	} {
		got := w.run(append([]string{"resume"}, strings.Fields(verb)...)...)
		if !strings.Contains(got.stdout+got.stderr, want) {
			t.Errorf("resume %s: exit %d without %q\n%s%s", verb, got.code, want, got.stdout, got.stderr)
		}
	}
	says(t, "the order", w.must("resume", "orders/0", "--from-cut", "--yes"), "ordered: 'replicator rollback' takes it up")
	if got := back(); got.code != exitDone {
		t.Errorf("after the order: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
