// Package listoffsets asks a cluster where its logs begin and end, and which
// topic ids stand behind names.
//
// The central type is [Client], one per cluster. It guarantees:
//
//  1. each answer comes from the cluster at the time of the call: nothing is
//     cached;
//  2. what one partition answers does not hide what the others say: errors are
//     per partition, in [Listed], those of a broker that does not answer as well, and a
//     topic that is refused leaves the others alone;
//  3. one request per broker, whatever the number of partitions.
//
// It decides nothing. Its methods may be called from any goroutine.
package listoffsets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Listed is one offset of one partition's log.
type Listed struct {
	Offset int64
	Epoch  int32 // leader epoch that goes with it, or chunk.UnknownEpoch
	Err    error // this partition could not be asked
}

// Offsets are answers by partition, by the names that the asked cluster uses.
type Offsets map[chunk.Partition]Listed

// Client asks one cluster.
type Client struct {
	cluster kafka.Config
	client  *kgo.Client
}

// askTimeout bounds one question: a broker that is away shows as an error, not as silence.
const askTimeout = 15 * time.Second

// metadataAge bounds for how long the client may remember which partitions a
// topic has; its default, 5 s, would hide new partitions. It takes no less.
const metadataAge = 10 * time.Millisecond

// Open prepares the connections; nothing is sent yet.
func Open(cluster kafka.Config) (*Client, error) {
	client, err := kafka.NewFranz(cluster, kgo.MetadataMinAge(metadataAge))
	if err != nil {
		return nil, fmt.Errorf("open offsets client: %w", err)
	}
	return &Client{cluster: cluster, client: client}, nil
}

// Close ends the connections.
func (w *Client) Close() { w.client.Close() }

// Reach tries each known broker once, and tells why none of them answers.
func (w *Client) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := w.client.Ping(ctx); err != nil {
		return w.cluster.Explain(err)
	}
	return nil
}

// What a request for offsets asks by a timestamp below 0.
const (
	newest int64 = -1 // the end, or the last stable offset for committed readers
	oldest int64 = -2
)

// Earliest answers the log starts of all partitions of the topics.
func (w *Client) Earliest(ctx context.Context, topics []string) (Offsets, error) {
	return w.ask(ctx, topics, uncommitted, oldest)
}

// Stable answers the last stable offsets: committed readers see all below, and
// nothing at or above.
func (w *Client) Stable(ctx context.Context, topics []string) (Offsets, error) {
	return w.ask(ctx, topics, committed, newest)
}

// Ends answers the high watermarks.
func (w *Client) Ends(ctx context.Context, topics []string) (Offsets, error) {
	return w.ask(ctx, topics, uncommitted, newest)
}

// At answers the offsets of the first records with that timestamp or a later
// one; partitions without such a record answer their high watermark.
func (w *Client) At(ctx context.Context, topics []string, at time.Time) (Offsets, error) {
	return w.ask(ctx, topics, uncommitted, at.UnixMilli())
}

// Isolation levels.
const (
	uncommitted int8 = 0
	committed   int8 = 1
)

