package ledger

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/kafka"
)

// TestLeaderWhoIsNotThereYet: a ledger that was just made has no leader who answers for a
// moment. Whose it is, and what it claims, is known when he does, and is no error before.
func TestLeaderWhoIsNotThereYet(t *testing.T) {
	fake := kafkatest.Start(t, kfake.SeedTopics(1, "ledger"))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cluster := kafka.Config{Name: "new", Properties: fake.Properties()}
	if err := WriteNotes(ctx, cluster, "ledger", 0, []Record{NoteRecord(IdentityName,
		EncodeIdentity(Identity{Revision: 1, From: "old", To: "new", SourceCluster: "A"}))}); err != nil {
		t.Fatal(err)
	}
	var left atomic.Int32
	fake.ControlKey(int16(kmsg.Fetch), func(in kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		req := in.(*kmsg.FetchRequest)
		out := req.ResponseKind().(*kmsg.FetchResponse)
		for _, asked := range req.Topics {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = asked.Topic, asked.TopicID
			for _, p := range asked.Partitions {
				one := kmsg.NewFetchResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, kerr.NotLeaderForPartition.Code
				topic.Partitions = append(topic.Partitions, one)
			}
			out.Topics = append(out.Topics, topic)
		}
		return out, nil, true
	})
	left.Store(3)
	kept, err := ReadIdentity(ctx, cluster, "ledger")
	if err != nil || kept == nil || kept.SourceCluster != "A" {
		t.Errorf("the ledger is that of %+v, %v", kept, err)
	}
	claims, err := OpenClaims(cluster, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer claims.Close()
	left.Store(3)
	if claimed, err := claims.Claimed(ctx, 5, time.Now()); claimed || err != nil {
		t.Errorf("producer 5 is claimed: %v, %v", claimed, err)
	}
	reader, err := OpenReader(cluster, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close() // only read
	left.Store(3)
	shard, err := reader.Shard(ctx, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if own, err := shard.Identity(); err != nil || own == nil || own.SourceCluster != "A" {
		t.Errorf("the partition is that of %+v, %v", own, err)
	}
}
