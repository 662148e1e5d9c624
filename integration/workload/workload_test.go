package workload

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
)

func fake(t *testing.T) (ctx context.Context, bootstrap string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx, kafkatest.Start(t, kfake.BrokerConfigs(ServerConfig)).Address()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// visibleRecords reads a topic through a group and returns it by partition.
func visibleRecords(t *testing.T, ctx context.Context, bootstrap, topic string, n int) map[int32][]*kgo.Record {
	t.Helper()
	client, err := newClient(bootstrap, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	must(t, err)
	defer client.Close()
	found := map[int32][]*kgo.Record{}
	for count := 0; count < n; {
		fetches := client.PollFetches(ctx)
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			found[r.Partition] = append(found[r.Partition], r)
			count++
		})
	}
	return found
}

func TestMixed(t *testing.T) {
	var logs [2]map[int32][]string
	for i := range logs {
		ctx, bootstrap := fake(t)
		must(t, Topics(ctx, bootstrap, 3, nil, "mixed"))
		written, err := Mixed(ctx, bootstrap, "mixed", MixedSpec{Seed: 7, Records: 3000, Partitions: 3})
		must(t, err)
		if written.Visible+written.Aborted != 3000 || written.Transactions < 40 {
			t.Fatalf("written %+v, want 3000 records in all and many transactions", written)
		}
		if share := float64(written.Aborted) / 3000; share < 0.08 || share > 0.25 {
			t.Errorf("aborted share %.2f, want about a fifth of three quarters", share)
		}
		layouts, err := ReadLayout(ctx, bootstrap, "mixed")
		must(t, err)
		var seen Written
		for number, l := range layouts {
			seen.Visible += len(l.Visible)
			seen.Aborted += len(l.Aborted)
			seen.Transactions += len(l.Markers)
			if len(l.Holes) > 0 || len(l.Aborted) == 0 || l.Start != 0 {
				t.Errorf("partition %d: %d holes, %d aborted, start %d", number, len(l.Holes), len(l.Aborted), l.Start)
			}
		}
		if seen.Visible != written.Visible || seen.Aborted != written.Aborted || seen.Transactions < written.Transactions {
			t.Errorf("in the log %+v, written %+v", seen, written)
		}
		logs[i] = map[int32][]string{}
		for number, records := range visibleRecords(t, ctx, bootstrap, "mixed", written.Visible) {
			for _, r := range records {
				logs[i][number] = append(logs[i][number], fmt.Sprintf("%d %q %s", r.Offset, r.Key, r.Value))
			}
		}
	}
	if !reflect.DeepEqual(logs[0], logs[1]) {
		t.Error("the same seed gave two different logs")
	}
}

// TestMixedOverlaps: transactions of different producers must lie inside each
// other, or the workload would be an easy one.
func TestMixedOverlaps(t *testing.T) {
	ctx, bootstrap := fake(t)
	must(t, Topics(ctx, bootstrap, 1, nil, "one"))
	written, err := Mixed(ctx, bootstrap, "one", MixedSpec{Seed: 1, Records: 500, Partitions: 1})
	must(t, err)
	changes, last := 0, int64(-2)
	for _, r := range visibleRecords(t, ctx, bootstrap, "one", written.Visible)[0] {
		if r.ProducerID != last {
			changes++
		}
		last = r.ProducerID
	}
	if changes < 2*written.Transactions {
		t.Errorf("the producer changes %d times over %d transactions: they hardly overlap", changes, written.Transactions)
	}
}

func TestPlainHoldsEveryForm(t *testing.T) {
	ctx, bootstrap := fake(t)
	must(t, Topics(ctx, bootstrap, 2, KeepConfigs(), "plain"))
	written, err := Plain(ctx, bootstrap, "plain",
		PlainSpec{Seed: 3, Records: 200, Partitions: 2, Large: 2, Uncarried: true})
	must(t, err)
	missing := map[string]bool{}
	for _, form := range []string{
		"null key", "empty key", "null value", "empty value", "large value",
		"null header", "empty header", "empty header key", "header twice",
		"header not UTF-8", "time -1", "time -5", "time 0", "time 2001", "time 2096",
	} {
		missing[form] = true
	}
	saw := func(form string, is bool) {
		if is {
			delete(missing, form)
		}
	}
	large := 0
	for _, records := range visibleRecords(t, ctx, bootstrap, "plain", written.Visible) {
		for _, r := range records {
			saw("null key", r.Key == nil)
			saw("empty key", r.Key != nil && len(r.Key) == 0)
			saw("null value", r.Value == nil)
			saw("empty value", r.Value != nil && len(r.Value) == 0)
			saw("large value", len(r.Value) == largeValue)
			if len(r.Value) == largeValue {
				large++
			}
			for i, h := range r.Headers {
				saw("null header", h.Value == nil)
				saw("empty header", h.Value != nil && len(h.Value) == 0)
				saw("empty header key", h.Key == "")
				saw("header twice", i > 0 && r.Headers[0].Key == h.Key)
				saw("header not UTF-8", h.Key == "\xff\xfe")
			}
			ms := r.Timestamp.UnixMilli()
			saw(fmt.Sprintf("time %d", ms), true)
			saw("time 2001", ms/1000 == 1_000_000_000)
			saw("time 2096", ms/1000 == 4_000_000_000)
		}
	}
	if len(missing) > 0 || large != 2 {
		t.Errorf("not in the log: %v; %d large values, want 2", missing, large)
	}
}

