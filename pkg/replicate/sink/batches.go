package sink

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// Batches writes raw batches in transactions of its own making: the batch lane's
// door out, with the same promises as [Records]. It speaks both generations of
// the transaction protocol: with the second (KIP-890, transaction.version 2) the
// broker admits partitions by itself and every transaction has an epoch of its
// own; with the first, partitions are announced before anything is sent to them.
//
// Batches of one partition go out in order, each request with at most one of
// every partition: a broker keeps only the last of two, without a word. It
// belongs to one goroutine.
type Batches struct {
	cfg      Config
	client   *kgo.Client
	wrote    *wrote
	second   bool // generation of the protocol
	producer wire.Producer
	began    bool            // something was sent in this transaction
	announce map[place]bool  // partitions that the first generation's transaction knows
	next     map[place]int32 // sequence
	topics   map[string]*topic
	queues   map[place]*queue
	order    []*queue // in the order of the first batch
	waiting  int      // bytes in queues
	sent     []*sent
	flying   int // bytes in sent
}

// topic is what the target says of one: where to write, and as which.
type topic struct {
	id      [16]byte
	leaders map[int32]int32 // by partition
}

// queue holds what is not sent yet of one partition, and what has landed.
type queue struct {
	partition chunk.Partition
	target    place
	id        [16]byte // of the target topic, since its first batch was sent
	ledger    bool     // the ledger's own
	batches   []chunk.Batch
	runs      []offsets.Run
}

// sent is a request under way.
type sent struct {
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
		cfg: cfg, wrote: &wrote{}, announce: map[place]bool{}, next: map[place]int32{},
		topics: map[string]*topic{}, queues: map[place]*queue{},
	}
}

// open connects as the generation of the protocol wants it.
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
			b.second = true
		}
	}
	b.client = client
	if b.second {
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

// Init shuts out a former owner and waits until the transaction that it left
// open, if any, is settled and its markers are written.
func (b *Batches) Init(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, blindAfter)
	defer cancel()
	if err := b.open(ctx); err != nil {
		return err
	}
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID = kmsg.StringPtr(b.cfg.TransactionalID)
	request.TransactionTimeoutMillis = int32((b.cfg.Interval + margin).Milliseconds())
	return b.settled(ctx, "take over "+b.cfg.TransactionalID, func(ctx context.Context) error {
		answer, err := request.RequestWith(ctx, b.client)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err == nil {
			b.producer = wire.Producer{ID: answer.ProducerID, Epoch: answer.ProducerEpoch, Transactional: true}
		}
		return err
	})
}

// settled makes a call again while the coordinator is busy with the transaction
// before.
func (b *Batches) settled(ctx context.Context, what string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, blindAfter)
	defer cancel()
	for {
		err := call(ctx)
		if err != kerr.ConcurrentTransactions {
			if err != nil {
				return fmt.Errorf("%s: %w", what, b.noted(err))
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(busyFor):
		}
	}
}

// ProducerID is what the target knows the next transaction's batches by. A commit
// may change it.
func (b *Batches) ProducerID() int64 { return b.producer.ID }

// Begin starts a transaction. The target learns of it with the first batch.
func (b *Batches) Begin() error {
	b.began = false
	clear(b.announce)
	if b.second {
		clear(b.next) // every transaction has an epoch of its own, and begins at 0
	}
	clear(b.queues)
	b.order = b.order[:0]
	return nil
}

