package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// log reads partition 0 of a topic as it lies there, aborted records among it: whoever has
// written and then looks must see what others have written before they looked.
type log struct {
	client *kgo.Client
	topic  string
	id     chunk.TopicID
	number int32
	leader int32
	at     int64 // what is read next
}

// emptyAnswers is how many answers without a record prove that nothing is left: a broker
// that throttles may send one.
const emptyAnswers = 3

// read hands the records below an end to take.
func (l *log) read(ctx context.Context, end int64, take func(*kgo.Record) error) error {
	for empty := 0; l.at < end; {
		answer, err := l.client.Broker(int(l.leader)).RetriableRequest(ctx, l.request())
		if err != nil {
			return err
		}
		response := answer.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
			return err
		}
		if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
			return errors.New("the broker answers for something else")
		}
		said := &response.Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(said.ErrorCode); err != nil {
			return err
		}
		if len(said.RecordBatches) == 0 {
			if empty++; empty == emptyAnswers {
				return nil
			}
			continue
		}
		empty = 0
		read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
			Offset: l.at, IsolationLevel: kgo.ReadUncommitted(), Topic: l.topic, Partition: l.number,
		}, said, wire.Decompressor{}, nil)
		if read.Err != nil {
			return read.Err
		}
		for _, r := range read.Records {
			if err := take(r); err != nil {
				return err
			}
		}
		if next <= l.at {
			return fmt.Errorf("what follows offset %d cannot be read", l.at)
		}
		l.at = next
	}
	return nil
}

func (l *log) request() *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes, request.SessionEpoch = 100, 1, pageBytes, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = l.topic, l.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = l.number, l.at, pageBytes
	p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = chunk.UnknownEpoch, chunk.UnknownEpoch, -1
	topic.Partitions = append(topic.Partitions, p)
	request.Topics = append(request.Topics, topic)
	return request
}

// logOf finds the leader of a partition.
func (o *Others) logOf(ctx context.Context, at chunk.Partition) (*log, error) {
	metadata, err := kafka.MetadataRequest([]string{at.Topic}).RequestWith(ctx, o.client)
	if err != nil {
		return nil, err
	}
	for i := range metadata.Topics {
		topic := &metadata.Topics[i]
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return nil, err
		}
		for _, p := range topic.Partitions {
			if p.Partition == at.Number {
				return &log{client: o.client, topic: at.Topic, id: topic.TopicID, number: at.Number, leader: p.Leader},
					kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return nil, kerr.UnknownTopicOrPartition
}
