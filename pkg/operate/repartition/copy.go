package repartition

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
	"replicator/pkg/replicate/wire"
	announce "replicator/pkg/versions"
	"replicator/pkg/versions/tail"
)

const (
	stepBytes  = 32 << 20 // of all partitions in one transaction, about
	stepWait   = 100 * time.Millisecond
	mostShared = 80 // source partitions whose progress is kept with one target partition: 4,096 bytes
	mostTries  = 8  // failures in a row
)

// copiedTo is how far one source partition is copied.
type copiedTo struct {
	next  int64 // source offset
	nulls int64 // records without a place of their own so far: they go round
}

// copier moves records from one version to the next. Records and progress are in
// one transaction, and progress is read back after each failure.
type copier struct {
	from, to *side
	source   topic // the version that is read
	target   topic
	id       string // of transactions, and of the group that holds progress
	put      partitioner
	force    bool
	batch    int32
	passing  func(step string) error // is called between the steps of a commit, for tests that end there

	out     *kgo.Client
	readers []*tail.Reader
	at      []copiedTo
}

// open shuts out whoever copied before, and reads how far that came.
func (c *copier) open(ctx context.Context) error {
	c.close()
	limits, err := kafka.LimitsOf(ctx, c.to.client, c.to.cfg)
	if err != nil {
		return err
	}
	lasts := time.Minute
	if limits.Transaction > 0 {
		lasts = min(lasts, limits.Transaction)
	}
	out, err := kafka.NewFranz(c.to.cfg, kgo.TransactionalID(c.id), kgo.TransactionTimeout(lasts),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(c.batch),
		kgo.MaxVersions(firstGeneration()))
	if err != nil {
		return err
	}
	c.out = out
	if _, _, err := out.ProducerID(ctx); err != nil { // settles a transaction that was left open
		return c.to.cfg.ExplainTransactions(c.id, err)
	}
	c.readers = nil
	for p := range c.source.partitions {
		r := tail.New(c.from.client, c.source.name, p)
		r.Unpack(wire.Decompressor{})
		r.Limit(max(64<<10, stepBytes/c.source.partitions))
		c.readers = append(c.readers, r)
	}
	return c.recall(ctx)
}

// firstGeneration keeps to the first generation of the transaction protocol, in
// which a group's offsets are announced by a request of their own.
func firstGeneration() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
	return v
}

func (c *copier) close() {
	if c.out != nil {
		c.out.Close()
		c.out = nil
	}
}

// retry carries out do, and begins anew with what the target knows after errors
// that pass. Only success of a commit moves progress.
func (c *copier) retry(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		var err error
		if c.out == nil {
			err = c.open(ctx)
		}
		if err == nil {
			err = do()
		}
		var problem *kafka.Problem
		if err == nil || ctx.Err() != nil || errors.As(err, &problem) {
			return err
		}
		c.close()
		if fenced(err) {
			return &kafka.Problem{What: "another run of this command has taken over", Err: err,
				Fix: "leave it to that one, or end it and run this command again"}
		}
		if try == mostTries {
			return c.to.cfg.Explain(err)
		}
		_ = wait.Pause(ctx, time.Duration(try)*250*time.Millisecond) // the next try says that it was cut short
	}
}

func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// step copies what is there, waiting a moment for it, and says how many records.
func (c *copier) step(ctx context.Context) (int, error) {
	copied := 0
	err := c.retry(ctx, func() (err error) {
		copied, err = c.move(ctx)
		return err
	})
	return copied, err
}