// Write takes over the batches of one part for a topic on the target, and sends
// when enough has come together.
func (b *Batches) Write(ctx context.Context, part chunk.Part, topic string) error {
	at := place{topic, part.Partition.Number}
	q := b.queues[at]
	if q == nil {
		q = &queue{partition: part.Partition, target: at}
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
	return b.send(ctx)
}

// send sends all that waits: one batch of every partition in a request, as long
// as there are any.
func (b *Batches) send(ctx context.Context) error {
	if b.waiting == 0 {
		return nil
	}
	if err := b.admit(ctx); err != nil {
		return err
	}
	for b.waiting > 0 {
		byBroker := map[int32]*request{}
		for _, q := range b.order {
			if len(q.batches) == 0 {
				continue
			}
			t, err := b.topic(ctx, q.target.topic)
			if err != nil {
				return q.refused(q.batches[0], err)
			}
			leader, led := t.leaders[q.target.number]
			if !led {
				return fmt.Errorf("write %s: %w", q.partition, kerr.LeaderNotAvailable)
			}
			r := byBroker[leader]
			if r == nil {
				r = b.newRequest()
				byBroker[leader] = r
			}
			batch := q.batches[0]
			q.batches, q.id = q.batches[1:], t.id
			b.waiting -= len(batch.Raw)
			b.stamp(q.target, batch)
			r.add(q, batch)
		}
		for leader, r := range byBroker {
			if err := b.dispatch(ctx, leader, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// stamp makes a batch ours and the next in its partition.
func (b *Batches) stamp(at place, batch chunk.Batch) {
	wire.Batch(batch.Raw).Stamp(b.producer, b.next[at])
	b.next[at] = wire.NextSequence(b.next[at], batch.Count)
}

// admit makes the first generation's transaction know all partitions that are
// about to be written to. Before it does, nothing may be sent: a batch that comes
// too early is committed with no ledger record to tell of it.
func (b *Batches) admit(ctx context.Context) error {
	b.began = true
	if b.second {
		return nil
	}
	var fresh []place
	for _, q := range b.order {
		if len(q.batches) > 0 && !b.announce[q.target] {
			fresh = append(fresh, q.target)
		}
	}
	return b.admitAll(ctx, fresh)
}

func (b *Batches) admitAll(ctx context.Context, places []place) error {
	if len(places) == 0 {
		return nil
	}
	request := kmsg.NewPtrAddPartitionsToTxnRequest()
	request.TransactionalID, request.ProducerID, request.ProducerEpoch =
		b.cfg.TransactionalID, b.producer.ID, b.producer.Epoch
	at := map[string]int{}
	for _, p := range places {
		n, ok := at[p.topic]
		if !ok {
			topic := kmsg.NewAddPartitionsToTxnRequestTopic()
			topic.Topic = p.topic
			request.Topics = append(request.Topics, topic)
			n = len(request.Topics) - 1
			at[p.topic] = n
		}
		request.Topics[n].Partitions = append(request.Topics[n].Partitions, p.number)
		b.announce[p] = true
	}
	return b.settled(ctx, "announce partitions", func(ctx context.Context) error {
		answer, err := request.RequestWith(ctx, b.client)
		if err != nil {
			return err
		}
		announced := 0
		for _, topic := range answer.Topics {
			for _, p := range topic.Partitions {
				err := kerr.ErrorForCode(p.ErrorCode)
				if err == nil {
					announced++
				}
				if err == nil || err == kerr.OperationNotAttempted { // another one is to blame
					continue
				}
				q := b.queues[place{topic.Topic, p.Partition}]
				if q == nil || q.ledger || err == kerr.ConcurrentTransactions {
					return err
				}
				return refused(q.partition, topic.Topic, q.batches[0].First, err)
			}
		}
		if announced < len(places) {
			return fmt.Errorf("the target names %d of %d", announced, len(places))
		}
		return nil
	})
}

// look finds out where a topic's partitions are led.
func (b *Batches) look(ctx context.Context, name string) (*topic, error) {
	request := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = kmsg.StringPtr(name)
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(ctx, b.client)
	if err != nil {
		return nil, fmt.Errorf("find the leaders of topic %q: %w", name, err)
	}
	if len(answer.Topics) != 1 {
		return nil, fmt.Errorf("find the leaders of topic %q: the answer tells of %d topics", name, len(answer.Topics))
	}
	found := answer.Topics[0]
	if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
		return nil, fmt.Errorf("find the leaders of topic %q: %w", name, err)
	}
	t := &topic{id: found.TopicID, leaders: map[int32]int32{}}
	for _, p := range found.Partitions {
		if p.ErrorCode == 0 && p.Leader >= 0 {
			t.leaders[p.Partition] = p.Leader
		}
	}
	return t, nil
}

// Settle waits for all answers. The runs are where the records are, once the
// transaction is committed. A *chunk.Stop names a partition whose batch was
// refused.
func (b *Batches) Settle(ctx context.Context) ([]Landed, error) {
	if err := b.send(ctx); err != nil {
		return nil, err
	}
	if err := b.await(ctx, 0); err != nil {
		return nil, err
	}
	var landed []Landed
	for _, q := range b.order {
		if len(q.runs) > 0 {
			landed = append(landed, Landed{Partition: q.partition, Target: q.target.topic, Runs: q.runs})
		}
	}
	return landed, nil
}

// await reads answers, the oldest first, until no more bytes than that are under way.
func (b *Batches) await(ctx context.Context, most int) error {
	for len(b.sent) > 0 && b.flying > most {
		s := b.sent[0]
		select {
		case <-s.done:
		case <-ctx.Done():
			return fmt.Errorf("wait for the target's acknowledgements: %w", ctx.Err())
		}
		b.sent, b.flying = b.sent[1:], b.flying-s.bytes
		if err := s.land(); err != nil {
			return b.noted(err)
		}
	}
	return nil
}

// Commit adds the ledger's records to the transaction and commits it. It answers
// the offsets that they got. After an error it is not known whether the
// transaction was committed; Init of another writer settles that.
func (b *Batches) Commit(ctx context.Context, records []LedgerRecord) ([]int64, error) {
	at, err := b.writeLedger(ctx, records)
	if err != nil {
		return nil, fmt.Errorf("write ledger records: %w", err)
	}
	if !b.began {
		return at, nil // the target has heard of nothing that could be committed
	}
	request := kmsg.NewPtrEndTxnRequest()
	request.TransactionalID, request.ProducerID, request.ProducerEpoch, request.Commit =
		b.cfg.TransactionalID, b.producer.ID, b.producer.Epoch, true
	err = b.settled(ctx, "commit", func(ctx context.Context) error {
		answer, err := request.RequestWith(ctx, b.client)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err == nil && b.second {
			b.producer.ID, b.producer.Epoch = answer.ProducerID, answer.ProducerEpoch
		}
		return err
	})
	if err == nil {
		b.began = false
	}
	return at, err
}

// writeLedger writes the ledger's records, a few batches at most, one after another.
func (b *Batches) writeLedger(ctx context.Context, records []LedgerRecord) ([]int64, error) {
	if len(records) == 0 {
		return nil, nil
	}
	q := &queue{ledger: true, target: place{b.cfg.Ledger, b.cfg.Shard},
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
	if err := b.send(ctx); err != nil {
		return nil, err
	}
	if err := b.await(ctx, 0); err != nil {
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
	if b.began {
		ctx, cancel := context.WithTimeout(context.Background(), callSlice)
		request := kmsg.NewPtrInitProducerIDRequest()
		request.TransactionalID = kmsg.StringPtr(b.cfg.TransactionalID)
		request.TransactionTimeoutMillis = int32((b.cfg.Interval + margin).Milliseconds())
		request.ProducerID, request.ProducerEpoch = b.producer.ID, b.producer.Epoch // KIP-360: ours only
		_, _ = request.RequestWith(ctx, b.client)
		cancel()
	}
	b.client.Close()
}

// wrote tells when a request has gone out. The order of concurrent requests is
// the caller's to keep.
type wrote struct {
	mu   sync.Mutex
	next chan error // of the request that is about to be written
}

func (w *wrote) expect() <-chan error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = make(chan error, 1)
	return w.next
}

// OnBrokerWrite is kgo's hook.
func (w *wrote) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key != produceKey {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		w.next <- err
		w.next = nil
	}
}

const produceKey = 0
