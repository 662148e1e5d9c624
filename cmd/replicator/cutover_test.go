package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
)

// says fails the test unless the text has all of these.
func says(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, s := range want {
		if !strings.Contains(text, s) {
			t.Errorf("%s does not say %q:\n%s", what, s, text)
		}
	}
}

// A window, from the first look to the way back, with no daemon running: the commands
// copy what is left.
func TestCutoverAndRollback(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 2)
	w.source.Fill("orders", 0, 20)
	w.transactions(w.source, "orders", 1, 4, 3)
	w.source.Commit("billing", "orders", 0, 7)

	got := w.run("cutover", "--yes")
	says(t, "a cutover of what never ran", got.stderr, "has never run", "remedy:")
	if got.code != exitFailed {
		t.Errorf("exit %d", got.code)
	}
	says(t, "a rollback of what never ran", w.run("rollback", "--yes").stderr, "has never run",
		"nothing tells of a cutover")
	w.must("run", "--until-caught-up")
	w.source.Fill("orders", 0, 5)
	got = w.run("cutover")
	if got.code != exitUsage {
		t.Errorf("without --yes: exit %d, %s", got.code, got.stderr)
	}
	says(t, "a cutover that cannot ask", got.stderr, "--yes")
	before := w.topics(w.target)
	dry := w.must("cutover", "--dry-run", "--silent-for", "100ms")
	says(t, "the plan", dry, "1. silent    done", "copied    open", "orders/0 idle, lag 5", "undo:")
	if now := w.topics(w.target); now != before {
		t.Errorf("a dry run has changed the target:\n%s\nbefore:\n%s", now, before)
	}
	got = w.run("wait", "--lag", "0", "--timeout", "1s")
	says(t, "waiting without a daemon", got.stderr, "lag 5", "remedy:")

	got = w.run("rollback", "--yes")
	says(t, "a rollback without a cutover", got.stderr, "no record of a cutover", "remedy:")

	out := w.must("cutover", "--yes", "--silent-for", "100ms")
	says(t, "the end", out, "may start on new", "2 partitions and 1 groups")
	says(t, "the same again", w.must("cutover"), "nothing is to be done", "with groups billing", "may start on new")
	says(t, "the same as a plan", w.must("cutover", "--dry-run"), "nothing is to be done")
	status := strings.Join(strings.Fields(w.must("status")), " ")
	says(t, "status", status, "cutover "+strings.Fields(strings.TrimLeft(out[strings.Index(out, "(")+1:], " "))[0][:16])
	says(t, "a plan to undo", w.must("cutover", "--undo", "--dry-run"), "would be forgotten")
	says(t, "an undo", w.must("cutover", "--undo", "--yes"), "counts as not cut over")
	says(t, "status after it", w.must("status"), "was undone")
	if got = w.run("cutover", "--undo", "--yes"); got.code != exitFailed {
		t.Errorf("a second undo: exit %d", got.code)
	}
	w.must("cutover", "--yes", "--silent-for", "100ms")
	w.source.Fill("orders", 0, 3)
	says(t, "with records behind", w.must("cutover", "--yes", "--silent-for", "100ms"),
		"up to 3 records were written to old since", "it is begun anew", "may start on new")
	w.must("wait", "--lag", "0", "--groups", "bill.*")

	w.target.Fill("orders", 1, 4)
	w.target.Commit("billing", "orders", 0, 25)
	dry = w.must("rollback", "--dry-run", "--silent-for", "100ms")
	says(t, "the way back", dry, "up to 4 records were written", "going back is safe", "1. turned")
	out = w.must("rollback", "--yes", "--silent-for", "100ms")
	says(t, "the end of the way back", out, "may start on old")
	says(t, "history", w.must("history"), "  cutover: ", "done with 1 groups, 2 partitions; taken back since")
	// The target has a marker of the flow's among the group's 25 offsets.
	if at := w.source.Admin().FetchManyOffsets(w.ctx, "billing"); at["billing"].Fetched["orders"][0].At != 24 {
		t.Errorf("the group stands at %+v on the source", at["billing"].Fetched)
	}
	got = w.run("run", "--until-caught-up")
	if got.code != exitDone {
		t.Errorf("the flow does not run again: %s", got.stderr)
	}
}

