package replicate_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/replicate/chunk"
)

func share(w *flowtest.World, want ...int) func(replicas ...*flowtest.Replica) {
	return func(replicas ...*flowtest.Replica) {
		w.T.Helper()
		w.Await("the shards are shared as they should be", func() bool {
			for i, r := range replicas {
				if r.Owned() != want[i] {
					return false
				}
			}
			return true
		})
	}
}

// TestShardsMoveWhileRecordsArrive: shards move between two replicas while records arrive, and nothing
// is lost, doubled or reordered; the groups follow at every owner.
func TestShardsMoveWhileRecordsArrive(t *testing.T) {
	flowtest.OnLanes(t, testShardsMoveWhileRecordsArrive)
}

func testShardsMoveWhileRecordsArrive(t *testing.T, w *flowtest.World) {
	w.Cfg.Shards = 8
	topics := []string{"orders"}
	w.Topic("orders", 8)
	w.Mixed("orders", 8, 300)
	first := w.Start(nil)
	share(w, 8)(first)
	second := w.Start(nil)
	w.Mixed("orders", 8, 300)
	share(w, 4, 4)(first, second)
	w.Mixed("orders", 8, 300)
	w.Equal(topics)
	for number := range int32(8) { // a log that ends with markers takes some seconds, see TestTrailingMarkers
		w.Plain(w.Sides.Source, "orders", number, 1)
	}
	w.Groups(topics)
	both := 0
	for number := range int32(8) {
		_, here := first.Shown("orders", number)
		if _, there := second.Shown("orders", number); here == there {
			t.Errorf("%v: worked on by both replicas or none", chunk.Partition{Topic: "orders", Number: number})
		}
		if here {
			both++
		}
	}
	if both != 4 {
		t.Errorf("the first of two replicas copies %d of 8 partitions", both)
	}
	w.Mixed("orders", 8, 300)
	first.Stop()
	share(w, 8)(second)
	w.Mixed("orders", 8, 300)
	w.Equal(topics)
	for number := range int32(8) {
		w.Plain(w.Sides.Source, "orders", number, 1)
	}
	w.Groups(topics)
}

// expel has the target's coordinator forget all members of the daemon's group, as it
// does with those that were silent for too long. It waits until nobody is joining: kfake
// leaves a member that it forgets meanwhile without an answer, which brokers do not.
func expel(w *flowtest.World, client *kgo.Client) {
	w.T.Helper()
	var described kadm.DescribedGroups
	w.Await("nobody is joining", func() bool {
		var err error
		described, err = kadm.NewClient(client).DescribeGroups(w.Ctx, w.Cfg.GroupID())
		w.Must("describe the group", err)
		return described[w.Cfg.GroupID()].State == "Stable"
	})
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = w.Cfg.GroupID()
	for _, m := range described[w.Cfg.GroupID()].Members {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = m.MemberID
		req.Members = append(req.Members, one)
	}
	answer, err := req.RequestWith(w.Ctx, client)
	w.Must("expel", err)
	w.Must("expel", kerr.ErrorForCode(answer.ErrorCode))
}

// TestExpelledReplicasGoOn: when the group forgets its members in the middle of the work,
// shards change hands without being let go, and fencing alone keeps the owners apart.
func TestExpelledReplicasGoOn(t *testing.T) { flowtest.OnLanes(t, testExpelledReplicasGoOn) }

func testExpelledReplicasGoOn(t *testing.T, w *flowtest.World) {
	topics := []string{"orders"}
	w.Topic("orders", 4)
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Target.ListenAddrs()...))
	w.Must("open", err)
	defer client.Close()
	first, second := w.Start(nil), w.Start(nil)
	share(w, 2, 2)(first, second)
	for range 3 {
		w.Mixed("orders", 4, 200)
		expel(w, client)
		w.Mixed("orders", 4, 200)
		w.Equal(topics)
	}
	for number := range int32(4) {
		w.Plain(w.Sides.Source, "orders", number, 1)
	}
	w.Groups(topics)
	w.Await("all shards have an owner", func() bool { return first.Owned()+second.Owned() == 4 })
	first.Stop()
	second.Stop()
}

// TestTrailingMarkers: a daemon that was stopped goes on where it was, and a group that
// stands behind trailing markers has no lag.
func TestTrailingMarkers(t *testing.T) { flowtest.OnLanes(t, testTrailingMarkers) }

func testTrailingMarkers(t *testing.T, w *flowtest.World) {
	topics := []string{"orders"}
	w.Topic("orders", 4)
	w.Mixed("orders", 4, 300)
	r := w.Start(nil)
	w.Equal(topics)
	r.Stop()
	w.Mixed("orders", 4, 300)
	r = w.Start(nil)
	w.Mixed("orders", 4, 300)
	w.Equal(topics)
	w.Groups(topics) // at the end, past all markers, among others
	r.Stop()
}

// Applications go over and back with two replicas at work before and after: the rollback
// is refused until the last one has ended.
func TestThereAndBackWithReplicas(t *testing.T) {
	w := flowtest.New(t)
	const topic = "orders"
	w.Topic(topic, 3)
	w.Mixed(topic, 3, 600)
	first := w.Start(nil)
	share(w, 4)(first)
	second := w.Start(nil)
	share(w, 2, 2)(first, second)
	w.Groups([]string{topic})
	w.CutOver()
	w.WriteOnTarget(topic, 300)
	w.MoveGroups(w.To, w.Sides.Target, topic)
	for left, r := range []*flowtest.Replica{second, first} {
		_, err := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
		if want := fmt.Sprintf("%d replicas of flow old->new are running", 2-left); err == nil || err.Error() != want {
			t.Errorf("beside replicas a rollback says %v, want %q", err, want)
		}
		r.Stop()
	}
	w.RollBack()
	w.BothWays(topic)

	w.Mixed(topic, 3, 300)
	first = w.Start(nil)
	share(w, 4)(first)
	second = w.Start(nil)
	share(w, 2, 2)(first, second)
	w.MoveGroups(w.From, w.Sides.Source, topic)
	w.Equal([]string{topic})
	w.GroupsStand(flowtest.WorldGroups(), []string{topic})
}
