package sink

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// Batches writes raw batches in transactions of its own making: the batch lane's
// door out, with the same promises as [Records]. It speaks both versions of
// the transaction protocol: with the second (KIP-890, transaction.version 2) the
// broker adds partitions by itself and every transaction has an epoch of its
// own; with the first, partitions are added before anything is sent to them.
//
// Batches of one partition go out in order, each request with at most one of
// every partition: a broker keeps only the last of two, without a word. In the
// second version the first one that a transaction has for a partition goes alone:
// the broker may have to refuse it for now, and then whatever follows it. Small ones
// that wait for a slow target are joined ([Small]). It belongs to one goroutine.
type Batches struct {
	cfg     Config
	client  *kgo.Client
	wrote   *wrote
	txn     transaction
	leaders leaders
	queues  map[chunk.Partition]*queue
	order   []*queue // in the order of the first batch
	waiting int      // bytes in queues
	sent    []*sent
	pace    pace
}

// queue holds what is not sent yet of one partition, and what the target has acknowledged.
type queue struct {
	partition chunk.Partition
	target    chunk.Partition
	id        [16]byte // of the target topic, since its first batch was sent
	ledger    bool     // the ledger's own
	most      int      // bytes of the largest batch that is joined; 0: none
	batches   []chunk.Batch
	alone     bool // its first batch is under way: the target may be busy, and would refuse all that follow it
	early     bool // its first batch came before the target was done with the transaction before
	runs      []offsets.Run
}

// ready says whether a batch may be sent now.
func (q *queue) ready() bool { return len(q.batches) > 0 && !q.alone && !q.early }

// held says whether batches wait for the answer about the first.
func (q *queue) held() bool { return q.alone && len(q.batches) > 0 }

// sent is a request under way.
type sent struct {
	at       time.Time // when it was sent
	came     time.Time // when its answer came
	done     chan struct{}
	queues   []*queue      // whose batches it holds
	batches  []chunk.Batch // by the same index
	bytes    int
	response *kmsg.ProduceResponse
	err      error
}

const (
	// sendFrom is how much is gathered before it is sent, so that a request holds batches of many partitions.
	sendFrom   = 1 << 20
	busyFor    = 5 * time.Millisecond // between two tries while the coordinator finishes the transaction before
	ledgerMost = 256 << 10            // bytes of a batch of ledger records
)

// OpenBatches opens a writer; Init comes next.
func OpenBatches(cfg Config) *Batches {
	return &Batches{
		cfg: cfg, wrote: &wrote{}, queues: map[chunk.Partition]*queue{}, leaders: leaders{known: map[string]*topic{}},
		txn: transaction{id: cfg.TransactionalID, lasts: cfg.lasts(), added: map[chunk.Partition]bool{},
			next: map[chunk.Partition]int32{}},
	}
}

// open connects as the version of the protocol wants it.
func (b *Batches) open(ctx context.Context) error {
	client, err := b.connect()
	if err != nil {
		return err
	}
	answer, err := versions(ctx, client)
	if err != nil {
		client.Close()
		return err
	}
	for _, feature := range answer.FinalizedFeatures {
		if feature.Name == "transaction.version" && feature.MaxVersionLevel >= 2 {
			b.txn.v2 = true
		}
	}
	b.client = client
	if b.txn.v2 {
		return nil
	}
	client.Close()
	b.client, err = b.connect(kgo.MaxVersions(firstGeneration()))
	return err
}

func (b *Batches) connect(more ...kgo.Opt) (*kgo.Client, error) {
	client, err := kafka.NewFranz(b.cfg.Target, append(more,
		kgo.WithHooks(b.wrote), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("open target writer: %w", err)
	}
	return client, nil
}

// Init fences a former owner and waits until the transaction that it left
// open, if any, is settled and its markers are written.
func (b *Batches) Init(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, blindAfter)
	defer cancel()
	if err := b.open(ctx); err != nil {
		return err
	}
	b.txn.client, b.leaders.client = b.client, b.client
	return b.txn.init(ctx)
}

// ProducerID is what the target knows the next transaction's batches by. A commit
// may change it.
func (b *Batches) ProducerID() int64 { return b.txn.producer.ID }

