package replicate

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/sink"
)

// slowWriter is a target that ends transactions of more than so many bytes for their age.
type slowWriter struct {
	writer
	most    int
	bytes   int
	refused *atomic.Int64
}

func (s *slowWriter) Begin() error {
	s.bytes = 0
	return s.writer.Begin()
}

func (s *slowWriter) Write(ctx context.Context, part chunk.Part, topic string) error {
	for i := range part.Records {
		s.bytes += len(part.Records[i].Key) + len(part.Records[i].Value)
	}
	for i := range part.Batches {
		s.bytes += len(part.Batches[i].Raw)
	}
	return s.writer.Write(ctx, part, topic)
}

func (s *slowWriter) Settle(ctx context.Context) ([]sink.Landed, error) {
	landed, err := s.writer.Settle(ctx)
	if s.bytes > s.most && err == nil {
		s.refused.Add(1)
		return nil, &sink.Outlived{Took: time.Minute, Err: errors.New("made by the test")}
	}
	return landed, err
}

// TestSlowTargetGetsSmallerTransactions: what a target cannot take in the time of a
// transaction is halved until it can, over partitions and within one.
func TestSlowTargetGetsSmallerTransactions(t *testing.T) { onLanes(t, testSlowTarget) }

func testSlowTarget(t *testing.T, w *world) {
	w.cfg.Shards = 1
	w.topic("orders", 3)
	const each = 5000 // what an aborted attempt leaves fits in one answer: kfake tells of no others
	random := rand.NewChaCha8([32]byte{2})
	for number := range int32(3) {
		for range 6 { // a batch each
			value := make([]byte, each)
			_, _ = random.Read(value) // it does not compress
			w.must("write", workload.Produce(w.ctx, w.sides.Source, "orders", &kgo.Record{Partition: number, Value: value}))
		}
	}
	w.mixed("orders", 3, 60)
	var refused atomic.Int64
	r := w.start(func(_ int, out writer) writer {
		return &slowWriter{writer: out, most: each * 5 / 4, refused: &refused}
	})
	w.equal([]string{"orders"})
	if n := refused.Load(); n == 0 || n > 8 {
		t.Errorf("%d transactions were too slow, want some, and each half as large as the one before", n)
	}
	w.groups([]string{"orders"})
	r.stop()
	v, err := w.look().Verify(w.ctx, VerifyOptions{})
	w.must("verify", err)
	if v.Verdict != Equal || v.Compared < 18 {
		t.Errorf("verify says %s of %d records: %+v", v.Verdict, v.Compared, v.Partitions)
	}
}

// TestWhatIsSlow: a failure counts as slowness after most of the time that the target allows
// a transaction, and not before.
func TestWhatIsSlow(t *testing.T) {
	for _, c := range []struct{ allowed, took time.Duration }{
		{0, 21 * time.Second}, {time.Hour, 21 * time.Second}, {10 * time.Second, 7 * time.Second},
	} {
		for _, slow := range []bool{false, true} {
			f := &shared{log: slog.New(slog.DiscardHandler)}
			f.transaction.Store(int64(c.allowed))
			w, took := newWorker(f, 0), c.took
			if !slow {
				took = c.took * 9 / 10
			}
			w.smaller(1000, took, errors.New("made by the test"))
			if (w.most == 500) != slow {
				t.Errorf("after %s of %s the next ones hold %d bytes, want them smaller: %t", took, c.allowed, w.most, slow)
			}
		}
	}
}
