// Package sink is the door out: it writes chunks to the target, and the ledger's
// records with them, so that both become visible together or not at all.
//
// There is one writer for each lane: [Records] on librdkafka, [Batches] on raw produce
// requests. A transaction is Begin, Write (any number of times), AwaitAcks, Commit.
// Both guarantee:
//
//  1. AwaitAcks tells the target offset of every record, or fails;
//  2. after an error of any of its methods nothing more can be written through
//     it: Close it, open another one and Init that, which settles whatever was
//     left open; then the ledger says what holds;
//  3. a record that cannot be written unchanged is refused before it is written
//     ([Carries]), never altered.
//
// With at-least-once delivery the records go out without a transaction and only
// the ledger's records are in one: that fence keeps a former owner from putting
// an old map over a new one.
package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Config says where and as whom to write.
type Config struct {
	Target          kafka.Config
	TransactionalID string // of the shard: a second writer under it fences the first
	ExactlyOnce     bool
	Ledger          string           // topic
	Shard           int32            // its partition
	Interval        time.Duration    // how long a transaction gathers records
	Longest         time.Duration    // that the target takes; 0: as long as we want, else LeastMargin above Interval
	BatchBytes      int              // largest batch of several records; 0: BatchMost
	Window          *Window          // in the batch lane; shared by the writers of a flow
	Rebuilt         func(why string) // in the batch lane; called for each batch that did not travel as it was
}

// lasts is how long the target lets a transaction be open.
func (c *Config) lasts() time.Duration {
	if usual := c.Interval + Margin; c.Longest == 0 || c.Longest > usual {
		return usual
	}
	return c.Longest
}

// BatchMost is the largest batch of several records where the topics take it: just
// below Kafka's default of max.message.bytes.
const BatchMost = 1_000_000

// Acked is where the records of one partition are, in a transaction that is
// not committed yet.
type Acked struct {
	Partition chunk.Partition // by its source name
	Target    string          // topic
	Runs      []offsets.Run   // ascending
}

const (
	// Margin is what a transaction may take beyond gathering its records. When it is over, the target ends the
	// transaction of a silent owner; until then, or until another owner takes over, committed readers of the
	// partitions it wrote to wait.
	Margin = 30 * time.Second
	// LeastMargin is the least that it has to be where the target allows no more.
	LeastMargin = 2 * time.Second

	callSlice = time.Second // a call into librdkafka does not see a cancelled context
	// blindAfter is how long a call is repeated before the handle is given up.
	blindAfter = 2 * Margin
	// lingerMs lets a batch grow: a shard's producer writes to few partitions, and small requests cost both sides.
	lingerMs   = 20
	drainEvery = 512 // records written before delivery reports are looked at
)

// Records writes whole records through librdkafka. It belongs to one goroutine.
type Records struct {
	cfg     Config
	fence   *kafka.Producer // transactional
	data    *kafka.Producer // the same one when delivery is exactly once
	reports map[chunk.Partition]*partitionReports
	last    *partitionReports // of the report before: neighbours mostly share it
	waiting int               // records written whose report has not come
	ledger  []int64
	id      int64     // producer id; -1: not known
	begun   time.Time // the transaction
	failure error     // what went wrong first in it
	taken   bool      // the target has acknowledged a part of it
	slow    bool      // and not in time what followed
	broken  bool      // but connections broke
	reason  error     // what librdkafka last said about the connection
	opened  kafka.Credentials
	renewed error // the handles hold former certificates or passwords, and there is trouble
}

// partitionReports are what is waited for of one partition; reports come in the order of writing.
type partitionReports struct {
	partition chunk.Partition
	target    chunk.Partition
	pending   []offsets.Source // written, not reported
	head      int              // of pending
	runs      []offsets.Run    // reported in this transaction
}

