// Package watermarks asks a cluster where its logs begin and end, and which
// topic ids stand behind names.
//
// The central type is [Watermarks], one per cluster. It guarantees:
//
//  1. each answer comes from the cluster at the time of the call: nothing is
//     cached;
//  2. what one partition answers does not hide what the others say: errors are
//     per partition, in [Mark], those of a broker that does not answer as well;
//  3. one request per broker, whatever the number of partitions.
//
// It decides nothing. Its methods may be called from any goroutine.
package watermarks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Mark is one offset of one partition's log.
type Mark struct {
	Offset int64
	Epoch  int32 // leader epoch that goes with it, or chunk.UnknownEpoch
	Err    error // this partition could not be asked
}

// Marks are answers by partition, by the names that the asked cluster uses.
type Marks map[chunk.Partition]Mark

// Watermarks asks one cluster.
type Watermarks struct {
	cluster kafka.Config
	client  *kgo.Client
	admin   *kadm.Client
}

// askTimeout bounds one question: a broker that is away shows as an error, not as silence.
const askTimeout = 15 * time.Second

// metadataAge bounds for how long the client may remember which partitions a
// topic has; its default, 5 s, would hide new partitions. It takes no less.
const metadataAge = 10 * time.Millisecond

// Open prepares the connections; nothing is sent yet.
func Open(cluster kafka.Config) (*Watermarks, error) {
	client, err := kafka.NewFranz(cluster, kgo.MetadataMinAge(metadataAge))
	if err != nil {
		return nil, fmt.Errorf("open offsets client: %w", err)
	}
	return &Watermarks{cluster: cluster, client: client, admin: kadm.NewClient(client)}, nil
}

// Close ends the connections.
func (w *Watermarks) Close() { w.client.Close() }

// Reach tries each known broker once, and tells why none of them answers.
func (w *Watermarks) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := w.client.Ping(ctx); err != nil {
		return w.cluster.Explain(err)
	}
	return nil
}

// Earliest answers the log starts of all partitions of the topics.
func (w *Watermarks) Earliest(ctx context.Context, topics []string) (Marks, error) {
	return w.ask(ctx, topics, w.admin.ListStartOffsets)
}

// Stable answers the last stable offsets: committed readers see all below, and
// nothing at or above.
func (w *Watermarks) Stable(ctx context.Context, topics []string) (Marks, error) {
	return w.ask(ctx, topics, w.admin.ListCommittedOffsets)
}

// Ends answers the high watermarks.
func (w *Watermarks) Ends(ctx context.Context, topics []string) (Marks, error) {
	return w.ask(ctx, topics, w.admin.ListEndOffsets)
}

// At answers the offsets of the first records with that timestamp or a later
// one; partitions without such a record answer their high watermark.
func (w *Watermarks) At(ctx context.Context, topics []string, at time.Time) (Marks, error) {
	return w.ask(ctx, topics, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return w.admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topics...)
	})
}

// ask makes one of kadm's listing calls. A topic that is not there, or may not
// be described, is left out.
func (w *Watermarks) ask(ctx context.Context, topics []string,
	list func(context.Context, ...string) (kadm.ListedOffsets, error)) (Marks, error) {
	if len(topics) == 0 {
		return Marks{}, nil // an empty list would ask for every topic
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	listed, err := list(ctx, topics...)
	marks, err := w.unanswered(err)
	if err != nil {
		return nil, fmt.Errorf("ask for offsets: %w", err)
	}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Partition < 0 || errors.Is(o.Err, kerr.UnknownTopicOrPartition) {
			return
		}
		marks[chunk.Partition{Topic: o.Topic, Number: o.Partition}] = Mark{o.Offset, o.LeaderEpoch, o.Err}
	})
	return marks, nil
}

// unanswered turns the error of a question to several brokers into those of the
// partitions that some of them have not answered for; it stays an error if none has.
func (w *Watermarks) unanswered(err error) (Marks, error) {
	marks := Marks{}
	var some *kadm.ShardErrors
	if err == nil {
		return marks, nil
	} else if !errors.As(err, &some) || some.AllFailed {
		return nil, w.cluster.Explain(err)
	}
	for _, failed := range some.Errs {
		silent := Mark{Offset: -1, Epoch: chunk.UnknownEpoch, Err: w.cluster.Explain(failed.Err)}
		switch req := failed.Req.(type) {
		case *kmsg.ListOffsetsRequest:
			for _, t := range req.Topics {
				for _, p := range t.Partitions {
					marks[chunk.Partition{Topic: t.Topic, Number: p.Partition}] = silent
				}
			}
		case *kmsg.OffsetForLeaderEpochRequest:
			for _, t := range req.Topics {
				for _, p := range t.Partitions {
					marks[chunk.Partition{Topic: t.Topic, Number: p.Partition}] = silent
				}
			}
		default:
			return nil, w.cluster.Explain(err)
		}
	}
	return marks, nil
}

// EpochEnds answers where, in today's log, the leader epoch of each position
// ends (KIP-320). An end below the position means that the log was truncated.
// Positions without an epoch are left out.
func (w *Watermarks) EpochEnds(ctx context.Context, at []chunk.Position) (Marks, error) {
	var req kadm.OffsetForLeaderEpochRequest
	for _, p := range at {
		if p.Epoch >= 0 {
			req.Add(p.Partition.Topic, p.Partition.Number, p.Epoch)
		}
	}
	if len(req) == 0 {
		return Marks{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ends, err := w.admin.OffsetForLeaderEpoch(ctx, req)
	marks, err := w.unanswered(err)
	if err != nil {
		return nil, fmt.Errorf("ask for the ends of leader epochs: %w", err)
	}
	for topic, partitions := range ends {
		for number, end := range partitions {
			marks[chunk.Partition{Topic: topic, Number: number}] = Mark{end.EndOffset, end.LeaderEpoch, end.Err}
		}
	}
	return marks, nil
}

// TopicIDs answers the ids of the topics that are there. It asks the broker by a
// request of its own: kadm's Metadata answers from a memory, and a topic that was
// just created again would still have its old id.
func (w *Watermarks) TopicIDs(ctx context.Context, topics []string) (map[string]chunk.TopicID, error) {
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
