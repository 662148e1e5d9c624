package replicate_test

import (
	"maps"
	"slices"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/replicate/chunk"
)

// TestForeignTopicIsUntouched: a target topic with records that the ledger does not know is
// refused as a whole before anything of it is altered, though its settings and its number
// of partitions differ from the source's; check says the same beforehand.
func TestForeignTopicIsUntouched(t *testing.T) { flowtest.OnLanes(t, testForeignTopicIsUntouched) }

func testForeignTopicIsUntouched(t *testing.T, w *flowtest.World) {
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Source, 3,
		map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "60000"}, "orders"))
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 2, map[string]string{"retention.ms": "604800000"}, "orders"))
	w.Topic("payments", 1)
	w.Plain(w.Sides.Target, "orders", 1, 30)
	w.Plain(w.Sides.Source, "payments", 0, 3)
	before := w.Settings(w.Sides.Target, "orders")

	look, err := snapshot.Open(w.Ctx, w.HandoverOptions().Clusters, w.Cfg, nil)
	w.Must("inspect", err)
	defer look.Close()
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	if one := plan.Topics[0]; one.Stop == nil || one.Stop.Kind != chunk.StopForeign || !one.Nothing() {
		t.Errorf("check says %+v of the topic", one)
	}

	r := w.Start(nil)
	w.Equal([]string{"payments"})
	for number := range int32(3) {
		r.Stopped("orders", number, chunk.StopForeign)
	}
	after := w.Settings(w.Sides.Target, "orders")
	for key, value := range before {
		if after[key] != value {
			t.Errorf("%s was altered from %s to %s", key, value, after[key])
		}
	}
	there, err := w.To.ListTopics(w.Ctx, "orders")
	w.Must("list", err)
	if n := len(there["orders"].Partitions); n != 2 {
		t.Errorf("the topic has %d partitions, want the 2 that it had", n)
	}
	if k := w.Kept("orders"); k.Topic != "" {
		t.Errorf("the ledger keeps %+v of a topic that was left alone", k)
	}
}

// TestWrongDirectionIsHarmless: a flow whose from and to are exchanged finds the originals
// where it wants to write, and leaves them as they are.
func TestWrongDirectionIsHarmless(t *testing.T) {
	w := flowtest.New(t)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Source, 1, map[string]string{"retention.ms": "60000"},
		"orders", "later"))
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 2,
		map[string]string{"message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"}, "orders", "later"))
	w.Plain(w.Sides.Target, "orders", 0, 3)
	w.Plain(w.Sides.Target, "later", 1, 3)
	w.Must("grow", workload.Grow(w.Ctx, w.Sides.Source, "orders", 3))
	before := w.Settings(w.Sides.Target, "orders")
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopForeign)
	r.Stopped("orders", 2, chunk.StopForeign)
	r.Stopped("later", 0, chunk.StopPartitions)
	after := w.Settings(w.Sides.Target, "orders")
	for key, value := range before {
		if after[key] != value {
			t.Errorf("%s was altered from %s to %s", key, value, after[key])
		}
	}
}

// TestOwnTopicIsAltered: what the flow has created or copied to is altered as its source
// is, also by a process that knows nothing but the ledger; what it sets is kept with what
// was there before.
func TestOwnTopicIsAltered(t *testing.T) {
	w := flowtest.New(t)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Source, 2,
		map[string]string{"retention.ms": "60000000", "message.timestamp.type": "LogAppendTime"}, "orders", "empty"))
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 2, map[string]string{"retention.ms": "50000000"}, "empty"))
	w.Plain(w.Sides.Source, "orders", 1, 3)
	w.Plain(w.Sides.Source, "empty", 1, 3)
	r := w.Start(nil)
	w.Equal([]string{"orders", "empty"})
	r.Stop()
	if k := w.Kept("orders"); !k.Created || k.TargetID == "" || len(k.Settings) != 3 ||
		k.Settings["message.timestamp.type"].Was != "LogAppendTime" || k.Settings["message.timestamp.type"].Default ||
		!k.Settings["message.timestamp.after.max.ms"].Default {
		t.Errorf("the ledger keeps of a topic that was created: %+v", k)
	}
	if k := w.Kept("empty"); k.Created || k.TargetID == "" || k.Settings["retention.ms"].Was != "50000000" ||
		k.Settings["retention.ms"].Set != "60000000" || k.Settings["retention.ms"].Default {
		t.Errorf("the ledger keeps of a topic that was there: %+v", k)
	}
	w.Must("alter", workload.Alter(w.Ctx, w.Sides.Source, "orders", map[string]string{"retention.ms": "70000000"}))
	w.Must("alter", workload.Alter(w.Ctx, w.Sides.Source, "empty", map[string]string{"retention.ms": "70000000"}))
	w.Start(nil)
	for _, topic := range []string{"orders", "empty"} {
		w.Await(topic+" is altered", func() bool { return w.Settings(w.Sides.Target, topic)["retention.ms"] == "70000000" })
	}
	if k := w.Kept("empty"); k.Settings["retention.ms"].Was != "50000000" || k.Settings["retention.ms"].Set != "70000000" {
		t.Errorf("after a second alteration the ledger keeps %+v", k)
	}
	if k := w.Kept("orders"); len(k.Settings) != 3 || !k.Created {
		t.Errorf("after a second alteration the ledger keeps of a topic that was created: %+v", k)
	}
}

