package replicate_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/shard"
)

// noteKey is how the ledger's note is known among the records of a commit.
var noteKey = ledger.NoteRecord(seen.NoteName, nil).Key

// counted counts the notes that a shard commits.
type counted struct {
	mu            sync.Mutex
	joined, alone map[int]int // by shard: with other records of the ledger, and without any
}

func (c *counted) wrap(number int, out shard.Writer) shard.Writer { return &counting{out, c, number} }

func (c *counted) of(number int) (joined, alone int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined[number], c.alone[number]
}

type counting struct {
	shard.Writer
	counted *counted
	shard   int
}

func (c *counting) Commit(ctx context.Context, records []chunk.LedgerRecord) ([]int64, error) {
	c.counted.mu.Lock()
	for _, r := range records {
		switch {
		case !bytes.Equal(r.Key, noteKey):
		case len(records) > 1:
			c.counted.joined[c.shard]++
		default:
			c.counted.alone[c.shard]++
		}
	}
	c.counted.mu.Unlock()
	return c.Writer.Commit(ctx, records)
}

// endOf is where the ledger says that a partition of the source ended.
func endOf(w *flowtest.World, p chunk.Partition) (end seen.End, progress offsets.Source) {
	w.T.Helper()
	books, err := ledger.ReadWhole(w.Ctx, w.Kafka("new", w.Sides.Target), w.Cfg.LedgerTopic(), w.Cfg.Shards)
	w.Must("read the ledger", err)
	if len(books) == 0 {
		return end, 0
	}
	book := books[p.Shard(w.Cfg.Shards)]
	for _, key := range book.Keys() {
		if key.Partition == p {
			progress = book.State(key).Progress
		}
	}
	n, err := seen.Of(book)
	w.Must("read the note", err)
	return n.End(p, progress), progress
}

// A shard that copies notes what was seen of the source in commits that happen anyway, and opens no transaction for it.
func TestSeenCostsABusyShardNoTransaction(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		w.Tune = func(o *replicate.Options) { o.SeenEvery = 2 * time.Second }
		w.Topic("orders", 1)
		orders := chunk.Partition{Topic: "orders"}
		busy := orders.Shard(w.Cfg.Shards)
		c := &counted{joined: map[int]int{}, alone: map[int]int{}}
		w.Plain(w.Sides.Source, "orders", 0, 1)
		w.Start(c.wrap)
		w.Await("three notes are committed", func() bool {
			w.Plain(w.Sides.Source, "orders", 0, 1)
			joined, _ := c.of(busy)
			return joined >= 3
		})
		if joined, alone := c.of(busy); alone > 0 {
			t.Errorf("%d notes came with other records, and %d in transactions of their own", joined, alone)
		}
		w.Await("the note tells of all records", func() bool {
			end, progress := endOf(w, orders)
			return end.Known() && end.High == offsets.Source(w.Written) && progress == end.High
		})
	})
}

// What an open transaction holds is noted, and at its end when the source last spoke.
func TestSeenOfASourceThatDies(t *testing.T) {
	w := flowtest.New(t)
	w.Tune = func(o *replicate.Options) { o.SeenEvery = time.Second }
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Source, "orders", 1, 3)
	open := w.Source.Writer(kgo.TransactionalID("app"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	w.Must("begin", open.BeginTransaction())
	for range 5 {
		w.Must("write", open.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("open")}).FirstErr())
	}
	r := w.Start(nil)
	held, quiet := chunk.Partition{Topic: "orders"}, chunk.Partition{Topic: "orders", Number: 1}
	w.Await("the open transaction is noted", func() bool {
		end, progress := endOf(w, held)
		return end.High == 15 && end.Stable == 10 && progress == 10 && !end.Since.IsZero()
	})
	w.Source.Close()
	w.Await("it is noted when the source last spoke", func() bool {
		p, _ := r.Shown("orders", 1)
		end, _ := endOf(w, quiet)
		return time.Since(p.Reported) > 2*time.Second && end.Seen.Equal(p.Reported.Truncate(time.Millisecond))
	})
	if end, progress := endOf(w, quiet); progress != 3 || end.High != 3 || end.Held() != 0 || !end.Since.Equal(end.Seen) {
		t.Errorf("a partition with progress %d that was copied ended at %+v", progress, end)
	}
}
