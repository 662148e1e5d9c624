package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
)

const partitions = 8

// Two brokers: leaders differ on both sides.
func cluster(t *testing.T) (ctx context.Context, bootstrap string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	bootstrap = kafkatest.Start(t, kfake.NumBrokers(2)).ListenAddrs()[0]
	if err := workload.Topics(ctx, bootstrap, partitions, nil, "in", "out"); err != nil {
		t.Fatal(err)
	}
	return ctx, bootstrap
}

// read reads so many records of a topic: the values by partition.
func read(ctx context.Context, t *testing.T, bootstrap, topic string, records int) [partitions][][]byte {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var values [partitions][][]byte
	for n := 0; n < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records of %s read: %v", n, records, topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			values[r.Partition] = append(values[r.Partition], r.Value)
			n++
		})
	}
	return values
}

func equal(t *testing.T, in, out [partitions][][]byte) {
	t.Helper()
	for p := range in {
		if !slices.EqualFunc(in[p], out[p], bytes.Equal) {
			t.Errorf("partition %d has %d records, its copy %d, or others", p, len(in[p]), len(out[p]))
		}
	}
}

func TestCopiesAll(t *testing.T) {
	ctx, bootstrap := cluster(t)
	const records = 5500 // partitions 6 and 7 stay empty
	spec := workload.BulkSpec{Records: records, Size: 100, Codec: "lz4", BatchBytes: 4 << 10}
	if err := workload.Bulk(ctx, bootstrap, "in", spec); err != nil {
		t.Fatal(err)
	}
	job := task{source: bootstrap, target: bootstrap, from: "in", to: "out"}
	if err := job.run(ctx); err != nil {
		t.Fatal(err)
	}
	equal(t, read(ctx, t, bootstrap, "in", records), read(ctx, t, bootstrap, "out", records))
}

func TestFollows(t *testing.T) {
	ctx, bootstrap := cluster(t)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	job := task{source: bootstrap, target: bootstrap, from: "in", to: "out", follow: true}
	ended := make(chan error, 1) // one answer
	go func() { ended <- job.run(ctx) }()
	for i := range 3 { // what comes after the copy has caught up
		var records []*kgo.Record
		for p := range int32(partitions) {
			records = append(records, &kgo.Record{Partition: p, Value: fmt.Appendf(nil, "%d of %d", i, p)})
		}
		if err := workload.Produce(ctx, bootstrap, "in", records...); err != nil {
			t.Fatal(err)
		}
		all := (i + 1) * partitions
		equal(t, read(ctx, t, bootstrap, "in", all), read(ctx, t, bootstrap, "out", all))
	}
	stop()
	if err := <-ended; ctx.Err() == nil {
		t.Errorf("it ended by itself, with %v", err)
	}
}

// Batches of a transaction may be aborted, and a raw copy could not tell.
func TestRefusesTransactions(t *testing.T) {
	ctx, bootstrap := cluster(t)
	tx, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("in"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := tx.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	job := task{source: bootstrap, target: bootstrap, from: "in", to: "out"}
	if err := job.run(ctx); err == nil {
		t.Error("a topic with transactions was copied")
	}
}
