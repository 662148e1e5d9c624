package replicate

import (
	"maps"
	"slices"
	"testing"

	"replicator/integration/workload"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/topics"
)

// settings reads what a topic of a cluster has, whether it was set or not.
func (w *world) settings(bootstrap, topic string) map[string]string {
	w.t.Helper()
	admin := w.to
	if bootstrap == w.sides.Source {
		admin = w.from
	}
	described, err := admin.DescribeTopicConfigs(w.ctx, topic)
	w.must("describe settings", err)
	all := map[string]string{}
	for _, c := range described[0].Configs {
		if c.Value != nil {
			all[c.Key] = *c.Value
		}
	}
	return all
}

// kept is what the flow's ledger keeps of a topic's settings.
func (w *world) kept(topic string) topics.Kept {
	w.t.Helper()
	books, err := readFirstBooks(w.ctx, w.kafka("new", w.sides.Target), w.cfg.LedgerTopic(), w.cfg.Shards, 1)
	w.must("read ledger", err)
	k, err := keptNote(books[0], topic)
	w.must("read note", err)
	return k
}

// TestForeignTopicIsUntouched: a target topic with records that the ledger does not know is
// refused as a whole before anything of it is altered, though its settings and its number
// of partitions differ from the source's; check says the same beforehand.
func TestForeignTopicIsUntouched(t *testing.T) { onLanes(t, testForeignTopicIsUntouched) }

func testForeignTopicIsUntouched(t *testing.T, w *world) {
	w.must("create", workload.Topics(w.ctx, w.sides.Source, 3,
		map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "60000"}, "orders"))
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 2, map[string]string{"retention.ms": "604800000"}, "orders"))
	w.topic("payments", 1)
	w.plain(w.sides.Target, "orders", 1, 30)
	w.plain(w.sides.Source, "payments", 0, 3)
	before := w.settings(w.sides.Target, "orders")

	look, err := Inspect(w.ctx, w.handoverOptions().Clusters, w.cfg, nil)
	w.must("inspect", err)
	defer look.Close()
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	if one := plan.Topics[0]; one.Stop == nil || one.Stop.Kind != chunk.StopForeign || !one.Nothing() {
		t.Errorf("check says %+v of the topic", one)
	}

	r := w.start(nil)
	w.equal([]string{"payments"})
	for number := range int32(3) {
		r.stopped("orders", number, chunk.StopForeign)
	}
	after := w.settings(w.sides.Target, "orders")
	for key, value := range before {
		if after[key] != value {
			t.Errorf("%s was altered from %s to %s", key, value, after[key])
		}
	}
	there, err := w.to.ListTopics(w.ctx, "orders")
	w.must("list", err)
	if n := len(there["orders"].Partitions); n != 2 {
		t.Errorf("the topic has %d partitions, want the 2 that it had", n)
	}
	if k := w.kept("orders"); k.Topic != "" {
		t.Errorf("the ledger keeps %+v of a topic that was left alone", k)
	}
}

// TestWrongDirectionIsHarmless: a flow whose from and to are exchanged finds the originals
// where it wants to write, and leaves them as they are.
func TestWrongDirectionIsHarmless(t *testing.T) {
	w := newWorld(t)
	w.must("create", workload.Topics(w.ctx, w.sides.Source, 1, map[string]string{"retention.ms": "60000"},
		"orders", "later"))
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 2,
		map[string]string{"message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"}, "orders", "later"))
	w.plain(w.sides.Target, "orders", 0, 3)
	w.plain(w.sides.Target, "later", 1, 3)
	w.must("grow", workload.Grow(w.ctx, w.sides.Source, "orders", 3))
	before := w.settings(w.sides.Target, "orders")
	r := w.start(nil)
	r.stopped("orders", 0, chunk.StopForeign)
	r.stopped("orders", 2, chunk.StopForeign)
	r.stopped("later", 0, chunk.StopPartitions)
	after := w.settings(w.sides.Target, "orders")
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
	w := newWorld(t)
	w.must("create", workload.Topics(w.ctx, w.sides.Source, 2,
		map[string]string{"retention.ms": "60000000", "message.timestamp.type": "LogAppendTime"}, "orders", "empty"))
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 2, map[string]string{"retention.ms": "50000000"}, "empty"))
	w.plain(w.sides.Source, "orders", 1, 3)
	w.plain(w.sides.Source, "empty", 1, 3)
	r := w.start(nil)
	w.equal([]string{"orders", "empty"})
	r.stop()
	if k := w.kept("orders"); !k.Created || k.TargetID == "" || len(k.Settings) != 3 ||
		k.Settings["message.timestamp.type"].Was != "LogAppendTime" || k.Settings["message.timestamp.type"].Default ||
		!k.Settings["message.timestamp.after.max.ms"].Default {
		t.Errorf("the ledger keeps of a topic that was created: %+v", k)
	}
	if k := w.kept("empty"); k.Created || k.TargetID == "" || k.Settings["retention.ms"].Was != "50000000" ||
		k.Settings["retention.ms"].Set != "60000000" || k.Settings["retention.ms"].Default {
		t.Errorf("the ledger keeps of a topic that was there: %+v", k)
	}
	w.must("alter", workload.Alter(w.ctx, w.sides.Source, "orders", map[string]string{"retention.ms": "70000000"}))
	w.must("alter", workload.Alter(w.ctx, w.sides.Source, "empty", map[string]string{"retention.ms": "70000000"}))
	w.start(nil)
	for _, topic := range []string{"orders", "empty"} {
		w.await(topic+" is altered", func() bool { return w.settings(w.sides.Target, topic)["retention.ms"] == "70000000" })
	}
	if k := w.kept("empty"); k.Settings["retention.ms"].Was != "50000000" || k.Settings["retention.ms"].Set != "70000000" {
		t.Errorf("after a second alteration the ledger keeps %+v", k)
	}
	if k := w.kept("orders"); len(k.Settings) != 3 || !k.Created {
		t.Errorf("after a second alteration the ledger keeps of a topic that was created: %+v", k)
	}
}