// What --force gives up is printed before, in the plan, and at the end.
func TestForceReportsWhatItGivesUp(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Commit("billing", "orders", 0, 4)
	w.must("run", "--until-caught-up")
	w.target.Commit("billing", "orders", 0, 2) // by somebody else

	const again = "group billing in orders/0: a consumer on the target committed it; it stands at 2 and ought to at 4: " +
		"up to 2 records would be read again"
	got := w.run("cutover", "--yes", "--silent-for", "100ms")
	says(t, "the refusal", got.stderr, again, "remedy:", "--force")
	if got.code != exitFailed {
		t.Errorf("exit %d", got.code)
	}
	says(t, "the plan", w.must("cutover", "--dry-run", "--force", "--silent-for", "100ms"), "groups    open",
		"--force gives up: "+again)
	got = w.run("cutover", "--yes", "--force", "--silent-for", "100ms")
	says(t, "the end", got.stdout, "given up: "+again, "may start on new")
	says(t, "what is told on the way", got.stderr, "given up: "+again)

	w.source.Fill("orders", 0, 3)
	const left = "orders/0: up to 3 records were written to old after the cutover: they stay there, and new lacks them"
	says(t, "the refusal to go back", w.run("rollback", "--yes").stderr, left, "remedy:", "--force")
	out := w.must("rollback", "--yes", "--force", "--silent-for", "100ms")
	says(t, "the way back", out, "--force gives up: "+left, "\ngiven up: "+left, "may start on old")
}

// Of applications that write to both clusters themselves.
func TestDrainedWhereApplicationsWriteToBoth(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.target.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Commit("billing", "orders", 0, 4)
	says(t, "the table", w.must("drained"), "group billing: up to 6 records of 1 partitions not read",
		"topic orders: the target lacks up to 10 records", "drained: false, aged out: false")
	w.target.Fill("orders", 0, 3)
	w.source.Fill("orders", 0, 3)
	w.source.Commit("billing", "orders", 0, 13)
	var seen struct{ Flows []inspect.DrainedStatus }
	if err := json.Unmarshal([]byte(w.must("drained", "--json")), &seen); err != nil || len(seen.Flows) != 1 {
		t.Fatalf("%v, %d flows", err, len(seen.Flows))
	}
	d := &seen.Flows[0]
	if topic := d.Topics[0]; topic.Lacks != 10 || topic.Left < 7*24*3600-60 || topic.Left > 7*24*3600 {
		t.Errorf("the topic is told as %+v, want 10 records for 7 days", topic)
	}
	if !d.Drained() || d.AgedOut() {
		t.Errorf("told as drained %t, aged out %t", d.Drained(), d.AgedOut())
	}
	w.must("wait", "--drained", "--groups", "billing")
	got := w.run("wait", "--aged-out", "--timeout", "1s")
	says(t, "waiting for retention", got.stderr, "lacks up to 10 records", "remedy:")
	if _, err := w.source.Admin().DeleteRecords(w.ctx, offsetsOf("orders", 0, 10)); err != nil {
		t.Fatal(err)
	}
	says(t, "the answer", w.must("wait", "--aged-out"), "it holds; by timestamps alone in orders")
	says(t, "the table", w.must("drained"), "(by timestamps alone in partition 0, which no flow has copied)")
	w.source.Commit("billing", "orders", 0, 99)
	got = w.run("wait", "--drained", "--timeout", "20s")
	says(t, "a position behind the end", got.stderr, "does not come by waiting", "offset 99 of orders/0, beyond the end")
}

// What no waiting brings about ends wait at once.
func TestWaitEndsWhereWaitingDoesNotHelp(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 4)
	ends := func(what, verb string, want ...string) {
		t.Helper()
		got := w.run(strings.Fields("wait --timeout 20s " + verb)...)
		if got.code != exitFailed {
			t.Errorf("%s: exit %d", what, got.code)
		}
		says(t, what, got.stderr, append(want, "it does not come by waiting", "remedy:")...)
	}
	if err := w.target.CreateTopic("orders", 1, nil); err != nil {
		t.Fatal(err)
	}
	w.keepForEver("orders")
	ends("records that are kept for ever", "--aged-out", "the source keeps its records for ever")
	w.must("run", "--until-caught-up")
	says(t, "when a flow has copied", w.must("wait", "--aged-out"), "it holds\n")
	w.source.Commit("billing", "orders", 0, 2)
	w.target.Commit("billing", "orders", 0, 3)
	ends("a group that a consumer has moved", "--groups billing", "group billing in orders/0: a consumer on the target")
	w.config = w.write(w.target.Address(), w.source.Address())
	for _, asked := range []string{"--lag 0", "--drained", "--aged-out"} {
		ends("exchanged, "+asked, asked, "would set the settings of topics", "Are from and to of this flow exchanged?")
	}
	if got := w.run("drained"); got.code != exitFailed {
		t.Errorf("drained, exchanged: exit %d, %s", got.code, got.stdout)
	}
	status := strings.Join(strings.Fields(w.must("status")), " ")
	says(t, "the status, exchanged", status, "! both flow", "what is said above, then start one")
	if strings.Index(status, "! both flow") > strings.Index(status, "nothing moves") {
		t.Errorf("what is to be done first comes later:\n%s", status)
	}
}

