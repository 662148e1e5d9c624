package glance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
)

// TestRecords: one record of each of many partitions, among them such as are gone, beyond
// the end, markers, and in batches that do not fit an answer's first page.
func TestRecords(t *testing.T) {
	const many = 20
	fake := kafkatest.Start(t, kfake.NumBrokers(2), kfake.SeedTopics(many, "large"), kfake.SeedTopics(3, "small"))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := fake.Client(kgo.TransactionalID("writer"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	put := func(records ...*kgo.Record) {
		t.Helper()
		if err := errors.Join(client.BeginTransaction(), client.ProduceSync(ctx, records...).FirstErr(),
			client.EndTransaction(ctx, kgo.TryCommit)); err != nil {
			t.Fatal(err)
		}
	}
	at := map[chunk.Partition]Place{}
	for n := range many { // batches of 600 kB: beyond a page, and all together beyond an answer
		put(&kgo.Record{Topic: "large", Partition: int32(n), Key: fmt.Append(nil, n),
			Value: bytes.Repeat([]byte{'x'}, 600<<10)})
		at[chunk.Partition{Topic: "large", Number: int32(n)}] = Place{Offset: 0}
	}
	for n := range 3 {
		put(&kgo.Record{Topic: "small", Partition: int32(n), Value: []byte("one")}, // 0, and its marker 2
			&kgo.Record{Topic: "small", Partition: int32(n), Value: []byte("two")})
	}
	gone := kadm.Offsets{"small": {0: {Topic: "small", At: 1}}}
	if _, err := kadm.NewClient(client).DeleteRecords(ctx, gone); err != nil {
		t.Fatal(err)
	}
	small := func(n int32) chunk.Partition { return chunk.Partition{Topic: "small", Number: n} }
	at[small(0)], at[small(1)], at[small(2)] = Place{Offset: 0}, Place{Offset: 7}, Place{Offset: 2}
	found, err := Records(ctx, client, at)
	if err != nil {
		t.Fatal(err)
	}
	for n := range many {
		if r := found[chunk.Partition{Topic: "large", Number: int32(n)}]; r == nil || string(r.Key) != fmt.Sprint(n) {
			t.Errorf("the record of large/%d is %v", n, r)
		}
	}
	if found[small(0)] != nil || found[small(1)] != nil {
		t.Errorf("records are found where none are: %v, %v", found[small(0)], found[small(1)])
	}
	if r := found[small(2)]; r == nil || !r.Attrs.IsControl() {
		t.Errorf("the marker is read as %v", r)
	}
	_, err = Records(ctx, client, map[chunk.Partition]Place{small(2): {ID: chunk.TopicID{1}}})
	if !errors.Is(err, ErrOtherTopic) {
		t.Errorf("a topic of another id is read: %v", err)
	}
	_, err = Records(ctx, client, map[chunk.Partition]Place{small(9): {}})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a partition that is not there: %v", err)
	}
}
