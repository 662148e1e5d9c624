// Package glance reads short stretches of many partitions at once: what is new in all
// ledgers of a cluster, or single records of many topics.
//
// The central function is [Read]. It guarantees:
//
//  1. partitions of one broker share a request, and all brokers are asked at once: how
//     long it takes depends on what is read, not on how many partitions there are;
//  2. a log is read as it lies there, aborted records among it;
//  3. what is wrong with one partition stands in it, and does not keep the others.
//
// [ReadAll] waits for what passes, such as a leader that has not taken office yet; the others
// retry nothing but what franz-go does by itself.
package glance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// Log is a partition, and what is read of it.
type Log struct {
	Topic   string
	ID      chunk.TopicID
	Number  int32
	Leader  int32
	At, End int64 // the offset that is read next, and the one before which reading ends
	// Take gets each record, in order; an error of it ends the reading of this log. Calls come one at a time.
	Take    func(*kgo.Record) error
	Control bool  // markers of transactions are handed over too
	Err     error // why it was not read to its end

	page int32 // bytes to ask for
}

const (
	// emptyAnswers is how many answers without a record prove that nothing is left: a broker
	// that throttles may send one.
	emptyAnswers = 3
	// firstPage is what is asked of a log at first: most hold less, or are no ledgers.
	firstPage = 64 << 10
	// pageBytes bounds one answer.
	pageBytes = 8 << 20
)

// ErrSilent says that a broker sends nothing of a log that has not come to its End.
var ErrSilent = errors.New("the broker sends no records, though the log does not end there")

// left says whether there is more to read.
func (l *Log) left() bool { return l.Err == nil && l.At < l.End }

// Read reads logs to their ends. One whose Err is set, or which has nothing left, is
// passed over.
func Read(ctx context.Context, client *kgo.Client, logs []*Log) {
	empty := map[int32]int{} // answers without a record, by broker
	for {
		byLeader := map[int32][]*Log{}
		for _, l := range logs {
			if l.left() && empty[l.Leader] == emptyAnswers {
				l.Err = ErrSilent
			} else if l.left() {
				byLeader[l.Leader] = append(byLeader[l.Leader], l)
			}
		}
		if len(byLeader) == 0 {
			return
		}
		for leader, answer := range askLeaders(ctx, client, byLeader) {
			if answer.take(byLeader[leader]) {
				empty[leader] = 0
			} else {
				empty[leader]++
			}
		}
	}
}

// answer is what a broker says to one request for records.
type answer struct {
	response *kmsg.FetchResponse
	err      error
}

// askLeaders asks each broker once for all that is left to read from it.
func askLeaders(ctx context.Context, client *kgo.Client, byLeader map[int32][]*Log) map[int32]*answer {
	answers := make(map[int32]*answer, len(byLeader))
	var asking sync.WaitGroup
	for leader, logs := range byLeader {
		a := &answer{}
		answers[leader] = a
		asking.Go(func() {
			said, err := client.Broker(int(leader)).RetriableRequest(ctx, request(logs))
			if a.err = err; err == nil {
				a.response = said.(*kmsg.FetchResponse)
				a.err = kerr.ErrorForCode(a.response.ErrorCode)
			}
		})
	}
	asking.Wait()
	return answers
}

// take hands the records to the logs that were asked for, and says whether there were any.
func (a *answer) take(logs []*Log) (some bool) {
	for _, l := range logs {
		err := a.err
		if err == nil {
			var read bool
			read, err = l.takeFrom(a.response)
			some = some || read
		}
		l.Err = err
	}
	return some
}

func (l *Log) takeFrom(response *kmsg.FetchResponse) (some bool, err error) {
	said := l.partition(response)
	if said == nil {
		return false, errors.New("the broker answers for something else")
	}
	if err := kerr.ErrorForCode(said.ErrorCode); err != nil {
		return false, err
	}
	l.page = min(2*l.page, pageBytes) // of a large batch nothing comes, where it does not fit and others stand before it
	if len(said.RecordBatches) == 0 {
		return false, nil
	}
	read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: l.At, IsolationLevel: kgo.ReadUncommitted(), Topic: l.Topic, Partition: l.Number,
		KeepControlRecords: l.Control,
	}, said, wire.Decompressor{}, nil)
	if read.Err != nil {
		return false, read.Err
	}
	for _, r := range read.Records {
		if err := l.Take(r); err != nil {
			return false, err
		}
	}
	if next <= l.At {
		return false, fmt.Errorf("what follows offset %d cannot be read", l.At)
	}
	l.At = next
	return true, nil
}

// partition finds what a response says of a log.
func (l *Log) partition(response *kmsg.FetchResponse) *kmsg.FetchResponseTopicPartition {
	for i := range response.Topics {
		topic := &response.Topics[i]
		// Brokers name topics by id as soon as they have ids (KIP-516).
		if topic.Topic != l.Topic && (l.ID == chunk.TopicID{} || topic.TopicID != l.ID) {
			continue
		}
		for j := range topic.Partitions {
			if topic.Partitions[j].Partition == l.Number {
				return &topic.Partitions[j]
			}
		}
	}
	return nil
}

func request(logs []*Log) *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.SessionEpoch = 100, 1, pageBytes, -1
	at := map[string]int{} // by topic: where it stands in the request
	for _, l := range logs {
		i, ok := at[l.Topic]
		if !ok {
			i = len(request.Topics)
			at[l.Topic] = i
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic, topic.TopicID = l.Topic, l.ID
			request.Topics = append(request.Topics, topic)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		l.page = max(l.page, firstPage)
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = l.Number, l.At, l.page
		p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = chunk.UnknownEpoch, chunk.UnknownEpoch, -1
		request.Topics[i].Partitions = append(request.Topics[i].Partitions, p)
	}
	return request
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
		logs, err := Find(ctx, client, topics)
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

// Find finds the partitions of topics, with where each begins and ends now: At and End.
// What is wrong with one stands in its Err; the error is about a topic, or the cluster.
func Find(ctx context.Context, client *kgo.Client, topics []string) ([]*Log, error) {
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
