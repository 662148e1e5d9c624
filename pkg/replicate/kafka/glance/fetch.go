package glance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// answer is what a broker says to one request for records.
type answer struct {
	response *kmsg.FetchResponse
	err      error
}

// askLeaders asks each broker once for all that is left to read from it.
func askLeaders(ctx context.Context, client *kgo.Client, rest map[asked][]*Log) map[asked]*answer {
	answers := make(map[asked]*answer, len(rest))
	var asking sync.WaitGroup
	for of, logs := range rest {
		a := &answer{}
		answers[of] = a
		asking.Go(func() {
			said, err := ask(ctx, client, of.leader, request(logs, of.committed))
			if a.err = err; err == nil {
				a.response = said.(*kmsg.FetchResponse)
				a.err = kerr.ErrorForCode(a.response.ErrorCode)
			}
		})
	}
	asking.Wait()
	return answers
}

// ask puts a request to one broker. franz-go tries again where a connection breaks; a broker
// that stays silent is given up, since the partition may have another leader by then.
func ask(ctx context.Context, client *kgo.Client, leader int32, request kmsg.Request) (kmsg.Response, error) {
	within, _ := client.OptValue(kgo.RequestTimeoutOverhead).(time.Duration)
	ctx, cancel := context.WithTimeout(ctx, within+parked+extra)
	defer cancel()
	return client.Broker(int(leader)).RetriableRequest(ctx, request)
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
		if errors.Is(err, ErrEnough) {
			l.done, err = true, nil
		}
		l.Err = err
	}
	return some
}

func (l *Log) takeFrom(response *kmsg.FetchResponse) (some bool, err error) {
	said := l.partition(response)
	if said == nil { // a broker that throttles leaves partitions out
		l.empty = 0
		return false, nil
	}
	if err := kerr.ErrorForCode(said.ErrorCode); err != nil {
		return false, err
	}
	l.page = min(2*l.page, logBytes) // of a large batch nothing comes, where it does not fit and others stand before it
	if len(said.RecordBatches) == 0 {
		end := said.HighWatermark
		if l.Committed {
			end = said.LastStableOffset
		}
		if l.empty++; end < l.End {
			l.empty = 0
		}
		return false, nil
	}
	l.empty = 0
	return true, l.takeBatches(said)
}

// takeBatches hands over what an answer holds. Batches are unpacked one by one: what a page of
// them takes in memory is not known.
func (l *Log) takeBatches(said *kmsg.FetchResponseTopicPartition) error {
	aborted := wire.NewAborted(said.AbortedTransactions)
	before := l.At
	for rest := said.RecordBatches; l.left(); {
		b, after, err := wire.Next(rest)
		if errors.Is(err, wire.ErrPartial) { // also where nothing is left: the rest comes with the next answer
			break
		}
		if err != nil {
			return l.unreadable(err)
		}
		rest = after
		if b.Magic() >= 2 && (b.Last() < l.At || l.Committed && aborted.Hides(b)) {
			l.At = min(max(l.At, b.Last()+1), l.End)
		} else if err := l.takeBatch(b); err != nil {
			return err
		}
	}
	if l.At == before {
		return l.unreadable(nil)
	}
	return nil
}

func (l *Log) takeBatch(b wire.Batch) error {
	read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: l.At, IsolationLevel: kgo.ReadUncommitted(), Topic: l.Topic, Partition: l.Number,
		KeepControlRecords: l.Control,
	}, &kmsg.FetchResponseTopicPartition{RecordBatches: b}, wire.Decompressor{}, nil)
	if read.Err != nil {
		return l.unreadable(read.Err)
	}
	for _, r := range read.Records {
		if r.Offset >= l.End {
			break
		}
		if err := l.Take(r); errors.Is(err, ErrEnough) {
			return err
		} else if err != nil {
			return &final{err}
		}
	}
	if b.Magic() >= 2 && next <= b.Last() {
		return l.unreadable(fmt.Errorf("the batch at offset %d breaks off", b.Base()))
	}
	l.At = min(next, l.End)
	return nil
}

// unreadable is about what follows, whatever it is.
func (l *Log) unreadable(err error) error {
	if err == nil {
		return &final{fmt.Errorf("what follows offset %d cannot be read", l.At)}
	}
	return &final{fmt.Errorf("what follows offset %d cannot be read: %w", l.At, err)}
}

// final is an error that asking again does not mend.
type final struct{ error }

func (f *final) Unwrap() error { return f.error }

// passing says of an error of reading whether it may be gone when it is tried again: all that
// is about connections, leaders and positions is so.
func passing(err error) bool {
	var f *final
	var code *kerr.Error
	switch {
	case errors.As(err, &f), errors.Is(err, kgo.ErrClientClosed):
		return false
	case errors.As(err, &code):
		return code.Retriable || code == kerr.OffsetOutOfRange // the log's start has moved
	}
	return true
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

// nameless is a request that names topics by name, as those want it that have no id: brokers that
// speak an older protocol among themselves give none, and do not tell so by the versions that they take.
type nameless struct{ *kmsg.FetchRequest }

// MaxVersion is the last version with names (KIP-516).
func (nameless) MaxVersion() int16 { return 12 }

func request(logs []*Log, committed bool) kmsg.Request {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes = int32(parked.Milliseconds()), 1, pageBytes
	request.SessionEpoch = -1
	if committed {
		request.IsolationLevel = 1
	}
	at := map[string]int{} // by topic: where it stands in the request
	ids := true
	for _, l := range logs {
		i, ok := at[l.Topic]
		if !ok {
			i = len(request.Topics)
			at[l.Topic] = i
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic, topic.TopicID = l.Topic, l.ID
			request.Topics = append(request.Topics, topic)
			ids = ids && l.ID != (chunk.TopicID{})
		}
		p := kmsg.NewFetchRequestTopicPartition()
		l.page = max(l.page, firstPage)
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = l.Number, l.At, l.page
		p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = chunk.UnknownEpoch, chunk.UnknownEpoch, -1
		request.Topics[i].Partitions = append(request.Topics[i].Partitions, p)
	}
	if !ids {
		return nameless{request}
	}
	return request
}

// cease decides about a log of which nothing comes. Compaction may have removed all that was
// left up to its end; else that is no proof, since records of tiered storage come late.
func (l *Log) cease(ctx context.Context, client *kgo.Client) {
	l.Err = ErrSilent
	if l.empty < emptyAnswers {
		return
	}
	cleanups, err := kafka.Cleanups(ctx, client, []string{l.Topic})
	if err == nil && cleanups[l.Topic].Compacts {
		l.At, l.Err = l.End, nil
	}
}
