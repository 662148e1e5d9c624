package replicate

import (
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/topics"
)

// stage carries out a cutover of some groups, and answers what became of settings.
func (w *world) stage(groups string) []topics.Back {
	w.t.Helper()
	c, _ := w.again(groups)
	_, err := c.Run(w.ctx)
	w.must("cut over", err)
	return c.Restored()
}

// lasting makes topics on the source whose settings differ on the target while they are mirrored.
func (w *world) lasting(names ...string) {
	w.t.Helper()
	w.must("create", workload.Topics(w.ctx, w.sides.Source, 1,
		map[string]string{"message.timestamp.type": "LogAppendTime"}, names...))
	for _, name := range names {
		w.plain(w.sides.Source, name, 0, 3)
	}
}

func (w *world) timestampType(topic, want, when string) {
	w.t.Helper()
	if got := w.settings(w.sides.Target, topic)["message.timestamp.type"]; got != want {
		w.t.Errorf("%s: message.timestamp.type of %s is %s, want %s", when, topic, got, want)
	}
}

// A cutover with fewer topics than the ledger knows puts back the settings of those alone, and says so of the others:
// those are mirrored still.
func TestNarrowCutoverLeavesOtherTopics(t *testing.T) {
	w := newWorld(t)
	w.lasting("orders", "payments")
	r := w.start(nil)
	w.equal([]string{"orders", "payments"})
	r.stop()
	all := w.cfg
	w.cfg.Topics = []string{"orders"}
	for _, b := range w.stage("") {
		if b.Left != (b.Topic == "payments") || b.Left != strings.Contains(b.Stays, "does not select") ||
			b.Left && b.Fix == "" {
			t.Errorf("the cutover says %+v", b)
		}
	}
	w.timestampType("orders", "LogAppendTime", "after a cutover of orders")
	w.timestampType("payments", "CreateTime", "after a cutover of orders")
	if k := w.kept("payments"); len(k.Settings) == 0 {
		t.Error("the ledger has forgotten what payments had before")
	}
	list, err := RestoreTopics(w.ctx, w.handoverOptions().Clusters, w.cfg, true, w.handoverOptions().Log)
	w.must("restore", err)
	if len(list) != 3 || !list[0].Left {
		t.Errorf("topics restore says %+v", list)
	}
	w.timestampType("payments", "CreateTime", "after topics restore without it")

	w.cfg = all
	w.must("alter", workload.Alter(w.ctx, w.sides.Source, "payments", map[string]string{"retention.ms": "70000000"}))
	w.start(nil)
	w.await("the topic that was not cut over follows", func() bool {
		return w.settings(w.sides.Target, "payments")["retention.ms"] == "70000000"
	})
	w.timestampType("orders", "LogAppendTime", "when the others are mirrored")
	_, err = RestoreTopics(w.ctx, w.handoverOptions().Clusters, w.cfg, true, w.handoverOptions().Log)
	w.must("restore", err)
	w.timestampType("payments", "CreateTime", "after topics restore beside a replica")
}

// A cutover in stages puts settings back at the end of the stage that has moved the last group; before that it
// says which groups it waits for.
func TestLastStagePutsSettingsBack(t *testing.T) {
	w := newWorld(t)
	w.lasting("orders")
	w.commit("billing", "orders", 0, 3)
	w.commit("mail", "orders", 0, 2)
	w.start(nil)
	w.equal([]string{"orders"})
	c, _ := w.again("billing")
	states, err := c.Look(w.ctx)
	w.must("look", err)
	if last := states[len(states)-1]; last.Done || last.Name != "restored" ||
		!strings.Contains(last.Missing, "not moved yet: mail") {
		t.Errorf("the plan of a first stage ends with %+v", last)
	}
	for _, b := range w.stage("billing") {
		if !b.Left || !strings.Contains(b.Stays, "not moved yet: mail") || b.Fix == "" {
			t.Errorf("the first stage says %+v", b)
		}
	}
	w.timestampType("orders", "CreateTime", "after the first stage")
	for _, b := range w.stage("mail") {
		if b.Left || b.Stays != "" {
			t.Errorf("the last stage says %+v", b)
		}
	}
	w.timestampType("orders", "LogAppendTime", "after the last stage")
	if status, err := w.inspect().Status(w.ctx); err != nil || status.Cutover.State != handover.Done ||
		len(status.Cutover.Groups) != 2 {
		t.Errorf("status says %+v, %v", status.Cutover, err)
	}
}

// What the flow has created ends with the message.timestamp settings that its source has by then, though those were
// others at its creation, and check lists them.
func TestCreatedTopicEndsAsItsSource(t *testing.T) {
	const limit = "message.timestamp.after.max.ms"
	w := newWorld(t)
	w.lasting("before")
	w.topic("later", 1)
	w.plain(w.sides.Source, "later", 0, 3)
	w.start(nil)
	w.equal([]string{"before", "later"})
	w.timestampType("later", "CreateTime", "while it is mirrored")
	w.must("alter", workload.Alter(w.ctx, w.sides.Source, "later",
		map[string]string{"message.timestamp.type": "LogAppendTime", limit: "70000000"}))
	w.must("alter", workload.Alter(w.ctx, w.sides.Source, "before",
		map[string]string{"message.timestamp.type": "CreateTime"}))

	plan, err := w.inspect().Plan(w.ctx)
	w.must("plan", err)
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
	w.cutOver()
	w.timestampType("later", "LogAppendTime", "after the cutover")
	w.timestampType("before", "CreateTime", "after the cutover")
	if got := w.settings(w.sides.Target, "later")[limit]; got != "70000000" {
		t.Errorf("after the cutover %s is %s", limit, got)
	}
	if k := w.kept("later"); len(k.Settings) > 0 {
		t.Errorf("the ledger still keeps %+v", k)
	}
}