// keepForEver takes a topic's retention away on the source.
func (w *world) keepForEver(topic string) {
	w.t.Helper()
	ever := "-1"
	_, err := w.source.Admin().AlterTopicConfigs(w.ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &ever}}, topic)
	if err != nil {
		w.t.Fatal(err)
	}
}

func offsetsOf(topic string, partition int32, at int64) kadm.Offsets {
	var o kadm.Offsets
	o.AddOffset(topic, partition, at, -1)
	return o
}

func TestTopicsCopiesNoRecords(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 3)
	w.source.Fill("orders", 0, 2)
	says(t, "the outcome", w.must("topics"), "1 topics are on new")
	w.must("topics")
	ends, err := w.target.Admin().ListEndOffsets(w.ctx, "orders")
	if err != nil || len(ends["orders"]) != 3 || ends["orders"][0].Offset != 0 {
		t.Errorf("the target has %v, %v; want 3 empty partitions", ends, err)
	}
	if all := w.topics(w.target); strings.Contains(all, "__replicator") {
		t.Errorf("a ledger was made:\n%s", all)
	}
}

// On the way back a group that was not used on the target stays where its consumers have
// left it on the source: one that the cutover did not move, and one whose unread records
// the target had deleted, which the source still holds.
func TestRollbackLeavesWhatWasNotUsed(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 100)
	for group, at := range map[string]int64{"forced": 20, "late": 20, "moved": 90} {
		w.source.Commit(group, "orders", 0, at)
	}
	w.must("run", "--until-caught-up")
	var gone kadm.Offsets
	gone.AddOffset("orders", 0, 60, -1)
	if deleted, err := w.target.Admin().DeleteRecords(w.ctx, gone); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	if dry := w.run("cutover", "--dry-run", "--silent-for", "100ms"); dry.code != exitFailed {
		t.Errorf("a plan that would be refused: exit %d\n%s%s", dry.code, dry.stdout, dry.stderr)
	}
	w.must("run", "--until-caught-up")
	out := w.must("cutover", "--yes", "--force", "--groups", "forced|moved", "--silent-for", "100ms")
	says(t, "the cutover", out, "given up", "may start on new")
	w.target.Commit("moved", "orders", 0, 95)
	w.source.Commit("late", "orders", 0, 40) // it goes on reading on the source
	out = w.must("rollback", "--yes", "--silent-for", "100ms")
	says(t, "the way back", out, "may start on old")
	at := w.source.Admin().FetchManyOffsets(w.ctx, "forced", "late", "moved")
	for group, want := range map[string]int64{"forced": 20, "late": 40, "moved": 95} {
		if got := at[group].Fetched["orders"][0].At; got != want {
			t.Errorf("after the rollback group %s stands at %d on the source, want %d", group, got, want)
		}
	}
}

// A time-out that the watch for silence alone uses up is bad usage; one that runs out on the way leaves a whole plan.
func TestCutoverTimeoutThatIsTooShort(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 4)
	w.must("run", "--until-caught-up")
	for _, verb := range []string{"cutover", "rollback"} {
		got := w.run(verb, "--dry-run", "--timeout", "5s")
		if got.code != exitUsage {
			t.Errorf("%s: exit %d, want %d", verb, got.code, exitUsage)
		}
		says(t, verb, got.stderr, "--timeout 5s can never be enough", "--silent-for 5s")
	}
	cmd := newCutover()
	var out strings.Builder
	cmd.SetOut(&out)
	late := &stepwise.WaitingError{Step: "silent", Missing: "watching"}
	f := handoverFlags{dry: true}
	on, err := f.goOn(w.ctx, cmd, previewed{[]stepwise.State{{Name: "silent", Missing: "watching"}, {Name: "idle"}}, late})
	if on || !errors.Is(err, late) {
		t.Errorf("it goes on %t, %v", on, err)
	}
	says(t, "the plan", out.String(), "1. silent    open", "2. idle      open")
}

// previewed is a handover with the answer of its preview.
type previewed struct {
	states []stepwise.State
	err    error
}

func (l previewed) Preview(context.Context) ([]stepwise.State, error) { return l.states, l.err }
func (l previewed) LeftOut() []inspect.LeftOut                        { return nil }