// TestSettingsComeBack: at the end of a cutover what the flow has set on topics of the target
// is as it was, though a daemon goes on; what would delete records stays, and what somebody
// has set meanwhile. A rollback sets and puts back on the source the same way.
func TestSettingsComeBack(t *testing.T) { flowtest.OnLanes(t, testSettingsComeBack) }

func testSettingsComeBack(t *testing.T, w *flowtest.World) {
	const limit = "message.timestamp.after.max.ms"
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Source, 1, map[string]string{
		"message.timestamp.type": "LogAppendTime", limit: "70000000", "retention.ms": "800000000"}, "made", "longer"))
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Source, 1,
		map[string]string{"retention.ms": "60000000", "max.message.bytes": "2000000"}, "shorter"))
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 1, map[string]string{"retention.ms": "50000000"}, "longer"))
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 1, map[string]string{
		"retention.ms": "700000000", "delete.retention.ms": "5000"}, "shorter"))
	all := []string{"made", "longer", "shorter"}
	for _, topic := range all {
		w.Plain(w.Sides.Source, topic, 0, 3)
	}
	originals := map[string]map[string]string{}
	for _, topic := range all {
		originals[topic] = w.Settings(w.Sides.Source, topic)
	}
	r := w.Start(nil)
	w.Groups(all)
	w.Must("alter", workload.Alter(w.Ctx, w.Sides.Target, "shorter", map[string]string{"max.message.bytes": "3000000"}))
	has := func(when, topic, key, want string) {
		t.Helper()
		if got := w.Settings(w.Sides.Target, topic)[key]; got != want {
			t.Errorf("%s: %s of %s is %s, want %s", when, key, topic, got, want)
		}
	}
	has("while it is mirrored", "made", "message.timestamp.type", "CreateTime")
	has("while it is mirrored", "shorter", "retention.ms", "60000000")
	if _, err := targettopics.Restore(w.Ctx, w.HandoverOptions().Clusters, w.Cfg, true,
		w.HandoverOptions().Log); err == nil {
		t.Error("settings are put back while a replica runs")
	}

	c, err := cutover.Open(w.Ctx, w.HandoverOptions())
	w.Must("open cutover", err)
	defer c.Close()
	_, err = c.Run(w.Ctx)
	w.Must("cut over", err)
	stays := map[string]string{}
	for _, b := range c.Restored() {
		if !b.Gone && b.Stays != "" {
			stays[b.Topic+" "+b.Key] = b.Stays
		}
	}
	want := []string{"longer retention.ms", "shorter delete.retention.ms", "shorter max.message.bytes"}
	if got := slices.Sorted(maps.Keys(stays)); !slices.Equal(got, want) {
		t.Errorf("these settings stay: %v, want %v", stays, want)
	}
	over := func(when string) {
		t.Helper()
		has(when, "made", "message.timestamp.type", "LogAppendTime")
		has(when, "made", limit, "70000000")
		has(when, "made", "retention.ms", "800000000")
		has(when, "longer", "retention.ms", "800000000") // 50000000 would delete
		has(when, "shorter", "retention.ms", "700000000")
		has(when, "shorter", "max.message.bytes", "3000000")
	}
	over("after the cutover")
	r.Stopped("made", 0, chunk.StopTopic) // the daemon has looked at it, and left it
	over("after the daemon's next look")
	r.Stop()

	w.Plain(w.Sides.Target, "made", 0, 5)
	w.RollBack()
	for _, topic := range all {
		for key, value := range originals[topic] {
			if topic == "shorter" && key == "retention.ms" {
				value = "700000000" // what was carried back would go sooner with the 60000000 from before
			}
			if got := w.Settings(w.Sides.Source, topic)[key]; got != value {
				t.Errorf("after the rollback %s of %s is %s on the source, want %s", key, topic, got, value)
			}
		}
	}
	w.Start(nil)
	w.Plain(w.Sides.Source, "made", 0, 5)
	w.Equal([]string{"made"})
	has("when the flow goes on", "made", "message.timestamp.type", "CreateTime")
}