// OpenRecords opens a writer; Init comes next.
func OpenRecords(cfg Config) (*Records, error) {
	if cfg.BatchBytes == 0 {
		cfg.BatchBytes = BatchMost
	}
	common := map[string]any{
		"linger.ms":                         lingerMs,
		"batch.size":                        cfg.BatchBytes,
		"batch.num.messages":                100_000,
		"compression.type":                  "lz4",
		"message.max.bytes":                 1_000_000_000, // the target decides what is too large
		"queue.buffering.max.messages":      0,             // a chunk is bounded where it is made
		"queue.buffering.max.kbytes":        2_097_151,
		"message.timeout.ms":                int(min(Margin, cfg.lasts()).Milliseconds()),
		"topic.metadata.propagation.max.ms": int(unknownFor.Milliseconds()),
		"go.delivery.reports":               true,
		"go.delivery.report.fields":         "none",
		"go.events.channel.size":            10_000,
		"go.produce.channel.size":           0,
		"enable.idempotence":                true,
	}
	fenced := map[string]any{
		"transactional.id":       cfg.TransactionalID,
		"transaction.timeout.ms": int(cfg.lasts().Milliseconds()),
	}
	for k, v := range common {
		fenced[k] = v
	}
	s := &Records{cfg: cfg, reports: map[chunk.Partition]*partitionReports{}, opened: cfg.Target.Credentials()}
	var err error
	if s.fence, err = kafka.NewProducer(cfg.Target, fenced); err != nil {
		return nil, fmt.Errorf("open target writer: %w", err)
	}
	s.data = s.fence
	if !cfg.ExactlyOnce {
		if s.data, err = kafka.NewProducer(cfg.Target, common); err != nil {
			s.fence.Close()
			return nil, fmt.Errorf("open target writer: %w", err)
		}
	}
	return s, nil
}

// Init fences a former owner and waits until the transaction that it left
// open, if any, is settled and its markers are written.
func (s *Records) Init(ctx context.Context) error {
	if err := s.repeat(ctx, "take over "+s.cfg.TransactionalID, s.fence.InitTransactions); err != nil {
		return err
	}
	s.id = -1
	if !s.cfg.ExactlyOnce {
		return nil // the data have a producer id of their own, which nobody tells
	}
	id, err := s.askID(ctx)
	if err != nil {
		return fmt.Errorf("ask for the producer id of %s: %w", s.cfg.TransactionalID, err)
	}
	s.id = id
	return nil
}

// askID asks the target for the producer id, which librdkafka keeps to itself: -1
// where the target is too old to tell (Kafka before 3.0, KIP-664).
func (s *Records) askID(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, Margin)
	defer cancel()
	client, err := kafka.NewFranz(s.cfg.Target)
	if err != nil {
		return -1, err
	}
	defer client.Close()
	request := kmsg.NewPtrDescribeTransactionsRequest()
	request.TransactionalIDs = []string{s.cfg.TransactionalID}
	can, err := versions(ctx, client)
	if err != nil {
		return -1, err
	}
	tells := func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == request.Key() }
	if !slices.ContainsFunc(can.ApiKeys, tells) {
		return -1, nil
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return -1, err
	}
	if len(answer.TransactionStates) != 1 {
		return -1, fmt.Errorf("the answer tells of %d transactional ids", len(answer.TransactionStates))
	}
	state := answer.TransactionStates[0]
	return state.ProducerID, kerr.ErrorForCode(state.ErrorCode)
}

// ProducerID is what the target knows the batches by; -1: it does not tell.
func (s *Records) ProducerID() int64 { return s.id }

// Begin starts a transaction.
func (s *Records) Begin() error {
	s.ledger = s.ledger[:0]
	s.begun, s.failure = time.Now(), nil
	s.taken, s.slow, s.broken = false, false, false
	for _, l := range s.reports {
		l.runs = nil
	}
	if !s.cfg.ExactlyOnce {
		return nil
	}
	if err := s.fence.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	return nil
}

// Write sends the records of one part to a topic on the target, without
// waiting. The part may be reused afterwards. A *chunk.Stop names a partition
// whose record was refused.
func (s *Records) Write(ctx context.Context, part chunk.Part, topic string) error {
	l := s.reportsOf(part.Partition, topic)
	message := ck.Message{TopicPartition: ck.TopicPartition{Topic: &topic, Partition: part.Partition.Number}}
	for i := range part.Records {
		record := &part.Records[i]
		message.Key, message.Value, message.Headers = record.Key, record.Value, nil
		message.Timestamp = timestamp(record.Timestamp)
		if len(record.Headers) > 0 {
			message.Headers = make([]ck.Header, len(record.Headers))
			for h, header := range record.Headers {
				message.Headers[h] = ck.Header{Key: header.Key, Value: header.Value}
			}
		}
		if err := s.produce(ctx, s.data, &message); err != nil {
			return refused(l.partition, topic, record.Offset, err)
		}
		l.pending = append(l.pending, record.Offset)
		s.waiting++
		if i%drainEvery == drainEvery-1 {
			s.drain()
		}
	}
	s.drain()
	return s.judged()
}

