package ledger

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
)

// topicOf is a cluster with a ledger topic, and a reader of it.
func topicOf(t *testing.T) (context.Context, *kafkatest.Cluster, *Reader) {
	t.Helper()
	fake := kafkatest.Start(t, kfake.SeedTopics(2, "ledger"))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	reader, err := OpenReader(kafka.Config{Name: "new", Properties: fake.Properties()}, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	})
	return ctx, fake, reader
}

// write puts prepared records into partition 1, in a transaction of their own.
func write(fake *kafkatest.Cluster, p *Prepared, commit bool) (at []int64) {
	var records []*kgo.Record
	for _, r := range p.Records {
		records = append(records, &kgo.Record{Topic: "ledger", Partition: 1, Key: r.Key, Value: r.Value})
	}
	fake.Transaction(kgo.TransactionEndTry(commit), records...)
	for _, r := range records {
		at = append(at, r.Offset)
	}
	return at
}

// TestReaderSeesWhatIsCommitted: what was committed is read to its end, what was aborted is not, and old
// segments are found where they lie.
func TestReaderSeesWhatIsCommitted(t *testing.T) {
	ctx, fake, reader := topicOf(t)
	empty, err := reader.Shard(ctx, 1, 0)
	if err != nil || empty.Made || len(empty.Keys()) != 0 {
		t.Fatalf("an empty ledger is read as %+v, %v", empty, err)
	}
	shard, key := NewShard(), keyOf(0)
	for i := range 4 { // segments 0 and 1, and a tail
		c := Change{Key: key, Runs: spread(150*i, 150)}
		c.Header.Progress = c.Runs[149].SourceEnd()
		p, err := shard.Prepare([]Change{c})
		if err != nil {
			t.Fatal(err)
		}
		write(fake, p, false)
		p.Apply(write(fake, p, true))
	}
	read, err := reader.Shard(ctx, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := pictures(read), pictures(shard); !reflect.DeepEqual(got, want) {
		t.Fatalf("read as %+v, want %+v", got, want)
	}
	both, err := reader.Shards(ctx, []int64{0, 1})
	if err != nil || len(both) != 2 || both[0].Made || len(both[0].Keys()) != 0 {
		t.Fatalf("both partitions are read as %+v, %v", both, err)
	}
	if got, want := pictures(both[1]), pictures(shard); !reflect.DeepEqual(got, want) {
		t.Fatalf("with the other partition read as %+v, want %+v", got, want)
	}
	state := read.State(key)
	load := func(head offsets.Head) ([]offsets.Run, error) { return reader.Segment(ctx, 1, head) }
	for range 2 { // the second time from memory
		for _, r := range spread(0, 600) {
			if a, err := state.Map.Translate(r.Source, state.Progress, load); err != nil || a.Target != r.Target {
				t.Fatalf("source %d is translated to %+v, %v, want %d", r.Source, a, err, r.Target)
			}
		}
	}
	wrong := state.Map.Heads()[0]
	wrong.Ledger = state.Map.Heads()[1].Ledger
	other, err := OpenReader(kafka.Config{Name: "new", Properties: fake.Properties()}, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() // only read
	if runs, err := other.Segment(ctx, 1, wrong); err == nil || !strings.Contains(err.Error(), "segment 0") {
		t.Errorf("another segment is taken for segment 0: %v, %v", runs, err)
	}
}

// TestReaderSaysWhatIsWrong: the reader says what is wrong with the ledger, and where.
func TestReaderSaysWhatIsWrong(t *testing.T) {
	ctx, fake, reader := topicOf(t)
	p := &Prepared{Records: []Record{{Key: encodeStateKey(keyOf(0)), Value: []byte{2, 0}}}}
	write(fake, p, true)
	_, err := reader.Shard(ctx, 1, 0)
	var version *VersionError
	if !errors.As(err, &version) || !strings.Contains(err.Error(), "ledger/1") {
		t.Errorf("a later version is refused with %v", err)
	}
	if _, err := reader.Shard(ctx, 0, 0); err != nil {
		t.Errorf("the other partition: %v", err)
	}
	reader.silence = time.Second
	if _, err := reader.Shard(ctx, 7, 0); err == nil || ctx.Err() != nil {
		t.Errorf("a partition that is not there: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := reader.Shard(cancelled, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled read: %v", err)
	}
}

// TestReaderWithoutRight: the right that is missing is named, and what grants it.
func TestReaderWithoutRight(t *testing.T) {
	fake := kafkatest.Guarded(t, kafkatest.Allow(kmsg.ACLResourceTypeTopic, "ledger", kmsg.ACLOperationDescribe))
	fake.Topic("ledger", 1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fake.Produce(&kgo.Record{Topic: "ledger", Key: encodeStateKey(keyOf(0))})
	reader, err := OpenReader(kafka.Config{Name: "new", Properties: fake.Properties()}, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close() // only read
	_, err = reader.Shard(ctx, 0, 1)
	var problem *kafka.Problem
	if !errors.As(err, &problem) || !strings.Contains(problem.Fix, "grant User:mirror Read on topic ledger") {
		t.Errorf("without the right to read the ledger: %v", err)
	}
}