func (c *copier) move(ctx context.Context) (int, error) {
	answers := make([]tail.Answer, len(c.readers))
	reading, within := errgroup.WithContext(ctx)
	for p, r := range c.readers {
		reading.Go(func() (err error) {
			answers[p], err = r.Fetch(within, c.at[p].next, stepWait)
			if errors.Is(err, kerr.OffsetOutOfRange) {
				err = c.overtaken(p)
			}
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return 0, err
	}
	next, records, err := c.assign(answers)
	if err == nil && len(records) > 0 {
		err = c.commit(ctx, records, next)
	}
	if err != nil {
		return 0, err
	}
	c.at = next
	return len(records), nil
}

func (c *copier) overtaken(p int) error {
	return &kafka.Problem{
		What: fmt.Sprintf("%s/%d no longer holds offset %d, which comes next: retention was faster, or the log was cut",
			c.source.name, p, c.at[p].next),
		Fix: "raise retention.ms of " + c.source.name + ", give this version up with --abandon, and begin again",
	}
}

// assign gives each record its partition, in the order of the source's.
func (c *copier) assign(answers []tail.Answer) ([]copiedTo, []*kgo.Record, error) {
	next := make([]copiedTo, len(answers))
	var records []*kgo.Record
	for p, answer := range answers {
		next[p] = copiedTo{answer.Next, c.at[p].nulls}
		for _, r := range answer.Records {
			if here, ok := c.put.of(r.Key, c.source.partitions); ok && here != int32(p) && !c.force {
				return nil, nil, c.misplaced(answers, r)
			}
			there, ok := c.put.of(r.Key, c.target.partitions)
			if !ok {
				there = int32((int64(p) + next[p].nulls) % int64(c.target.partitions))
				next[p].nulls++
			}
			records = append(records, &kgo.Record{Topic: c.target.name, Partition: there,
				Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp})
		}
	}
	return next, records, nil
}

func (c *copier) misplaced(answers []tail.Answer, r *kgo.Record) error {
	var sample []placed
	for p, answer := range answers {
		for _, r := range answer.Records {
			sample = append(sample, placed{r.Key, int32(p)})
		}
	}
	return misplacedKey(c.source, c.put.name, r, advice(sample, c.source.partitions))
}

func misplacedKey(source topic, name string, r *kgo.Record, fix string) error {
	return &kafka.Problem{
		What: fmt.Sprintf("%s/%d holds at offset %d a key that partitioner %s puts elsewhere: the order of its records "+
			"over partitions is not defined", source.name, r.Partition, r.Offset, name),
		Fix: fix,
	}
}

// commit writes records and progress in one transaction.
func (c *copier) commit(ctx context.Context, records []*kgo.Record, next []copiedTo) error {
	if err := c.out.BeginTransaction(); err != nil {
		return err
	}
	var first kgo.FirstErrPromise
	for _, r := range records {
		c.out.Produce(ctx, r, first.Promise())
	}
	err := c.out.Flush(ctx)
	if err == nil {
		err = first.Err()
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"written", func() error { return c.note(ctx, next) }},
		{"noted", func() error { return c.out.EndTransaction(ctx, kgo.TryCommit) }},
		{"committed", func() error { return nil }},
	} {
		if err == nil {
			err = c.passing(step.name)
		}
		if err == nil {
			err = step.do()
		}
	}
	if err != nil {
		return fmt.Errorf("write %d records to %s: %w", len(records), c.target.name, err)
	}
	return nil
}

// note puts progress into the transaction: source partition p is noted with target
// partition p modulo their number. So it disappears with the target topic, and is
// never older than the last commit.
func (c *copier) note(ctx context.Context, next []copiedTo) error {
	id, epoch, err := c.out.ProducerID(ctx)
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = c.id, id, epoch, c.id
	added, err := add.RequestWith(ctx, c.out)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("group %s: %w", c.id, err)
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch = c.id, c.id, id, epoch
	commit.Generation = -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = c.target.name
	for p, text := range c.notes(next) {
		noted := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		noted.Partition, noted.Offset, noted.Metadata = int32(p), 0, kmsg.StringPtr(text)
		topic.Partitions = append(topic.Partitions, noted)
	}
	commit.Topics = append(commit.Topics, topic)
	answer, err := commit.RequestWith(ctx, c.out)
	if err != nil {
		return fmt.Errorf("group %s: %w", c.id, err)
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("group %s: %w", c.id, err)
			}
		}
	}
	return nil
}

// head begins each note: what it is about. A topic that was made anew has another id.
func (c *copier) head() string {
	return "replicator1 " + hex.EncodeToString(c.source.id[:]) + " " + hex.EncodeToString(c.target.id[:])
}

func (c *copier) notes(next []copiedTo) []string {
	texts := make([]string, min(int(c.target.partitions), len(next)))
	for p := range texts {
		texts[p] = c.head()
	}
	for p, at := range next {
		texts[p%len(texts)] += fmt.Sprintf(" %d:%d:%d", p, at.next, at.nulls)
	}
	return texts
}

// recall reads progress; without any, copying begins where the source does, into
// an empty topic.
func (c *copier) recall(ctx context.Context) error {
	noted, err := announce.Positions(ctx, c.out, c.id, c.target.name)
	if err != nil {
		return err
	}
	c.at = make([]copiedTo, c.source.partitions)
	found := 0
	for _, o := range noted.Sorted() {
		rest, ours := strings.CutPrefix(o.Metadata, c.head())
		if o.At < 0 || !ours {
			continue
		}
		for _, word := range strings.Fields(rest) {
			var p int
			var at copiedTo
			if _, err := fmt.Sscanf(word, "%d:%d:%d", &p, &at.next, &at.nulls); err != nil || p < 0 || p >= len(c.at) {
				return fmt.Errorf("group %s: %q is no progress", c.id, word)
			}
			c.at[p] = at
			found++
		}
	}
	if found == len(c.at) {
		return nil
	}
	return c.begin(ctx, found)
}

func (c *copier) begin(ctx context.Context, found int) error {
	first, last, err := c.to.span(ctx, c.target)
	if err != nil {
		return err
	}
	for p := range first {
		if found > 0 || last[p] > first[p] && !c.onlyMarkers(ctx, p, first[p], last[p]) {
			return &kafka.Problem{
				What: fmt.Sprintf("%s holds records, and nothing tells how far it was filled (group %s)",
					c.target.name, c.id),
				Fix: "give the version up with --abandon, and begin again",
			}
		}
	}
	first, _, err = c.from.span(ctx, c.source)
	for p := range first {
		c.at[p] = copiedTo{next: first[p]}
	}
	return err
}

// onlyMarkers: a first transaction that was aborted leaves nothing else.
func (c *copier) onlyMarkers(ctx context.Context, p int, first, last int64) bool {
	end, err := c.to.visibleEnd(ctx, c.target.name, int32(p), first, last)
	return err == nil && end == first
}

// reached says whether everything below the offsets is copied.
func (c *copier) reached(ends []int64) bool {
	for p, end := range ends {
		if c.at[p].next < end {
			return false
		}
	}
	return true
}
