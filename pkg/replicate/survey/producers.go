package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Producer is a producer that a partition's leader remembers (KIP-664): those with
// a producer id, which are idempotent or transactional.
type Producer struct {
	Partition chunk.Partition
	ID        int64
	Epoch     int16
	Last      time.Time // of its last batch: the latest time in it, which the producer may have chosen
	Open      int64     // first offset of its open transaction; -1: none
}

// Producers asks the leaders who writes to partitions. Partitions that were not
// told are missing, and the error says why.
func (c *Cluster) Producers(ctx context.Context, partitions []chunk.Partition) ([]Producer, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	answers, err := c.admin.DescribeProducers(ctx, topicSet(partitions))
	err = c.why(err, "Read", "topics")
	answered := 0
	var list []Producer
	for _, topic := range answers {
		for _, p := range topic.Partitions {
			if p.Err != nil {
				err = c.why(p.Err, "Read", "topic "+topic.Topic)
				continue
			}
			answered++
			for _, one := range p.ActiveProducers {
				list = append(list, Producer{
					Partition: chunk.Partition{Topic: topic.Topic, Number: p.Partition}, ID: one.ProducerID,
					Epoch: one.ProducerEpoch, Last: time.UnixMilli(one.LastTimestamp), Open: one.CurrentTxnStartOffset,
				})
			}
		}
	}
	if err == nil && answered < len(partitions) {
		err = &kafka.Problem{What: fmt.Sprintf("cluster %s tells of the producers of %d of %d partitions", c.conf.Name,
			answered, len(partitions)), Fix: "see whether all leaders are up"}
	}
	slices.SortFunc(list, func(a, b Producer) int {
		if n := comparePartitions(a.Partition, b.Partition); n != 0 {
			return n
		}
		return int(a.ID - b.ID)
	})
	return list, err
}

func comparePartitions(a, b chunk.Partition) int {
	if n := strings.Compare(a.Topic, b.Topic); n != 0 {
		return n
	}
	return int(a.Number - b.Number)
}

// Transaction is a transaction as its coordinator knows it.
type Transaction struct {
	ID         string // transactional id
	Producer   int64
	State      string // as Ongoing or PrepareCommit
	Started    time.Time
	Timeout    time.Duration
	Partitions map[chunk.Partition]bool // that it may have written to and that have no marker yet
}

