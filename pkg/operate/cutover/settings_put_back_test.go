package cutover_test

import (
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/topics"
)

// stage carries out a cutover of some groups, and answers what became of settings.
func stage(w *flowtest.World, groups string) []topics.Back {
	w.T.Helper()
	c, _ := again(w, groups)
	_, err := c.Run(w.Ctx)
	w.Must("cut over", err)
	return c.Restored()
}

// lasting makes topics on the source whose settings differ on the target while they are mirrored.
func lasting(w *flowtest.World, names ...string) {
	w.T.Helper()
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Source, 1,
		map[string]string{"message.timestamp.type": "LogAppendTime"}, names...))
	for _, name := range names {
		w.Plain(w.Sides.Source, name, 0, 3)
	}
}

func timestampType(w *flowtest.World, topic, want, when string) {
	w.T.Helper()
	if got := w.Settings(w.Sides.Target, topic)["message.timestamp.type"]; got != want {
		w.T.Errorf("%s: message.timestamp.type of %s is %s, want %s", when, topic, got, want)
	}
}

// A cutover with fewer topics than the ledger knows puts back the settings of those alone, and says so of the others:
// those are mirrored still.
func TestNarrowCutoverLeavesOtherTopics(t *testing.T) {
	w := flowtest.New(t)
	lasting(w, "orders", "payments")
	r := w.Start(nil)
	w.Equal([]string{"orders", "payments"})
	r.Stop()
	all := w.Cfg
	w.Cfg.Topics = []string{"orders"}
	for _, b := range stage(w, "") {
		if b.Left != (b.Topic == "payments") || b.Left != strings.Contains(b.Stays, "does not select") ||
			b.Left && b.Fix == "" {
			t.Errorf("the cutover says %+v", b)
		}
	}
	timestampType(w, "orders", "LogAppendTime", "after a cutover of orders")
	timestampType(w, "payments", "CreateTime", "after a cutover of orders")
	if k := w.Kept("payments"); len(k.Settings) == 0 {
		t.Error("the ledger has forgotten what payments had before")
	}
	list, err := targettopics.Restore(w.Ctx, w.HandoverOptions().Clusters, w.Cfg, true, w.HandoverOptions().Log)
	w.Must("restore", err)
	if len(list) != 3 || !list[0].Left {
		t.Errorf("topics restore says %+v", list)
	}
	timestampType(w, "payments", "CreateTime", "after topics restore without it")

	w.Cfg = all
	w.Must("alter", workload.Alter(w.Ctx, w.Sides.Source, "payments", map[string]string{"retention.ms": "70000000"}))
	w.Start(nil)
	w.Await("the topic that was not cut over follows", func() bool {
		return w.Settings(w.Sides.Target, "payments")["retention.ms"] == "70000000"
	})
	timestampType(w, "orders", "LogAppendTime", "when the others are mirrored")
	_, err = targettopics.Restore(w.Ctx, w.HandoverOptions().Clusters, w.Cfg, true, w.HandoverOptions().Log)
	w.Must("restore", err)
	timestampType(w, "payments", "CreateTime", "after topics restore beside a replica")
}

// A cutover in stages puts settings back at the end of the stage that has moved the last group; before that it
// says which groups it waits for.
func TestLastStagePutsSettingsBack(t *testing.T) {
	w := flowtest.New(t)
	lasting(w, "orders")
	w.Commit("billing", "orders", 0, 3)
	w.Commit("mail", "orders", 0, 2)
	w.Start(nil)
	w.Equal([]string{"orders"})
	c, _ := again(w, "billing")
	states, err := c.Preview(w.Ctx)
	w.Must("look", err)
	if last := states[len(states)-1]; last.Done || last.Name != "restored" ||
		!strings.Contains(last.Missing, "not moved yet: mail") {
		t.Errorf("the plan of a first stage ends with %+v", last)
	}
	for _, b := range stage(w, "billing") {
		if !b.Left || !strings.Contains(b.Stays, "not moved yet: mail") || b.Fix == "" {
			t.Errorf("the first stage says %+v", b)
		}
	}
	timestampType(w, "orders", "CreateTime", "after the first stage")
	for _, b := range stage(w, "mail") {
		if b.Left || b.Stays != "" {
			t.Errorf("the last stage says %+v", b)
		}
	}
	timestampType(w, "orders", "LogAppendTime", "after the last stage")
	if status, err := inspect.Status(w.Ctx, w.Look()); err != nil || status.Cutover.State != handover.Done ||
		len(status.Cutover.Groups) != 2 {
		t.Errorf("status says %+v, %v", status.Cutover, err)
	}
}

// What the flow has created ends with the message.timestamp settings that its source has by then, though those were
// others at its creation, and check lists them.
func TestCreatedTopicEndsAsItsSource(t *testing.T) {
	const limit = "message.timestamp.after.max.ms"
	w := flowtest.New(t)
	lasting(w, "before")
	w.Topic("later", 1)
	w.Plain(w.Sides.Source, "later", 0, 3)
	w.Start(nil)
	w.Equal([]string{"before", "later"})
	timestampType(w, "later", "CreateTime", "while it is mirrored")
	w.Must("alter", workload.Alter(w.Ctx, w.Sides.Source, "later",
		map[string]string{"message.timestamp.type": "LogAppendTime", limit: "70000000"}))
	w.Must("alter", workload.Alter(w.Ctx, w.Sides.Source, "before",
		map[string]string{"message.timestamp.type": "CreateTime"}))

	plan, err := preflight.Plan(w.Ctx, w.Look())
	w.Must("plan", err)
	listed := map[string]string{}
	for _, one := range plan.Topics {
		for _, b := range one.Kept {
			listed[one.Source+" "+b.Key] = b.Was
		}
	}
	if listed["before message.timestamp.type"] != "" || listed["later message.timestamp.type"] != "LogAppendTime" ||
		listed["later "+limit] != "70000000" {
		t.Errorf("check lists %v", listed)
	}
	w.CutOver()
	timestampType(w, "later", "LogAppendTime", "after the cutover")
	timestampType(w, "before", "CreateTime", "after the cutover")
	if got := w.Settings(w.Sides.Target, "later")[limit]; got != "70000000" {
		t.Errorf("after the cutover %s is %s", limit, got)
	}
	if k := w.Kept("later"); len(k.Settings) > 0 {
		t.Errorf("the ledger still keeps %+v", k)
	}
}
