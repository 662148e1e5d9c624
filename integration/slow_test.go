package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// A target that takes so little that a transaction of what is at hand outlives its time
// gets smaller ones, until each comes to its end: everything is copied, once. Its quota
// has to look back over a short time, else it lets more pass at first.
func slowTarget(ctx context.Context, t *testing.T, source, target *cluster.Cluster, lane string) {
	t.Parallel()
	const rate, size = 200_000, 400_000
	topic := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 3, workload.KeepConfigs(), topic))
	for number := range int32(3) {
		for range 2 {
			batch := make([]*kgo.Record, 8)
			for i := range batch {
				batch[i] = &kgo.Record{Partition: number, Value: noise(size / len(batch))}
			}
			must(t, workload.Produce(ctx, source.Bootstrap(), topic, batch...))
		}
	}
	limit(ctx, t, target.Bootstrap(), topic, "producer_byte_rate", rate)
	s := newSite(t, source, target, fmt.Sprintf("topics: [%q]", topic), "lane: "+lane, "shards: 1")
	s.nameSource("old-" + lane)
	s.edit("{bootstrap", fmt.Sprintf("{client.id: %q, bootstrap", topic))
	begun := time.Now()
	d := s.run("--until-caught-up")
	d.says(time.Minute, "the target was too slow for a transaction, the next ones are smaller")
	select {
	case <-d.done:
	case <-ctx.Done():
		t.Fatal("the copy does not end")
	}
	must(t, d.err)
	t.Logf("copied in %s; transactions were made smaller %d times", time.Since(begun),
		strings.Count(d.out.String(), "the next ones are smaller"))
	judged(ctx, t, s.sides(), []string{topic}, nil)
}
