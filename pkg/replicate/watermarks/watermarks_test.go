package watermarks

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

func open(t *testing.T, c *kfake.Cluster) *Watermarks {
	t.Helper()
	w, err := Open(kafka.Config{Name: "old",
		Properties: map[string]string{"bootstrap.servers": strings.Join(c.ListenAddrs(), ",")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func cluster(t *testing.T) (context.Context, *kfake.Cluster) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx, c
}

// A client that remembers metadata would miss a topic that is created again
// between two commits, and its first records would never be copied.
func TestTopicCreatedAgainIsSeenAtOnce(t *testing.T) {
	ctx, c := cluster(t)
	asks, other := open(t, c), open(t, c)
	before, err := asks.TopicIDs(ctx, []string{"orders", "nowhere"})
	if err != nil || len(before) != 1 || before["orders"] == (chunk.TopicID{}) {
		t.Fatalf("TopicIDs = %v, %v, want one of orders", before, err)
	}
	if _, err := other.admin.DeleteTopics(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	gone, err := asks.TopicIDs(ctx, []string{"orders"})
	if err != nil || len(gone) != 0 {
		t.Errorf("deleted: TopicIDs = %v, %v, want none", gone, err)
	}
	if _, err := other.admin.CreateTopics(ctx, 2, 1, nil, "orders"); err != nil {
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
	asks, other := open(t, c), open(t, c)
	partitions := func() int {
		marks, err := asks.Stable(ctx, []string{"orders"})
		if err != nil {
			t.Fatal(err)
		}
		return len(marks)
	}
	if got := partitions(); got != 2 {
		t.Fatalf("%d partitions, want 2", got)
	}
	if _, err := other.admin.UpdatePartitions(ctx, 5, "orders"); err != nil {
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
	marks, err := w.Stable(ctx, nil)
	if err != nil || len(marks) != 0 {
		t.Errorf("Stable of no topics = %v, %v, want none", marks, err)
	}
}