// TestSettingsComeBack: at the end of a cutover what the flow has set on topics of the target
// is as it was, though a daemon goes on; what would delete records stays, and what somebody
// has set meanwhile. A rollback sets and puts back on the source the same way.
func TestSettingsComeBack(t *testing.T) { onLanes(t, testSettingsComeBack) }

func testSettingsComeBack(t *testing.T, w *world) {
	const limit = "message.timestamp.after.max.ms"
	w.must("create", workload.Topics(w.ctx, w.sides.Source, 1, map[string]string{
		"message.timestamp.type": "LogAppendTime", limit: "70000000", "retention.ms": "800000000"}, "made", "longer"))
	w.must("create", workload.Topics(w.ctx, w.sides.Source, 1,
		map[string]string{"retention.ms": "60000000", "max.message.bytes": "2000000"}, "shorter"))
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 1, map[string]string{"retention.ms": "50000000"}, "longer"))
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 1, map[string]string{
		"retention.ms": "700000000", "delete.retention.ms": "5000"}, "shorter"))
	all := []string{"made", "longer", "shorter"}
	for _, topic := range all {
		w.plain(w.sides.Source, topic, 0, 3)
	}
	originals := map[string]map[string]string{}
	for _, topic := range all {
		originals[topic] = w.settings(w.sides.Source, topic)
	}
	r := w.start(nil)
	w.groups(all)
	w.must("alter", workload.Alter(w.ctx, w.sides.Target, "shorter", map[string]string{"max.message.bytes": "3000000"}))
	has := func(when, topic, key, want string) {
		t.Helper()
		if got := w.settings(w.sides.Target, topic)[key]; got != want {
			t.Errorf("%s: %s of %s is %s, want %s", when, key, topic, got, want)
		}
	}
	has("while it is mirrored", "made", "message.timestamp.type", "CreateTime")
	has("while it is mirrored", "shorter", "retention.ms", "60000000")
	if _, err := RestoreTopics(w.ctx, w.handoverOptions().Clusters, w.cfg, true, w.handoverOptions().Log); err == nil {
		t.Error("settings are put back while a replica runs")
	}

	c, err := OpenCutover(w.ctx, w.handoverOptions())
	w.must("open cutover", err)
	defer c.Close()
	_, err = c.Run(w.ctx)
	w.must("cut over", err)
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
	r.stopped("made", 0, chunk.StopTopic) // the daemon has looked at it, and left it
	over("after the daemon's next look")
	r.stop()

	w.plain(w.sides.Target, "made", 0, 5)
	w.rollBack()
	for _, topic := range all {
		for key, value := range originals[topic] {
			if topic == "shorter" && key == "retention.ms" {
				value = "700000000" // what was carried back would go sooner with the 60000000 from before
			}
			if got := w.settings(w.sides.Source, topic)[key]; got != value {
				t.Errorf("after the rollback %s of %s is %s on the source, want %s", key, topic, got, value)
			}
		}
	}
	w.start(nil)
	w.plain(w.sides.Source, "made", 0, 5)
	w.equal([]string{"made"})
	has("when the flow goes on", "made", "message.timestamp.type", "CreateTime")
}
