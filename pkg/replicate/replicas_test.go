package replicate

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
)

// owned is how many shards a replica works on.
func (r *replica) owned() int {
	n := 0
	for _, f := range r.Look() {
		n += f.Shards
	}
	return n
}

func (w *world) share(want ...int) func(replicas ...*replica) {
	return func(replicas ...*replica) {
		w.t.Helper()
		w.await("the shards are shared as they should be", func() bool {
			for i, r := range replicas {
				if r.owned() != want[i] {
					return false
				}
			}
			return true
		})
	}
}

// TestReplicas: shards move between two replicas while records arrive, and nothing
// is lost, doubled or reordered; the groups follow at every owner.
func TestReplicas(t *testing.T) { onLanes(t, testReplicas) }

func testReplicas(t *testing.T, w *world) {
	w.cfg.Shards = 8
	topics := []string{"orders"}
	w.topic("orders", 8)
	w.mixed("orders", 8, 300)
	first := w.start(nil)
	w.share(8)(first)
	second := w.start(nil)
	w.mixed("orders", 8, 300)
	w.share(4, 4)(first, second)
	w.mixed("orders", 8, 300)
	w.equal(topics)
	for number := range int32(8) { // a log that ends with markers takes some seconds, see TestTrailingMarkers
		w.plain(w.sides.Source, "orders", number, 1)
	}
	w.groups(topics)
	both := 0
	for number := range int32(8) {
		_, here := first.shown("orders", number)
		if _, there := second.shown("orders", number); here == there {
			t.Errorf("%v: worked on by both replicas or none", chunk.Partition{Topic: "orders", Number: number})
		}
		if here {
			both++
		}
	}
	if both != 4 {
		t.Errorf("the first of two replicas copies %d of 8 partitions", both)
	}
	w.mixed("orders", 8, 300)
	first.stop()
	w.share(8)(second)
	w.mixed("orders", 8, 300)
	w.equal(topics)
	for number := range int32(8) {
		w.plain(w.sides.Source, "orders", number, 1)
	}
	w.groups(topics)
}

// expel has the target's coordinator forget all members of the daemon's group, as it
// does with those that were silent for too long. It waits until nobody is joining: kfake
// leaves a member that it forgets meanwhile without an answer, which brokers do not.
func (w *world) expel(client *kgo.Client) {
	w.t.Helper()
	var described kadm.DescribedGroups
	w.await("nobody is joining", func() bool {
		var err error
		described, err = kadm.NewClient(client).DescribeGroups(w.ctx, w.cfg.GroupID())
		w.must("describe the group", err)
		return described[w.cfg.GroupID()].State == "Stable"
	})
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = w.cfg.GroupID()
	for _, m := range described[w.cfg.GroupID()].Members {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = m.MemberID
		req.Members = append(req.Members, one)
	}
	answer, err := req.RequestWith(w.ctx, client)
	w.must("expel", err)
	w.must("expel", kerr.ErrorForCode(answer.ErrorCode))
}

// TestExpelledReplicas: when the group forgets its members in the middle of the work,
// shards change hands without being let go, and fencing alone keeps the owners apart.
func TestExpelledReplicas(t *testing.T) { onLanes(t, testExpelledReplicas) }

func testExpelledReplicas(t *testing.T, w *world) {
	topics := []string{"orders"}
	w.topic("orders", 4)
	client, err := kgo.NewClient(kgo.SeedBrokers(w.target.ListenAddrs()...))
	w.must("open", err)
	defer client.Close()
	first, second := w.start(nil), w.start(nil)
	w.share(2, 2)(first, second)
	for range 3 {
		w.mixed("orders", 4, 200)
		w.expel(client)
		w.mixed("orders", 4, 200)
		w.equal(topics)
	}
	for number := range int32(4) {
		w.plain(w.sides.Source, "orders", number, 1)
	}
	w.groups(topics)
	w.await("all shards have an owner", func() bool { return first.owned()+second.owned() == 4 })
	first.stop()
	second.stop()
}

// TestTrailingMarkers: a daemon that was stopped goes on where it was, and a group that
// stands behind trailing markers has no lag.
func TestTrailingMarkers(t *testing.T) { onLanes(t, testTrailingMarkers) }

func testTrailingMarkers(t *testing.T, w *world) {
	topics := []string{"orders"}
	w.topic("orders", 4)
	w.mixed("orders", 4, 300)
	r := w.start(nil)
	w.equal(topics)
	r.stop()
	w.mixed("orders", 4, 300)
	r = w.start(nil)
	w.mixed("orders", 4, 300)
	w.equal(topics)
	w.groups(topics) // at the end, past all markers, among others
	r.stop()
}

// Applications go over and back with two replicas at work before and after: the rollback
// is refused until the last one has ended.
func TestThereAndBackWithReplicas(t *testing.T) {
	w := newWorld(t)
	const topic = "orders"
	w.topic(topic, 3)
	w.mixed(topic, 3, 600)
	first := w.start(nil)
	w.share(4)(first)
	second := w.start(nil)
	w.share(2, 2)(first, second)
	w.groups([]string{topic})
	w.cutOver()
	w.writeOnTarget(topic, 300)
	w.moveGroups(w.to, w.sides.Target, topic)
	for left, r := range []*replica{second, first} {
		_, err := OpenRollback(w.ctx, w.handoverOptions())
		if want := fmt.Sprintf("%d replicas of flow old->new are running", 2-left); err == nil || err.Error() != want {
			t.Errorf("beside replicas a rollback says %v, want %q", err, want)
		}
		r.stop()
	}
	w.rollBack()
	w.bothWays(topic)

	w.mixed(topic, 3, 300)
	first = w.start(nil)
	w.share(4)(first)
	second = w.start(nil)
	w.share(2, 2)(first, second)
	w.moveGroups(w.from, w.sides.Source, topic)
	w.equal([]string{topic})
	w.groupsStand(worldGroups(), []string{topic})
}