// Transactions asks the coordinators for the transactions of producers. Those whose
// transactional id may not be described are left out without a word.
func (c *Cluster) Transactions(ctx context.Context, producers []int64) ([]Transaction, error) {
	if len(producers) == 0 {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	listed, err := c.admin.ListTransactions(ctx, producers, nil)
	if err != nil {
		return nil, c.why(err, "Describe", "transactional ids")
	}
	if len(listed) == 0 {
		return nil, nil
	}
	described, err := c.admin.DescribeTransactions(ctx, listed.TransactionalIDs()...)
	err = c.why(err, "Describe", "transactional ids")
	var list []Transaction
	for _, d := range described.Sorted() {
		if d.Err != nil {
			err = c.why(d.Err, "Describe", "transactional id "+d.TxnID)
			continue
		}
		one := Transaction{ID: d.TxnID, Producer: d.ProducerID, State: d.State,
			Timeout: time.Duration(d.TimeoutMillis) * time.Millisecond, Partitions: map[chunk.Partition]bool{}}
		if d.StartTimestamp >= 0 {
			one.Started = time.UnixMilli(d.StartTimestamp)
		}
		d.Topics.Each(func(topic string, p int32) { one.Partitions[chunk.Partition{Topic: topic, Number: p}] = true })
		list = append(list, one)
	}
	return list, err
}

// LongestTransaction is what the brokers allow a transaction to last at most
// (transaction.max.timeout.ms).
func (c *Cluster) LongestTransaction(ctx context.Context, brokers []int32) (time.Duration, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(brokers) == 0 {
		return 0, errors.New("no broker is known")
	}
	answers, err := c.admin.DescribeBrokerConfigs(ctx, brokers[0])
	for _, answer := range answers {
		if answer.Err != nil {
			err = answer.Err
		}
		for _, entry := range answer.Configs {
			ms, wrong := strconv.ParseInt(entry.MaybeValue(), 10, 64)
			if entry.Key == "transaction.max.timeout.ms" && wrong == nil {
				return time.Duration(ms) * time.Millisecond, nil
			}
		}
	}
	if err == nil {
		err = errors.New("transaction.max.timeout.ms is not told")
	}
	return 0, c.why(err, "DescribeConfigs", "the cluster")
}

// Verdict says what stands behind an open transaction.
type Verdict string

const (
	Running Verdict = "running" // its coordinator knows it, and it may still end by itself
	Hanging Verdict = "hanging" // nothing will end it but somebody
	Unseen  Verdict = "unseen"  // no coordinator shows it, which may be for want of a right
)

// Open is an open transaction in one partition. Readers of committed records, and
// so the copy, do not get past its first offset.
type Open struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"first_offset"`
	Producer  int64   `json:"producer_id"`
	Epoch     int16   `json:"producer_epoch"`
	ID        string  `json:"transactional_id"` // "": no coordinator shows it
	State     string  `json:"coordinator_state"`
	Age       *int64  `json:"age_seconds"` // since it began, or since the last record if only that is known
	Timeout   *int64  `json:"timeout_seconds"`
	Verdict   Verdict `json:"verdict"`
	Why       string  `json:"why"`
}

// grace is what a coordinator may take to end a transaction that has timed out.
const grace = time.Minute

// Judge puts the partitions' and the coordinators' sides together. longest is how
// long the brokers let a transaction last.
func Judge(producers []Producer, known []Transaction, longest time.Duration, now time.Time) []Open {
	by := map[int64]*Transaction{}
	for i := range known {
		by[known[i].Producer] = &known[i]
	}
	open := []Open{}
	for _, p := range producers {
		if p.Open >= 0 {
			open = append(open, judge(p, by[p.ID], longest, now))
		}
	}
	return open
}

func judge(p Producer, t *Transaction, longest time.Duration, now time.Time) Open {
	seconds := func(d time.Duration) *int64 { n := int64(max(d, 0) / time.Second); return &n }
	one := Open{Topic: p.Partition.Topic, Partition: p.Partition.Number, Offset: p.Open, Producer: p.ID, Epoch: p.Epoch,
		Verdict: Running}
	if t == nil {
		age := now.Sub(p.Last)
		one.Age, one.Verdict = seconds(age), Unseen
		one.Why = "no coordinator shows it: it hangs, or its transactional id may not be described"
		if age > longest+grace {
			one.Verdict = Hanging
			one.Why = fmt.Sprintf("no coordinator shows it, and its last record is older than any transaction may last (%s)",
				longest)
		}
		return one
	}
	one.ID, one.State, one.Timeout = t.ID, t.State, seconds(t.Timeout)
	age := now.Sub(p.Last)
	if !t.Started.IsZero() {
		age = now.Sub(t.Started)
	}
	one.Age = seconds(age)
	switch {
	case !t.Partitions[p.Partition]:
		one.Verdict, one.Why = Hanging, "its coordinator has ended it, or another one has begun, without this partition"
	case age > t.Timeout+grace:
		one.Verdict, one.Why = Hanging, fmt.Sprintf("it is open longer than its time-out of %s", t.Timeout)
	default:
		one.Why = fmt.Sprintf("it ends by itself, at the latest after its time-out of %s", t.Timeout)
	}
	return one
}

// Remedy is the command that ends a hanging transaction.
func (o *Open) Remedy(bootstrap string) string {
	return fmt.Sprintf("kafka-transactions.sh --bootstrap-server %s abort --topic %s --partition %d --start-offset %d",
		bootstrap, o.Topic, o.Partition, o.Offset)
}

// Writing sums up who writes to a topic.
type Writing struct {
	Known  int       `json:"known"`  // producers that the leaders remember
	Active int       `json:"active"` // of these, with records not older than was asked for
	Last   time.Time `json:"last"`   // the latest record of any of them
}

// Write sums up by topic. A time of a record may be the producer's own choice.
func Write(producers []Producer, since time.Time) map[string]Writing {
	known, active := map[string]map[int64]bool{}, map[string]map[int64]bool{}
	sum := map[string]Writing{}
	for _, p := range producers {
		topic := p.Partition.Topic
		if known[topic] == nil {
			known[topic], active[topic] = map[int64]bool{}, map[int64]bool{}
		}
		known[topic][p.ID] = true
		if p.Last.After(since) {
			active[topic][p.ID] = true
		}
		w := sum[topic]
		if p.Last.After(w.Last) {
			w.Last = p.Last
		}
		w.Known, w.Active = len(known[topic]), len(active[topic])
		sum[topic] = w
	}
	return sum
}