func TestCompacted(t *testing.T) {
	ctx, bootstrap := fake(t)
	must(t, Topics(ctx, bootstrap, 2, CompactedConfigs(), "compacted"))
	written, err := Compacted(ctx, bootstrap, "compacted", CompactedSpec{Seed: 5, Partitions: 2})
	must(t, err)
	layouts, err := ReadLayout(ctx, bootstrap, "compacted")
	must(t, err)
	left := 0
	for number, l := range layouts {
		left += len(l.Visible)
		if len(l.Holes) < 100 {
			t.Errorf("partition %d: %d holes, want hundreds", number, len(l.Holes))
		}
	}
	if left >= written.Visible/2 || left < 100 {
		t.Errorf("%d of %d records are left", left, written.Visible)
	}
}

func TestCommitRandom(t *testing.T) {
	ctx, bootstrap := fake(t)
	must(t, Topics(ctx, bootstrap, 2, nil, "mixed"))
	must(t, Topics(ctx, bootstrap, 1, CompactedConfigs(), "compacted"))
	_, err := Mixed(ctx, bootstrap, "mixed", MixedSpec{Seed: 1, Records: 500, Partitions: 2})
	must(t, err)
	_, err = Compacted(ctx, bootstrap, "compacted", CompactedSpec{Seed: 1, Keys: 50})
	must(t, err)
	spec := GroupSpec{Seed: 9, Prefix: "g", Groups: 60, Topics: []string{"mixed", "compacted"}}
	positions, err := CommitRandom(ctx, bootstrap, spec)
	must(t, err)
	kinds := map[Kind]int{}
	for _, p := range positions {
		kinds[p.Kind]++
	}
	if len(positions) != 60*3 || len(kinds) != len(Kinds) {
		t.Errorf("%d positions of kinds %v, want 180 of %d kinds", len(positions), kinds, len(Kinds))
	}
	again, err := CommitRandom(ctx, bootstrap, spec)
	must(t, err)
	if !slices.Equal(positions, again) {
		t.Error("the same seed gave different positions")
	}
	client, err := newClient(bootstrap)
	must(t, err)
	defer client.Close()
	committed := kadm.NewClient(client).FetchManyOffsets(ctx, Groups(positions)...)
	must(t, committed.Error())
	for _, p := range positions {
		if got := committed[p.Group].Fetched[p.Topic][p.Partition].At; got != p.At {
			t.Errorf("committed for %+v: %d", p, got)
		}
	}
}

// TestConsumerAndProducer runs both against each other: what two turns of one
// group read is all that was acknowledged, each record once.
func TestConsumerAndProducer(t *testing.T) {
	ctx, bootstrap := fake(t)
	must(t, Topics(ctx, bootstrap, 2, nil, "live"))
	producer, err := StartProducer(ctx, bootstrap, "live", ProducerSpec{Rate: 2000, Transactional: "live", AbortEvery: 5})
	must(t, err)
	first, err := Consume(ctx, bootstrap, "readers", 137, "live")
	must(t, err)
	if len(first) != 137 {
		t.Fatalf("the first turn read %d records, want 137", len(first))
	}
	must(t, poll(ctx, func() (bool, error) { return producer.So().Aborted > 0, nil }))
	produced, err := producer.Stop()
	must(t, err)
	second, err := Consume(ctx, bootstrap, "readers", int(produced.Acked)-137, "live")
	must(t, err)
	seen := map[string]bool{}
	for _, r := range append(first, second...) {
		if seen[r.Key] {
			t.Errorf("%+v was read twice", r)
		}
		seen[r.Key] = true
	}
	if int64(len(seen)) != produced.Acked {
		t.Errorf("read %d records, acknowledged were %d", len(seen), produced.Acked)
	}
	layouts, err := ReadLayout(ctx, bootstrap, "live")
	must(t, err)
	for number, l := range layouts {
		if got := produced.ByPartition[number]; got != int64(len(l.Visible)) {
			t.Errorf("partition %d holds %d records, acknowledged were %d", number, len(l.Visible), got)
		}
	}
}

func TestConsumerStops(t *testing.T) {
	ctx, bootstrap := fake(t)
	must(t, Topics(ctx, bootstrap, 1, nil, "bulk"))
	must(t, Bulk(ctx, bootstrap, "bulk", BulkSpec{Seed: 1, Records: 5000, Size: 100, Codec: "zstd"}))
	consumer, err := StartConsumer(ctx, bootstrap, ConsumerSpec{Group: "stopped", Topics: []string{"bulk"}, AtOnce: 10})
	must(t, err)
	must(t, poll(ctx, func() (bool, error) { return len(consumer.So()) >= 50, nil }))
	reads, err := consumer.Stop()
	must(t, err)
	must(t, Bulk(ctx, bootstrap, "bulk", BulkSpec{Seed: 2, Records: 10, Size: 100})) // it may have read all before
	next, err := Consume(ctx, bootstrap, "stopped", 1, "bulk")
	must(t, err)
	if got, want := next[0].Offset, reads[len(reads)-1].Offset+1; got != want {
		t.Errorf("after a stop the group goes on at %d, want %d", got, want)
	}
}

func TestBulk(t *testing.T) {
	ctx, bootstrap := fake(t)
	must(t, Topics(ctx, bootstrap, 4, nil, "bulk"))
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		must(t, Bulk(ctx, bootstrap, "bulk", BulkSpec{Records: 4000, Size: 1000, Codec: codec}))
	}
	for number, records := range visibleRecords(t, ctx, bootstrap, "bulk", 20_000) {
		if len(records) != 5000 || len(records[0].Value) != 1000 {
			t.Errorf("partition %d: %d records of %d bytes, want 5000 of 1000", number, len(records), len(records[0].Value))
		}
	}
	if err := Bulk(ctx, bootstrap, "bulk", BulkSpec{Codec: "brotli"}); err == nil {
		t.Error("an unknown codec was taken")
	}
}
