package workload_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/integration/judge"
	"replicator/integration/workload"
)

func TestMain(m *testing.M) { cluster.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copyAll mirrors a topic in the simplest way there is: what a read_committed
// consumer sees is produced again, one partition after the other.
func copyAll(t *testing.T, ctx context.Context, source, target, topic string, layouts map[int32]*workload.Layout) {
	t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(source), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(t, err)
	defer reader.Close()
	left := 0
	for _, l := range layouts {
		left += len(l.Visible)
	}
	var all []*kgo.Record
	for len(all) < left {
		fetches := reader.PollFetches(ctx)
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, &kgo.Record{
				Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp,
			})
		})
	}
	for batch := range slices.Chunk(all, 2000) {
		must(t, workload.Produce(ctx, target, topic, batch...))
	}
}

// TestOnBrokers writes all three kinds of data to a real broker, copies them by
// hand to another, and lets the judge look. The layout comes from the markers in
// the log, the judge's reading from the broker's list of aborted transactions, so
// each checks the other; the cleaner and the markers are real.
func TestOnBrokers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var opts []cluster.Option
	for key, value := range workload.ServerConfig {
		opts = append(opts, cluster.Config(key, value))
	}
	s, tg := cluster.Pair(t, opts...)
	source, target := s.Bootstrap(), tg.Bootstrap()
	topics := []string{"mixed", "plain", "compacted"}
	for topic, configs := range map[string]map[string]string{
		"mixed": nil, "plain": workload.KeepConfigs(), "compacted": workload.CompactedConfigs(),
	} {
		must(t, workload.Topics(ctx, source, 3, configs, topic))
		must(t, workload.Topics(ctx, target, 3, workload.KeepConfigs(), topic))
	}
	began := time.Now()
	step := func(what string, w workload.Written, err error) {
		t.Helper()
		must(t, err)
		t.Logf("%s: %+v in %s", what, w, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	w, err := workload.Mixed(ctx, source, "mixed", workload.MixedSpec{Seed: 1, Records: 5000, Partitions: 3})
	step("mixed", w, err)
	w, err = workload.Plain(ctx, source, "plain",
		workload.PlainSpec{Seed: 2, Records: 1000, Partitions: 3, Large: 5, Uncarried: true})
	step("plain", w, err)
	w, err = workload.Compacted(ctx, source, "compacted", workload.CompactedSpec{Seed: 3, Partitions: 3})
	step("compacted", w, err)
	positions, err := workload.CommitRandom(ctx, source,
		workload.GroupSpec{Seed: 4, Prefix: "g", Groups: 100, Topics: topics})
	step("groups", workload.Written{}, err)

	translated := slices.Clone(positions)
	for _, topic := range topics {
		layouts, err := workload.ReadLayout(ctx, source, topic)
		must(t, err)
		copyAll(t, ctx, source, target, topic, layouts)
		for i, p := range translated {
			if p.Topic == topic {
				rank, _ := slices.BinarySearch(layouts[p.Partition].Visible, p.At)
				translated[i].At = int64(rank)
			}
		}
		for number, l := range layouts {
			t.Logf("%s/%d: [%d,%d) %d visible, %d aborted, %d markers, %d holes", topic, number,
				l.Start, l.Stable, len(l.Visible), len(l.Aborted), len(l.Markers), len(l.Holes))
		}
	}
	must(t, workload.Commit(ctx, target, translated))
	step("copy", workload.Written{}, nil)

	sides := judge.Sides{Source: source, Target: target}
	report, err := judge.Compare(ctx, sides, topics)
	must(t, err)
	t.Log(report)
	must(t, report.Err())
	groups, err := judge.Groups(ctx, sides, workload.Groups(positions), topics)
	must(t, err)
	t.Log(groups)
	must(t, groups.Err())

	kinds := map[workload.Kind]int{}
	for _, p := range positions {
		kinds[p.Kind]++
	}
	if len(kinds) != len(workload.Kinds) {
		t.Errorf("positions of kinds %v, want some of each", kinds)
	}
	if groups.Positions != len(positions) {
		t.Errorf("%d positions judged, %d committed", groups.Positions, len(positions))
	}
}
