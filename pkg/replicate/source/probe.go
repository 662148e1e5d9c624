package source

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

// probeWithin bounds the question which partition librdkafka cannot read.
const probeWithin = 30 * time.Second

// undecodable tells the errors of a batch that librdkafka cannot unpack, or does not
// take. It asks for it again and again, and does not tell whose it is.
func undecodable(code ck.ErrorCode) bool {
	switch code {
	case ck.ErrBadCompression, ck.ErrBadMsg, ck.ErrNotImplemented, ck.ErrInvalidMsg, ck.ErrUnderflow,
		ck.ErrCritSysResource, ck.ErrMsgSizeTooLarge:
		return true
	}
	return false
}

// atOffset finds the offset of the batch in what librdkafka writes of it.
var atOffset = regexp.MustCompile(`(?:message at|[Oo]ffset) (\d+)`)

// probe finds the partition of a batch that librdkafka complains of: it reads what
// follows each position, as it is stored. The answer is a *chunk.Stop, or the complaint
// where the batch cannot be found.
func (r *Records) probe(ctx context.Context, complaint ck.Error) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	client, err := kafka.NewFranz(r.cluster, kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	led, err := r.leaders(ctx, client)
	if err != nil {
		return fmt.Errorf("source reader: %w: %w", complaint, err)
	}
	base := int64(-1)
	if found := atOffset.FindStringSubmatch(complaint.Error()); found != nil {
		base, _ = strconv.ParseInt(found[1], 10, 64)
	}
	var suspects []*tail
	for leader, tails := range led {
		for _, t := range tails {
			b, err := t.following(ctx, client, leader)
			var stop *chunk.Stop
			switch {
			case errors.As(err, &stop):
				return stop
			case err != nil:
				return fmt.Errorf("source reader: %w: %w", complaint, err)
			case b != nil && b.Base() == base && b.Codec() != kgo.CodecNone:
				suspects = append(suspects, t)
			}
		}
	}
	if len(suspects) == 1 { // whole for us, and librdkafka does not take it
		stop := suspects[0].unreadable(complaint).(*chunk.Stop)
		stop.Fix = "lane: batch can read it; else copying goes on after it once it has aged out of the source"
		return stop
	}
	return fmt.Errorf("source reader: %w", complaint)
}

// leaders are the assigned partitions, by the broker that leads them.
func (r *Records) leaders(ctx context.Context, client *kgo.Client) (map[int32][]*tail, error) {
	var names []string
	for p := range r.assigned {
		names = append(names, p.Topic)
	}
	slices.Sort(names)
	response, err := kafka.MetadataRequest(slices.Compact(names)).RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("find the leaders of source partitions: %w", err)
	}
	led := map[int32][]*tail{}
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			at := r.assigned[chunk.Partition{Topic: *topic.Topic, Number: p.Partition}]
			if at != nil && p.ErrorCode == 0 && p.Leader >= 0 {
				led[p.Leader] = append(led[p.Leader], &tail{partition: at.partition, topicID: topic.TopicID,
					leaderEpoch: p.LeaderEpoch, next: at.next, epoch: chunk.UnknownEpoch})
			}
		}
	}
	return led, nil
}

// following is the first batch with something visible from next on, nil where none is
// there yet. A Stop says that it cannot be read.
func (t *tail) following(ctx context.Context, client *kgo.Client, leader int32) (wire.Batch, error) {
	request := kmsg.NewPtrFetchRequest()
	request.MinBytes, request.MaxBytes, request.IsolationLevel = 0, fetchBytes, 1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = t.partition.Topic, t.topicID
	topic.Partitions = append(topic.Partitions, t.request(fetchBytes))
	request.Topics = append(request.Topics, topic)
	got, err := client.Broker(int(leader)).Request(ctx, request)
	if err != nil {
		return nil, err
	}
	response := got.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, err
	}
	if len(response.Topics) == 0 || len(response.Topics[0].Partitions) == 0 {
		return nil, nil // a broker that throttles leaves partitions out
	}
	said := &response.Topics[0].Partitions[0]
	if err := t.refusal(said); err != nil {
		return nil, err
	}
	aborted := wire.NewAborted(said.AbortedTransactions)
	for data := said.RecordBatches; len(data) > 0; {
		b, rest, err := wire.Next(data)
		if errors.Is(err, wire.ErrPartial) {
			return nil, nil
		}
		if err != nil {
			return nil, t.unreadable(err)
		}
		data = rest
		if b.Magic() >= 2 && (aborted.Hides(b) || offsets.Source(b.Last()) < t.next) {
			continue
		}
		return b, t.readAll(b)
	}
	return nil, nil
}

// readAll reads all of a batch.
func (t *tail) readAll(b wire.Batch) error {
	if err := wire.Records(b, int64(t.next), func(*kgo.Record) bool { return true }); err != nil {
		return t.unreadable(err)
	}
	return nil
}