// Begin starts a transaction. The target learns of it with the first batch.
func (b *Batches) Begin() error {
	b.txn.begin()
	clear(b.queues)
	b.order = b.order[:0]
	return nil
}

// Write takes over the batches of one part for a topic on the target, and sends
// when enough has come together.
func (b *Batches) Write(ctx context.Context, part chunk.Part, topic string) error {
	at := chunk.Partition{Topic: topic, Number: part.Partition.Number}
	q := b.queues[at]
	if q == nil {
		q = &queue{partition: part.Partition, target: at, most: min(part.Most, BatchMost)}
		b.queues[at] = q
		b.order = append(b.order, q)
	}
	q.batches = append(q.batches, part.Batches...)
	for _, batch := range part.Batches {
		b.waiting += len(batch.Raw)
	}
	if b.waiting < sendFrom {
		return nil
	}
	if err := b.send(ctx); err != nil {
		return err
	}
	for b.waiting >= sendFrom && slices.ContainsFunc(b.order, (*queue).held) {
		if err := b.goOn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Push sends what waits, unless something is under way: then more may come
// together until there is an answer.
func (b *Batches) Push(ctx context.Context) error {
	if err := b.awaitAnswered(ctx); err != nil {
		return err
	}
	if len(b.sent) > 0 {
		return nil
	}
	return b.send(ctx)
}

// AwaitAcks waits for all answers. The runs are where the records are, once the
// transaction is committed. A *chunk.Stop names a partition whose batch was
// refused.
func (b *Batches) AwaitAcks(ctx context.Context) ([]Acked, error) {
	if err := b.flush(ctx); err != nil {
		return nil, err
	}
	var acked []Acked
	for _, q := range b.order {
		if len(q.runs) > 0 {
			acked = append(acked, Acked{Partition: q.partition, Target: q.target.Topic, Runs: q.runs})
		}
	}
	return acked, nil
}

// Commit adds the ledger's records to the transaction and commits it. It answers
// the offsets that they got. After an error it is not known whether the
// transaction was committed; Init of another writer settles that.
func (b *Batches) Commit(ctx context.Context, records []chunk.LedgerRecord) ([]int64, error) {
	at, err := b.writeLedger(ctx, records)
	if err != nil {
		return nil, fmt.Errorf("write ledger records: %w", err)
	}
	return at, b.txn.commit(ctx)
}

// writeLedger writes the ledger's records, a few batches at most, one after another.
func (b *Batches) writeLedger(ctx context.Context, records []chunk.LedgerRecord) ([]int64, error) {
	if len(records) == 0 {
		return nil, nil
	}
	q := &queue{ledger: true, target: chunk.Partition{Topic: b.cfg.Ledger, Number: b.cfg.Shard},
		partition: chunk.Partition{Topic: b.cfg.Ledger, Number: b.cfg.Shard}}
	b.queues[q.target] = q
	b.order = append(b.order, q)
	now := time.Now()
	for first := 0; first < len(records); {
		var some []*kgo.Record
		size := 0
		for ; first < len(records) && (size == 0 || size+len(records[first].Value) < ledgerMost); first++ {
			r := records[first]
			some = append(some, &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: now})
			size += len(r.Key) + len(r.Value)
		}
		raw, err := wire.Encode(some, kgo.CodecNone)
		if err != nil {
			return nil, err
		}
		n := len(some)
		q.batches = append(q.batches, chunk.Batch{Raw: raw, First: offsets.Source(first - n), Count: n})
		b.waiting += len(raw)
	}
	if err := b.flush(ctx); err != nil {
		return nil, err
	}
	at := make([]int64, 0, len(records))
	for _, run := range q.runs {
		for i := range run.Count {
			at = append(at, int64(run.Target)+i)
		}
	}
	return at, nil
}

// Close ends the connections. A transaction that is open is ended first, if the
// target answers soon and nobody has taken over; else the next owner or the
// timeout does it.
func (b *Batches) Close() {
	if b.client == nil {
		return
	}
	defer func() {
		for _, s := range b.sent {
			b.cfg.Window.leave(s.bytes)
		}
		b.sent = nil
	}()
	b.txn.abort()
	b.client.Close()
}
