package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// log is a partition that is read as it lies there, aborted records among it: whoever has
// written and then looks must see what others have written before they looked.
type log struct {
	topic   string
	id      chunk.TopicID
	number  int32
	leader  int32
	at, end int64 // what is read next, and where reading ends
	take    func(*kgo.Record) error
	err     error // why it was not read to its end

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

// left says whether there is more to read.
func (l *log) left() bool { return l.err == nil && l.at < l.end }

// readLogs reads logs to their ends: those of one broker with one request, all brokers at
// once. What keeps a log from its end stands in it, and does not keep the others.
func readLogs(ctx context.Context, client *kgo.Client, logs []*log) {
	empty := map[int32]int{} // answers without a record, by broker
	for {
		byLeader := map[int32][]*log{}
		for _, l := range logs {
			if l.left() && empty[l.leader] < emptyAnswers {
				byLeader[l.leader] = append(byLeader[l.leader], l)
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
func askLeaders(ctx context.Context, client *kgo.Client, byLeader map[int32][]*log) map[int32]*answer {
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
func (a *answer) take(logs []*log) (some bool) {
	for _, l := range logs {
		err := a.err
		if err == nil {
			var read bool
			read, err = l.takeFrom(a.response)
			some = some || read
		}
		l.err = err
	}
	return some
}

func (l *log) takeFrom(response *kmsg.FetchResponse) (some bool, err error) {
	said := l.partition(response)
	if said == nil {
		return false, errors.New("the broker answers for something else")
	}
	if err := kerr.ErrorForCode(said.ErrorCode); err != nil {
		return false, err
	}
	if len(said.RecordBatches) == 0 {
		return false, nil
	}
	read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: l.at, IsolationLevel: kgo.ReadUncommitted(), Topic: l.topic, Partition: l.number,
	}, said, wire.Decompressor{}, nil)
	if read.Err != nil {
		return false, read.Err
	}
	for _, r := range read.Records {
		if err := l.take(r); err != nil {
			return false, err
		}
	}
	if next <= l.at {
		return false, fmt.Errorf("what follows offset %d cannot be read", l.at)
	}
	l.at, l.page = next, min(2*l.page, pageBytes)
	return true, nil
}

// partition finds what a response says of a log.
func (l *log) partition(response *kmsg.FetchResponse) *kmsg.FetchResponseTopicPartition {
	for i := range response.Topics {
		topic := &response.Topics[i]
		// Brokers name topics by id as soon as they have ids (KIP-516).
		if topic.Topic != l.topic && (l.id == chunk.TopicID{} || topic.TopicID != l.id) {
			continue
		}
		for j := range topic.Partitions {
			if topic.Partitions[j].Partition == l.number {
				return &topic.Partitions[j]
			}
		}
	}
	return nil
}

func request(logs []*log) *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.SessionEpoch = 100, 1, pageBytes, -1
	at := map[string]int{} // by topic: where it stands in the request
	for _, l := range logs {
		i, ok := at[l.topic]
		if !ok {
			i = len(request.Topics)
			at[l.topic] = i
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic, topic.TopicID = l.topic, l.id
			request.Topics = append(request.Topics, topic)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		l.page = max(l.page, firstPage)
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = l.number, l.at, l.page
		p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = chunk.UnknownEpoch, chunk.UnknownEpoch, -1
		request.Topics[i].Partitions = append(request.Topics[i].Partitions, p)
	}
	return request
}

// logs finds the partitions of topics, with where each begins and ends now. What is wrong
// with one stands in it.
func (o *Others) logs(ctx context.Context, topics []string) ([]*log, error) {
	metadata, err := kafka.MetadataRequest(topics).RequestWith(ctx, o.client)
	if err != nil {
		return nil, err
	}
	bounds, err := o.bounds(ctx, topics)
	if err != nil {
		return nil, err
	}
	var logs []*log
	for i := range metadata.Topics {
		topic := &metadata.Topics[i]
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s: %w", *topic.Topic, err)
		}
		for _, p := range topic.Partitions {
			l := &log{topic: *topic.Topic, id: topic.TopicID, number: p.Partition, leader: p.Leader}
			l.at, l.end, l.err = bounds.of(l.topic, l.number)
			if l.err == nil {
				l.err = kerr.ErrorForCode(p.ErrorCode)
			}
			logs = append(logs, l)
		}
	}
	return logs, nil
}