// ask asks for one offset of each partition. A topic that is not there, or may not be
// described, is left out, and the others answer. That is why kadm does not do it: it
// gives nothing at all where one topic, or one partition, is refused.
func (w *Client) ask(ctx context.Context, topics []string, isolation int8, timestamp int64) (Offsets, error) {
	if len(topics) == 0 {
		return Offsets{}, nil // an empty list would ask for every topic
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	described, err := w.client.RequestCachedMetadata(ctx, kafka.MetadataRequest(topics), 0)
	if err != nil {
		return nil, fmt.Errorf("ask for offsets: %w", w.cluster.Explain(err))
	}
	partitions := map[string][]int32{}
	for _, topic := range described.Topics {
		if topic.ErrorCode == 0 && topic.Topic != nil {
			for _, p := range topic.Partitions {
				partitions[*topic.Topic] = append(partitions[*topic.Topic], p.Partition)
			}
		}
	}
	listed, err := w.list(ctx, partitions, isolation, timestamp)
	if err != nil || timestamp < 0 {
		return listed, err
	}
	ended := map[string][]int32{} // they have no record so late
	for p, one := range listed {
		if one.Err == nil && one.Offset < 0 {
			ended[p.Topic] = append(ended[p.Topic], p.Number)
		}
	}
	ends, err := w.list(ctx, ended, isolation, newest)
	maps.Copy(listed, ends)
	return listed, err
}

// list asks the leaders of partitions for one offset of each.
func (w *Client) list(ctx context.Context, partitions map[string][]int32, isolation int8,
	timestamp int64) (Offsets, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.IsolationLevel = isolation
	for name, numbers := range partitions {
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = name
		for _, number := range numbers {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = number, timestamp
			topic.Partitions = append(topic.Partitions, p)
		}
		request.Topics = append(request.Topics, topic)
	}
	listed := Offsets{}
	if len(request.Topics) == 0 {
		return listed, nil
	}
	err := w.eachAnswer(ctx, request, listed, func(response kmsg.Response) {
		for _, topic := range response.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range topic.Partitions {
				err := kerr.ErrorForCode(p.ErrorCode)
				at := chunk.Partition{Topic: topic.Topic, Number: p.Partition}
				listed[at] = Listed{p.Offset, p.LeaderEpoch, w.refused(topic.Topic, err)}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("ask for offsets: %w", err)
	}
	maps.DeleteFunc(listed, func(_ chunk.Partition, one Listed) bool { return isGone(one.Err) })
	return listed, nil
}

// isGone: the topic was deleted after it was described.
func isGone(err error) bool { return errors.Is(err, kerr.UnknownTopicOrPartition) }

// refused names the right that is missing.
func (w *Client) refused(topic string, err error) error {
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return w.cluster.Denied("Describe", "topic "+topic, err)
	}
	return err
}

// eachAnswer sends a request to all brokers that it concerns. A broker that does not
// answer shows as an error of each partition that it was asked about; where none does, it
// is an error of the whole.
func (w *Client) eachAnswer(ctx context.Context, request kmsg.Request, listed Offsets,
	take func(kmsg.Response)) error {
	shards := w.client.RequestSharded(ctx, request)
	heard := false
	for _, shard := range shards {
		heard = heard || shard.Err == nil || isGone(shard.Err)
	}
	for _, shard := range shards {
		switch {
		case shard.Err == nil:
			take(shard.Resp)
		case !heard || !listed.silent(shard.Req, w.cluster.Explain(shard.Err)):
			return w.cluster.Explain(shard.Err)
		}
	}
	return nil
}

// silent notes an error of all partitions that a request names.
func (m Offsets) silent(request kmsg.Request, err error) bool {
	one := Listed{Offset: -1, Epoch: chunk.UnknownEpoch, Err: err}
	switch request := request.(type) {
	case *kmsg.ListOffsetsRequest:
		for _, t := range request.Topics {
			for _, p := range t.Partitions {
				m[chunk.Partition{Topic: t.Topic, Number: p.Partition}] = one
			}
		}
	case *kmsg.OffsetForLeaderEpochRequest:
		for _, t := range request.Topics {
			for _, p := range t.Partitions {
				m[chunk.Partition{Topic: t.Topic, Number: p.Partition}] = one
			}
		}
	default:
		return false
	}
	return true
}

// EpochEnds answers where, in today's log, the leader epoch of each position
// ends (KIP-320). An end below the position means that the log was truncated.
// Positions without an epoch are left out.
func (w *Client) EpochEnds(ctx context.Context, at []chunk.Position) (Offsets, error) {
	request := kmsg.NewPtrOffsetForLeaderEpochRequest()
	places := map[string]int{}
	for _, one := range at {
		if one.Epoch < 0 {
			continue
		}
		n, there := places[one.Partition.Topic]
		if !there {
			topic := kmsg.NewOffsetForLeaderEpochRequestTopic()
			topic.Topic = one.Partition.Topic
			request.Topics = append(request.Topics, topic)
			n = len(request.Topics) - 1
			places[topic.Topic] = n
		}
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.LeaderEpoch = one.Partition.Number, one.Epoch
		request.Topics[n].Partitions = append(request.Topics[n].Partitions, p)
	}
	listed := Offsets{}
	if len(request.Topics) == 0 {
		return listed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := w.eachAnswer(ctx, request, listed, func(response kmsg.Response) {
		for _, topic := range response.(*kmsg.OffsetForLeaderEpochResponse).Topics {
			for _, p := range topic.Partitions {
				err := w.refused(topic.Topic, kerr.ErrorForCode(p.ErrorCode))
				listed[chunk.Partition{Topic: topic.Topic, Number: p.Partition}] = Listed{p.EndOffset, p.LeaderEpoch, err}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the ends of leader epochs: %w", err)
	}
	return listed, nil
}

// WithoutID finds a topic that the cluster describes without an id (KIP-516), among all
// that it shows; found is false where all have one, or none shows.
func (w *Client) WithoutID(ctx context.Context) (topic string, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := kafka.MetadataRequest(nil).RequestWith(ctx, w.client)
	if err != nil {
		return "", false, fmt.Errorf("ask for topic ids: %w", w.cluster.Explain(err))
	}
	for _, t := range response.Topics {
		if t.ErrorCode == 0 && t.Topic != nil && chunk.TopicID(t.TopicID) == (chunk.TopicID{}) {
			return *t.Topic, true, nil
		}
	}
	return "", false, nil
}

// TopicIDs answers the ids of the topics that are there. It asks the broker by a
// request of its own: kadm's Metadata answers from a memory, and a topic that was
// just created again would still have its old id.
func (w *Client) TopicIDs(ctx context.Context, topics []string) (map[string]chunk.TopicID, error) {
	if len(topics) == 0 {
		return map[string]chunk.TopicID{}, nil // an empty list would ask for every topic
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := kafka.MetadataRequest(topics).RequestWith(ctx, w.client)
	if err != nil {
		return nil, fmt.Errorf("ask for topic ids: %w", w.cluster.Explain(err))
	}
	ids := make(map[string]chunk.TopicID, len(topics))
	for _, topic := range response.Topics {
		if topic.ErrorCode == 0 && topic.Topic != nil {
			ids[*topic.Topic] = chunk.TopicID(topic.TopicID)
		}
	}
	return ids, nil
}
