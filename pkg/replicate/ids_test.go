package replicate

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
)

// withoutIDs are the versions of a broker whose topics have no ids.
func withoutIDs() kfake.Opt { return kfake.MaxVersions(kversion.V2_7_0()) }

// TestTargetWithoutTopicIDs: it is refused by every look and at the start, with the
// reason, whether a topic shows beforehand or not.
func TestTargetWithoutTopicIDs(t *testing.T) { onLanes(t, testTargetWithoutTopicIDs) }

func testTargetWithoutTopicIDs(t *testing.T, w *world) {
	w.target, w.sides.Target, w.to = w.cluster("new", withoutIDs())
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 5)
	refused := func(err error) {
		t.Helper()
		var idless *NoTopicIDsError
		if !errors.As(err, &idless) || idless.Cluster != "new" || !strings.Contains(idless.Remedy(), "2.8") {
			t.Errorf("%v, want that cluster new gives its topics no ids", err)
		}
	}
	plan, err := w.look().Plan(w.ctx) // no topic is there
	w.must("plan", err)
	refused(errors.Join(plan.InTheWay()...))
	refused(w.ends(w.once())) // by the ledger, the first topic there
	view := w.look()
	plan, err = view.Plan(w.ctx)
	w.must("plan", err)
	refused(errors.Join(plan.InTheWay()...))
	status, err := view.Status(w.ctx)
	w.must("status", err)
	if status.CaughtUp || len(status.Problems) == 0 || !strings.Contains(status.Problems[0].Error, "no ids") {
		t.Errorf("status says %+v", status.Problems)
	}
	refused(w.ends(w.once()))
}

// TestSourceWithoutTopicIDs: it is copied, and check says what that means.
func TestSourceWithoutTopicIDs(t *testing.T) { onLanes(t, testSourceWithoutTopicIDs) }

func testSourceWithoutTopicIDs(t *testing.T, w *world) {
	w.source, w.sides.Source, w.from = w.cluster("old", withoutIDs())
	w.topic("orders", 2)
	w.mixed("orders", 2, 100)
	w.start(nil)
	w.equal([]string{"orders"})
	w.groups([]string{"orders"})
	plan, err := w.look().Plan(w.ctx)
	w.must("plan", err)
	if !strings.Contains(strings.Join(plan.Warnings, "\n"), "no ids") || len(plan.InTheWay()) > 0 {
		t.Errorf("check warns of %q, and says that in the way are %v", plan.Warnings, plan.InTheWay())
	}
}

// TestSourceGetsTopicIDs: the upgrade of the source gives its topics ids. They are the
// same topics: nothing is copied twice, and groups stand where they stood. One that is
// created again later is another.
func TestSourceGetsTopicIDs(t *testing.T) { onLanes(t, testSourceGetsTopicIDs) }

func testSourceGetsTopicIDs(t *testing.T, w *world) {
	upgraded := w.upgrading(w.source)
	w.topic("orders", 2)
	w.mixed("orders", 2, 100)
	r := w.start(nil)
	w.equal([]string{"orders"})
	w.groups([]string{"orders"})
	r.stop()
	if state := w.state("orders", 0); state.SourceTopic != (chunk.TopicID{}) {
		t.Fatalf("the topic has the id %v, want none", state.SourceTopic)
	}
	upgraded()
	w.equalNow("orders") // and status and verify find what there is
	w.mixed("orders", 2, 60)
	r = w.start(nil)
	w.equal([]string{"orders"})
	w.groups([]string{"orders"})
	r.stop()
	w.equalNow("orders")
	if state := w.state("orders", 0); state.SourceTopic == (chunk.TopicID{}) {
		t.Error("the ledger does not say which id the topic has got")
	}
	if n := strings.Count(w.log.String(), "created again"); n > 0 {
		t.Errorf("the log tells %d times of topics that were created again:\n%s", n, w.log.String())
	}
	w.delete(w.from, "orders")
	w.topic("orders", 2)
	w.plain(w.sides.Source, "orders", 0, 5)
	w.must("copy another topic", w.ends(w.once()))
	if n := len(w.states("orders", 0)); n != 2 {
		t.Errorf("the ledger has %d states of the partition, want one for each topic", n)
	}
	if !strings.Contains(w.log.String(), "source topic was created again") {
		t.Errorf("nothing tells of the topic that was created again:\n%s", w.log.String())
	}
}

// upgrading is a cluster whose topics have no ids until what it answers is called.
func (w *world) upgrading(fake *kafkatest.Cluster) (upgraded func()) {
	var done atomic.Bool
	fake.ControlKey(int16(kmsg.ApiVersions), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if done.Load() {
			return nil, nil, false
		}
		fake.KeepControl()
		answer := kmsg.NewPtrApiVersionsResponse()
		answer.Version = request.GetVersion()
		kversion.V2_7_0().EachMaxKeyVersion(func(key, version int16) {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, version
			answer.ApiKeys = append(answer.ApiKeys, k)
		})
		return answer, nil, true
	})
	return func() { done.Store(true) }
}

// equalNow wants both sides equal, and verify to say so.
func (w *world) equalNow(topic string) {
	w.t.Helper()
	w.equal([]string{topic})
	v, err := w.look().Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if v.Verdict != Equal || v.Compared == 0 {
		w.t.Errorf("verify says %s of %d records: %+v", v.Verdict, v.Compared, v.Partitions)
	}
}

// TestRollbackAfterUpgrade: what was moved away from a cluster without topic ids comes back
// when its upgrade is finished, and the flow goes on.
func TestRollbackAfterUpgrade(t *testing.T) { onLanes(t, testRollbackAfterUpgrade) }

func testRollbackAfterUpgrade(t *testing.T, w *world) {
	const topic = "orders"
	upgraded := w.upgrading(w.source)
	w.topic(topic, 3)
	w.mixed(topic, 3, 300)
	r := w.start(nil)
	w.groups([]string{topic})
	w.cutOver()
	r.stop()

	w.writeOnTarget(topic, 200)
	w.moveGroups(w.to, w.sides.Target, topic)
	_, err := OpenRollback(w.ctx, w.handoverOptions())
	var idless *NoTopicIDsError
	if !errors.As(err, &idless) || !idless.Back {
		t.Errorf("a rollback to a cluster without topic ids: %v", err)
	}
	upgraded()
	if state, _ := w.rollBack(); state.Records == 0 || len(state.GivenUp) > 0 {
		t.Errorf("the way back is described as %+v", state)
	}
	w.bothWays(topic)
	w.mixed(topic, 3, 100)
	r = w.start(nil)
	w.moveGroups(w.from, w.sides.Source, topic)
	w.equal([]string{topic})
	w.groupsStand(worldGroups(), []string{topic})
	r.stop()
}