// Push has nothing to do: librdkafka sends by itself.
func (s *Records) Push(context.Context) error { return nil }

// timestamp gives the library milliseconds as it wants them. Zero is not among
// what it can carry, see [Carries].
func timestamp(ms int64) time.Time { return time.UnixMilli(ms) }

// reportsOf finds or makes what is kept of one partition.
func (s *Records) reportsOf(p chunk.Partition, topic string) *partitionReports {
	at := chunk.Partition{Topic: topic, Number: p.Number}
	l := s.reports[at]
	if l == nil {
		l = &partitionReports{partition: p, target: at}
		s.reports[at] = l
	}
	return l
}

// produce hands one message to librdkafka, which copies it. A full queue is
// waited for: reports make room.
func (s *Records) produce(ctx context.Context, p *kafka.Producer, m *ck.Message) error {
	for {
		err := p.Produce(m, nil)
		var kerr ck.Error
		if !errors.As(err, &kerr) || kerr.Code() != ck.ErrQueueFull {
			return err
		}
		if err := s.report(ctx, p); err != nil {
			return err
		}
	}
}

// AwaitAcks waits for all reports. The runs are where the records are, once the
// transaction is committed. A *chunk.Stop names a partition whose record was
// refused.
func (s *Records) AwaitAcks(ctx context.Context) ([]Acked, error) {
	if err := s.awaitReports(ctx, s.data); err != nil {
		return nil, err
	}
	var acked []Acked
	for _, l := range s.reports {
		if len(l.runs) > 0 {
			acked = append(acked, Acked{Partition: l.partition, Target: l.target.Topic, Runs: l.runs})
		}
	}
	return acked, nil
}

// Commit adds the ledger's records to the transaction and commits it. It answers
// the offsets that they got. After an error it is not known whether the
// transaction was committed; Init of another writer settles that.
func (s *Records) Commit(ctx context.Context, records []chunk.LedgerRecord) ([]int64, error) {
	if !s.cfg.ExactlyOnce {
		if err := s.fence.BeginTransaction(); err != nil {
			return nil, fmt.Errorf("begin ledger transaction: %w", err)
		}
	}
	topic := s.cfg.Ledger
	for _, r := range records {
		m := &ck.Message{
			TopicPartition: ck.TopicPartition{Topic: &topic, Partition: s.cfg.Shard}, Key: r.Key, Value: r.Value,
		}
		if err := s.produce(ctx, s.fence, m); err != nil {
			return nil, fmt.Errorf("write ledger record: %w", err)
		}
		s.waiting++
	}
	if err := s.awaitReports(ctx, s.fence); err != nil {
		return nil, err
	}
	if err := s.repeat(ctx, "commit", s.fence.CommitTransaction); err != nil {
		return nil, err
	}
	return s.ledger, nil
}

// repeat makes a call of librdkafka's transaction interface in slices, so that a
// cancelled context is noticed; a repeated call goes on where it was.
func (s *Records) repeat(ctx context.Context, what string, call func(context.Context) error) error {
	giveUp := time.Now().Add(blindAfter)
	for {
		slice, cancel := context.WithTimeout(context.Background(), callSlice)
		err := call(slice)
		cancel()
		s.drain()
		var kerr ck.Error
		switch {
		case err == nil:
			return nil
		case s.renewed != nil:
			return fmt.Errorf("%s: %w", what, s.renewed)
		case !errors.As(err, &kerr), kerr.IsFatal(), !kerr.IsRetriable(), ctx.Err() != nil, time.Now().After(giveUp):
			return fmt.Errorf("%s: %w", what, errors.Join(err, s.reason))
		}
	}
}

// Close lets go of the handles. What is in an open transaction is aborted, if the
// target answers soon; else the next owner or the timeout does it.
func (s *Records) Close() {
	if s.cfg.ExactlyOnce && s.waiting+len(s.reports) > 0 {
		_ = s.fence.Purge(ck.PurgeQueue | ck.PurgeInFlight)
		ctx, cancel := context.WithTimeout(context.Background(), callSlice)
		_ = s.fence.AbortTransaction(ctx) // fails when none is open, or when the handle is fenced
		cancel()
	}
	if s.data != s.fence {
		_ = s.data.Purge(ck.PurgeQueue | ck.PurgeInFlight)
		s.data.Close()
	}
	s.fence.Close()
}
