package survey

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// Pace is how much was moved in what time.
type Pace struct {
	Bytes, Records int64
	Took           time.Duration
}

// meter counts batches as they arrive: by the bytes that they have in a log.
type meter struct {
	mu   sync.Mutex
	pace Pace
	from time.Time
}

// batchHeader is what a batch has beside its records; logs count it too.
const batchHeader = 61

// OnFetchBatchRead is kgo's hook.
func (m *meter) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.FetchBatchMetrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pace.Bytes += int64(b.CompressedBytes) + batchHeader
	m.pace.Records += int64(b.NumRecords)
	m.pace.Took = time.Since(m.from)
}

func (m *meter) read() Pace {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pace
}

// Sample reads committed records from where each partition is to be copied from,
// until the time is up, so many bytes came, or all offsets are passed. It joins no
// group. The time ends with the last batch: silence after it is no part.
func Sample(ctx context.Context, conf kafka.Config, from map[chunk.Partition]Span, bytes int64,
	long time.Duration) (Pace, error) {
	partitions, missing := map[string]map[int32]kgo.Offset{}, map[chunk.Partition]int64{}
	for p, span := range from {
		if partitions[p.Topic] == nil {
			partitions[p.Topic] = map[int32]kgo.Offset{}
		}
		partitions[p.Topic][p.Number] = kgo.NewOffset().At(span.From)
		missing[p] = span.To
	}
	m := &meter{from: time.Now()}
	client, err := kafka.NewFranz(conf, kgo.WithHooks(m), kgo.ConsumePartitions(partitions), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MaxBufferedBytes(int(bytes)),
		kgo.WithDecompressor(wire.Decompressor{}))
	if err != nil {
		return Pace{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	for len(missing) > 0 && m.read().Bytes < bytes {
		fetched := client.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		if err := fetched.Err(); err != nil {
			return Pace{}, fmt.Errorf("read a sample: %w", conf.Explain(err))
		}
		fetched.EachRecord(func(r *kgo.Record) {
			p := chunk.Partition{Topic: r.Topic, Number: r.Partition}
			if r.Offset+1 >= missing[p] {
				delete(missing, p)
			}
		})
	}
	return m.read(), nil
}

// Span is [From,To) of a partition's offsets.
type Span struct{ From, To int64 }
