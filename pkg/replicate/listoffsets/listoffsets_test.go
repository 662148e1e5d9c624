package listoffsets

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

func open(t *testing.T, c *kafkatest.Cluster) *Client {
	t.Helper()
	w, err := Open(kafka.Config{Name: "old", Properties: c.Properties()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func cluster(t *testing.T) (context.Context, *kafkatest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx, kafkatest.Start(t, kfake.NumBrokers(2), kfake.SeedTopics(2, "orders"))
}

// A client that remembers metadata would miss a topic that is created again
// between two commits, and its first records would never be copied.
func TestTopicCreatedAgainIsSeenAtOnce(t *testing.T) {
	ctx, c := cluster(t)
	asks, other := open(t, c), c.Admin()
	before, err := asks.TopicIDs(ctx, []string{"orders", "nowhere"})
	if err != nil || len(before) != 1 || before["orders"] == (chunk.TopicID{}) {
		t.Fatalf("TopicIDs = %v, %v, want one of orders", before, err)
	}
	if _, err := other.DeleteTopics(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	gone, err := asks.TopicIDs(ctx, []string{"orders"})
	if err != nil || len(gone) != 0 {
		t.Errorf("deleted: TopicIDs = %v, %v, want none", gone, err)
	}
	if _, err := other.CreateTopics(ctx, 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	after, err := asks.TopicIDs(ctx, []string{"orders"})
	want := map[string]chunk.TopicID{"orders": chunk.TopicID(c.TopicInfo("orders").TopicID)}
	if err != nil || !maps.Equal(after, want) || after["orders"] == before["orders"] {
		t.Errorf("created again: TopicIDs = %v, %v, want %v (it was %v)", after, err, want, before)
	}
}

func TestNewPartitionsAreSeen(t *testing.T) {
	ctx, c := cluster(t)
	asks, other := open(t, c), c.Admin()
	partitions := func() int {
		listed, err := asks.Stable(ctx, []string{"orders"})
		if err != nil {
			t.Fatal(err)
		}
		return len(listed)
	}
	if got := partitions(); got != 2 {
		t.Fatalf("%d partitions, want 2", got)
	}
	if _, err := other.UpdatePartitions(ctx, 5, "orders"); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(metadataAge) // what the client is allowed to remember
	defer tick.Stop()
	<-tick.C
	<-tick.C
	if got := partitions(); got != 5 {
		t.Errorf("%d partitions two metadata ages after 3 were added, want 5", got)
	}
}

func TestNothingIsAskedForNothing(t *testing.T) {
	ctx, c := cluster(t)
	w := open(t, c)
	ids, err := w.TopicIDs(ctx, nil)
	if err != nil || len(ids) != 0 {
		t.Errorf("TopicIDs of no topics = %v, %v, want none", ids, err)
	}
	listed, err := w.Stable(ctx, nil)
	if err != nil || len(listed) != 0 {
		t.Errorf("Stable of no topics = %v, %v, want none", listed, err)
	}
}

// A broker that does not answer leaves no hole in the answer: who finds nothing would
// take the log for empty.
func TestSilentBrokerShowsAtItsPartitions(t *testing.T) {
	ctx, c := cluster(t)
	asks := open(t, c)
	for number := range int32(2) {
		if err := c.MoveTopicPartition("orders", number, number); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []kmsg.Key{kmsg.ListOffsets, kmsg.OffsetForLeaderEpoch} {
		c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			return nil, errors.New("the connection is cut"), c.CurrentNode() == 1
		})
	}
	heard, silent := chunk.Partition{Topic: "orders"}, chunk.Partition{Topic: "orders", Number: 1}
	for name, ask := range map[string]func() (Offsets, error){
		"Earliest": func() (Offsets, error) { return asks.Earliest(ctx, []string{"orders"}) },
		"Stable":   func() (Offsets, error) { return asks.Stable(ctx, []string{"orders"}) },
		"Ends":     func() (Offsets, error) { return asks.Ends(ctx, []string{"orders"}) },
		"EpochEnds": func() (Offsets, error) {
			return asks.EpochEnds(ctx, []chunk.Position{{Partition: heard}, {Partition: silent}})
		},
	} {
		listed, err := ask()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if one, there := listed[heard]; !there || one.Err != nil {
			t.Errorf("%s: %+v, %v of the partition whose broker answers", name, one, there)
		}
		if one, there := listed[silent]; !there || one.Err == nil {
			t.Errorf("%s: %+v, %v of the partition whose broker is silent, want its error", name, one, there)
		}
	}
}

// One topic that may not be described hides nothing of the others.
func TestRefusedTopicHidesNoOther(t *testing.T) {
	w := open(t, kafkatest.Guarded(t, kafkatest.Allow(kmsg.ACLResourceTypeTopic, "orders", kmsg.ACLOperationDescribe),
		kfake.SeedTopics(2, "orders", "secret")))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	both := []string{"orders", "secret"}
	var positions []chunk.Position
	for _, topic := range both {
		for number := range int32(2) {
			positions = append(positions, chunk.Position{Partition: chunk.Partition{Topic: topic, Number: number}})
		}
	}
	for name, ask := range map[string]func() (Offsets, error){
		"Earliest":  func() (Offsets, error) { return w.Earliest(ctx, both) },
		"Stable":    func() (Offsets, error) { return w.Stable(ctx, both) },
		"Ends":      func() (Offsets, error) { return w.Ends(ctx, both) },
		"At":        func() (Offsets, error) { return w.At(ctx, both, time.Now()) },
		"EpochEnds": func() (Offsets, error) { return w.EpochEnds(ctx, positions) },
	} {
		listed, err := ask()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, at := range positions {
			one, there := listed[at.Partition]
			switch answered := there && one.Err == nil; {
			case at.Partition.Topic == "orders" && !answered, at.Partition.Topic == "secret" && answered:
				t.Errorf("%s: %s has %+v, %v", name, at.Partition, one, there)
			}
		}
	}
}
