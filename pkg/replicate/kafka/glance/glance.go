// Package glance reads stretches of partitions: what is new in all ledgers of a cluster,
// single records of many topics, a ledger from its beginning to its end.
//
// The central function is [Read]. It guarantees:
//
//  1. partitions of one broker share a request, and all brokers are asked at once: how
//     long it takes depends on what is read, not on how many partitions there are;
//  2. a log is read as it lies there, or without what was aborted ([Log.Committed]): the
//     end that the broker tells decides where it ends, not a time-out;
//  3. what is wrong with one partition stands in it, and does not keep the others;
//  4. no request waits for its answer without an end.
//
// [ReadAll] and [Part.Read] wait for what passes, such as a leader that has not taken office
// yet; the others retry nothing but what franz-go does by itself.
package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Log is a partition, and what is read of it.
type Log struct {
	Topic   string
	ID      chunk.TopicID
	Number  int32
	Leader  int32 // broker id
	At, End int64 // the offset that is read next, and the one before which reading ends
	// Take gets each record, in order; an error of it ends the reading of this log. Calls come one at a time.
	// [ErrEnough] ends it as well, and is no error.
	Take      func(*kgo.Record) error
	Control   bool  // markers of transactions are handed over too
	Committed bool  // only what is committed is handed over, up to the last stable offset
	Err       error // why it was not read to its end

	page  int32 // bytes to ask for
	empty int   // answers in a row that say that the log reaches End, and hold nothing
	done  bool  // Take has enough
}

// ErrEnough is what a Take answers that wants no more.
var ErrEnough = errors.New("enough")

const (
	// emptyAnswers is how many answers without a record prove that no more will come: a broker
	// that throttles may send one.
	emptyAnswers = 3
	// firstPage is what is asked of a log at first: most hold less, or are no ledgers.
	firstPage = 64 << 10
	// pageBytes bounds one answer, and logBytes what it holds of one log, but for a batch that is larger.
	pageBytes, logBytes = 8 << 20, 2 << 20
	// parked is how long a broker may wait for something to answer with.
	parked = 100 * time.Millisecond
	// extra is how much longer than for a request the client may take for the connection before it.
	extra = 5 * time.Second
)

// ErrSilent says that a broker sends nothing of a log that has not come to its End.
var ErrSilent = errors.New("the broker sends no records, though the log does not end there")

// left says whether there is more to read.
func (l *Log) left() bool { return l.Err == nil && !l.done && l.At < l.End }

// asked is whom a request goes to, and what it may answer with.
type asked struct {
	leader    int32
	committed bool
}

// Read reads logs to their ends. One whose Err is set, or which has nothing left, is
// passed over.
func Read(ctx context.Context, client *kgo.Client, logs []*Log) {
	empty := map[asked]int{} // answers without a record
	for {
		rest := map[asked][]*Log{}
		for _, l := range logs {
			of := asked{l.Leader, l.Committed}
			if l.left() && empty[of] == emptyAnswers {
				l.cease(ctx, client)
			} else if l.left() {
				rest[of] = append(rest[of], l)
			}
		}
		if len(rest) == 0 {
			return
		}
		for of, answer := range askLeaders(ctx, client, rest) {
			if answer.take(rest[of]) {
				empty[of] = 0
			} else {
				empty[of]++
			}
		}
	}
}

// again is how long ReadAll waits between two tries.
const again = 100 * time.Millisecond

// ReadAll reads topics as far as they go now. setup says of each partition from where, in
// At, and who takes its records; one without a Take is left out. A partition that was just
// made, or moves, has no leader who would answer: until ctx ends all is begun anew then,
// with setup. The error is of the first partition that was not read, of a topic, such as
// UNKNOWN_TOPIC_OR_PARTITION, or of the cluster.
func ReadAll(ctx context.Context, client *kgo.Client, topics []string, setup func(*Log)) ([]*Log, error) {
	for {
		logs, err := find(ctx, client, topics)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, err
		}
		for _, l := range logs {
			setup(l)
		}
		logs = slices.DeleteFunc(logs, func(l *Log) bool { return l.Take == nil })
		Read(ctx, client, logs)
		for _, l := range logs {
			if err == nil && l.Err != nil {
				err = fmt.Errorf("%s/%d: %w", l.Topic, l.Number, l.Err)
			}
		}
		if err == nil || !kerr.IsRetriable(err) {
			return logs, err
		}
		select {
		case <-ctx.Done():
			return logs, err
		case <-time.After(again):
		}
	}
}

// find finds the partitions of topics, with where each begins and ends now: At and End.
// What is wrong with one stands in its Err; the error is about a topic, or the cluster.
func find(ctx context.Context, client *kgo.Client, topics []string) ([]*Log, error) {
	logs, err := list(ctx, client, topics)
	if err != nil {
		return nil, err
	}
	bounds, err := BoundsOf(ctx, client, topics)
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		start, end, err := bounds.Of(l.Topic, l.Number)
		l.At, l.End = start, end
		if l.Err == nil {
			l.Err = err
		}
	}
	return logs, nil
}

// list finds the partitions of topics.
func list(ctx context.Context, client *kgo.Client, topics []string) ([]*Log, error) {
	metadata, err := kafka.MetadataRequest(topics).RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	var logs []*Log
	for i := range metadata.Topics {
		topic := &metadata.Topics[i]
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s: %w", *topic.Topic, err)
		}
		for _, p := range topic.Partitions {
			logs = append(logs, &Log{Topic: *topic.Topic, ID: topic.TopicID, Number: p.Partition, Leader: p.Leader,
				Err: kerr.ErrorForCode(p.ErrorCode)})
		}
	}
	return logs, nil
}

// Bounds tell where partitions begin and end.
type Bounds struct{ Starts, Ends kadm.ListedOffsets }

// BoundsOf asks for all partitions of the topics at once.
func BoundsOf(ctx context.Context, client *kgo.Client, topics []string) (*Bounds, error) {
	admin := kadm.NewClient(client)
	g, ctx := errgroup.WithContext(ctx)
	b := &Bounds{}
	g.Go(func() (err error) {
		b.Starts, err = admin.ListStartOffsets(ctx, topics...)
		return err
	})
	g.Go(func() (err error) {
		b.Ends, err = admin.ListEndOffsets(ctx, topics...)
		return err
	})
	return b, g.Wait()
}

// Of are the first offset of a partition and the one after its last.
func (b *Bounds) Of(topic string, number int32) (start, end int64, err error) {
	first, ok := b.Starts.Lookup(topic, number)
	last, there := b.Ends.Lookup(topic, number)
	if !ok || !there {
		return 0, 0, kerr.UnknownTopicOrPartition
	}
	return first.Offset, last.Offset, errors.Join(first.Err, last.Err)
}
