package replicate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/sink"
)

// slowWriter is a target that ends transactions of more than so many bytes for their age.
type slowWriter struct {
	shard.Writer
	most    int
	bytes   int
	refused *atomic.Int64
}

func (s *slowWriter) Begin() error {
	s.bytes = 0
	return s.Writer.Begin()
}

func (s *slowWriter) Write(ctx context.Context, part chunk.Part, topic string) error {
	for i := range part.Records {
		s.bytes += len(part.Records[i].Key) + len(part.Records[i].Value)
	}
	for i := range part.Batches {
		s.bytes += len(part.Batches[i].Raw)
	}
	return s.Writer.Write(ctx, part, topic)
}

func (s *slowWriter) AwaitAcks(ctx context.Context) ([]sink.Acked, error) {
	acked, err := s.Writer.AwaitAcks(ctx)
	if s.bytes > s.most && err == nil {
		s.refused.Add(1)
		return nil, &sink.Outlived{Took: time.Minute, Err: errors.New("made by the test")}
	}
	return acked, err
}

// TestSlowTargetGetsSmallerTransactions: what a target cannot take in the time of a
// transaction is halved until it can, over partitions and within one.
func TestSlowTargetGetsSmallerTransactions(t *testing.T) {
	flowtest.OnLanes(t, testSlowTargetGetsSmallerTransactions)
}

func testSlowTargetGetsSmallerTransactions(t *testing.T, w *flowtest.World) {
	w.Cfg.Shards = 1
	w.Topic("orders", 3)
	const each = 5000 // what an aborted attempt leaves fits in one answer: kfake tells of no others
	random := rand.NewChaCha8([32]byte{2})
	for number := range int32(3) {
		for range 6 { // a batch each
			value := make([]byte, each)
			_, _ = random.Read(value) // it does not compress
			w.Must("write", workload.Produce(w.Ctx, w.Sides.Source, "orders", &kgo.Record{Partition: number, Value: value}))
		}
	}
	w.Mixed("orders", 3, 60)
	var refused atomic.Int64
	r := w.Start(func(_ int, out shard.Writer) shard.Writer {
		return &slowWriter{Writer: out, most: each * 5 / 4, refused: &refused}
	})
	w.Equal([]string{"orders"})
	if n := refused.Load(); n == 0 || n > 8 {
		t.Errorf("%d transactions were too slow, want some, and each half as large as the one before", n)
	}
	w.Groups([]string{"orders"})
	r.Stop()
	v, err := verify.Flow(w.Ctx, w.Look(), verify.Options{})
	w.Must("verify", err)
	if v.Verdict != verify.Equal || v.Compared < 18 {
		t.Errorf("verify says %s of %d records: %+v", v.Verdict, v.Compared, v.Partitions)
	}
}
