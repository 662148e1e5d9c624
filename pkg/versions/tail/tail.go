// Package tail reads one partition request by request, and says after each where
// it stands.
//
// The central type is [Reader]. It guarantees:
//
//  1. records come in the order of the log, committed ones only;
//  2. [Answer.Next] stands past everything that was looked at: markers, aborted
//     records and offsets that compaction took away;
//  3. a reader at [Answer.Stable] has missed nothing that was committed by then.
//
// It follows the partition's leader. It commits nothing and joins no group.
package tail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	patience = 30 * time.Second       // how long a partition may have trouble that passes
	pause    = 200 * time.Millisecond // between two tries
	// proofs is how many answers without anything below the stable offset, from a
	// broker that did not hold back, show that nothing is left there: a cleaner may
	// have taken the last batch of a log.
	proofs = 3
)

// mostBytes bounds one answer, but for a single batch that is larger.
const mostBytes = 4 << 20

// Reader reads one partition. It is used by one goroutine.
type Reader struct {
	client    *kgo.Client
	topic     string
	partition int32
	most      int32 // bytes of an answer
	unpack    kgo.Decompressor

	known  bool // id and leader are
	id     [16]byte
	leader int32
	empty  int // answers in a row that were empty below the stable offset
}

// New makes a reader; nothing is asked yet.
func New(client *kgo.Client, topic string, partition int32) *Reader {
	return &Reader{client: client, topic: topic, partition: partition, most: mostBytes,
		unpack: unpack}
}

// Limit bounds each answer to so many bytes, but for a single batch that is larger.
func (r *Reader) Limit(bytes int32) { r.most = bytes }

// Unpack sets who unpacks batches, and how large one may become.
func (r *Reader) Unpack(by kgo.Decompressor) { r.unpack = by }

var unpack = kgo.DefaultDecompressor() // safe for concurrent use

// Answer is what one look brought.
type Answer struct {
	Records []*kgo.Record
	Next    int64 // where the next look goes on
	Stable  int64 // last stable offset: a committed reader sees no further
	Start   int64 // first offset of the log
}

// Fetch reads from offset at, and waits so long for a first record. An error that
// passes is tried again for half a minute; kerr.OffsetOutOfRange and
// kerr.UnknownTopicOrPartition come back at once.
func (r *Reader) Fetch(ctx context.Context, at int64, wait time.Duration) (Answer, error) {
	until := time.Now().Add(patience)
	for {
		answer, err := r.fetch(ctx, at, wait)
		if err == nil {
			return answer, nil
		}
		r.known = false
		if !passes(err) || time.Now().After(until) || ctx.Err() != nil {
			return Answer{}, fmt.Errorf("read %s/%d from %d: %w", r.topic, r.partition, at, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func passes(err error) bool {
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.OffsetOutOfRange) {
		return false
	}
	var answered *kerr.Error
	return !errors.As(err, &answered) || answered.Retriable
}

func (r *Reader) fetch(ctx context.Context, at int64, wait time.Duration) (Answer, error) {
	if err := r.look(ctx); err != nil {
		return Answer{}, err
	}
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes = int32(wait.Milliseconds()), 1, r.most
	request.IsolationLevel = 1
	request.SessionEpoch = -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.topic, r.id
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = r.partition, at, r.most
	topic.Partitions = append(topic.Partitions, partition)
	request.Topics = append(request.Topics, topic)
	response, err := r.client.Broker(int(r.leader)).RetriableRequest(ctx, request)
	if err != nil {
		return Answer{}, err
	}
	fetched := response.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return Answer{}, err
	}
	if len(fetched.Topics) != 1 || len(fetched.Topics[0].Partitions) != 1 {
		return Answer{}, fmt.Errorf("broker %d answers %d topics for one partition", r.leader, len(fetched.Topics))
	}
	return r.take(&fetched.Topics[0].Partitions[0], at, fetched.ThrottleMillis > 0)
}

func (r *Reader) take(p *kmsg.FetchResponseTopicPartition, at int64, throttled bool) (Answer, error) {
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: at, IsolationLevel: kgo.ReadCommitted(), Topic: r.topic, Partition: r.partition,
	}, p, r.unpack, nil)
	if got.Err != nil {
		return Answer{}, got.Err
	}
	answer := Answer{Records: got.Records, Next: max(at, next), Stable: got.LastStableOffset, Start: got.LogStartOffset}
	if len(got.Records) > 0 || answer.Next > at || at >= answer.Stable || throttled || len(p.RecordBatches) > 0 {
		r.empty = 0
		return answer, nil
	}
	if r.empty++; r.empty >= proofs {
		answer.Next = answer.Stable
	}
	return answer, nil
}

// look finds the leader and the topic's id.
func (r *Reader) look(ctx context.Context) error {
	if r.known {
		return nil
	}
	request := kmsg.NewPtrMetadataRequest()
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = kmsg.StringPtr(r.topic)
	request.Topics = append(request.Topics, named)
	response, err := request.RequestWith(ctx, r.client)
	if err != nil {
		return err
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return err
		}
		for _, p := range t.Partitions {
			if p.Partition != r.partition {
				continue
			}
			if p.Leader < 0 {
				return kerr.LeaderNotAvailable
			}
			r.known, r.id, r.leader = true, t.TopicID, p.Leader
			return nil
		}
	}
	return kerr.UnknownTopicOrPartition
}
