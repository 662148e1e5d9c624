package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/judge"
	"replicator/integration/workload"
)

// A flow that starts at a time begins inside a batch as a rule: what stands
// before it in the batch stays away, whatever the codec.
func TestStartInsideBatches(t *testing.T) { onLanes(t, startInsideBatches) }

func startInsideBatches(t *testing.T, lane string) {
	source, target := shared(t)
	ctx := deadline(t, 2*time.Minute)
	topic := unique(t)
	packed := []kgo.CompressionCodec{{},
		kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	must(t, workload.Topics(ctx, source.Bootstrap(), int32(len(packed)), nil, topic))
	k := newTalker(ctx, t, source.Bootstrap(), kgo.MaxVersions(namesTopics()))
	first := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	const before = 40 // records of the first batch
	from := map[int32]int64{}
	for i, codec := range packed {
		for n := range 2 {
			batch := batchOf(100, first.Add(time.Duration(n)*time.Second))
			batch.codec = codec
			if answer := k.produce(nil, topic, int32(i), batch.bytes(t))[0]; answer.ErrorCode != 0 {
				t.Fatal(name(answer.ErrorCode))
			}
		}
		from[int32(i)] = before
	}
	s, address := newSite(t, source, target, patterns(t, []string{topic}, "lane: "+lane,
		fmt.Sprintf("start: %q", first.Add(before*time.Millisecond).UTC().Format(time.RFC3339Nano)))...).replica()
	d := s.run()
	judged(ctx, t, s.sides(), []string{topic}, nil, judge.SourceFrom(map[string]map[int32]int64{topic: from}))
	want := 0 // each is counted whenever it is read
	if lane == "batch" {
		want = len(packed)
	}
	inside, _ := metric(t, address, "rebuilt_batches_total", "reason", "progress_inside")
	all, _ := metric(t, address, "rebuilt_batches_total")
	if inside < float64(want) || all != inside || lane == "record" && all != 0 {
		t.Errorf("%g batches were rebuilt for progress inside, %g in all, want %d", inside, all, want)
	}
	d.stop()
}
