package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/wire"
)

const (
	answerBytes    = 16 << 20 // of one fetch
	partitionBytes = 1 << 20  // of it, for one of many partitions
	wait           = 100 * time.Millisecond
)

// tail is one partition from where it is read on.
type tail struct {
	number    int32
	next, end int64
}

// part is what an answer holds of one partition.
type part struct {
	number  int32
	batches []wire.Batch
}

// reader reads all partitions that one broker leads.
type reader struct {
	client *kgo.Client
	leader int32
	topic  *topic
	follow bool
	open   []*tail
	turn   int // which partition is named first: a broker fills its answer in that order
}

// run hands over answers until all partitions are at their ends.
func (r *reader) run(ctx context.Context, answers chan<- []part) error {
	defer close(answers)
	for len(r.open) > 0 {
		parts, err := r.fetch(ctx)
		if err != nil {
			return err
		}
		if len(parts) == 0 {
			continue
		}
		select {
		case answers <- parts:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (r *reader) fetch(ctx context.Context) ([]part, error) {
	got, err := r.client.Broker(int(r.leader)).Request(ctx, r.request())
	if err != nil {
		return nil, fmt.Errorf("read from broker %d: %w", r.leader, err)
	}
	answer := got.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, fmt.Errorf("read from broker %d: %w", r.leader, err)
	}
	found := map[int32]*kmsg.FetchResponseTopicPartition{}
	for i := range answer.Topics {
		for p := range answer.Topics[i].Partitions {
			found[answer.Topics[i].Partitions[p].Partition] = &answer.Topics[i].Partitions[p]
		}
	}
	var parts []part
	var open []*tail
	for _, t := range r.open {
		if p := found[t.number]; p != nil {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("read %s/%d from %d on: %w", r.topic.name, t.number, t.next, err)
			}
			batches, err := t.take(p.RecordBatches)
			if err != nil {
				return nil, fmt.Errorf("read %s/%d: %w", r.topic.name, t.number, err)
			}
			if len(batches) > 0 {
				parts = append(parts, part{t.number, batches})
			}
		}
		if t.next < t.end || r.follow {
			open = append(open, t)
		}
	}
	r.open = open
	return parts, nil
}

// take splits an answer into its batches, and refuses what cannot be copied by its
// header alone.
func (t *tail) take(data []byte) ([]wire.Batch, error) {
	var batches []wire.Batch
	for len(data) > 0 {
		b, rest, err := wire.Next(data)
		if errors.Is(err, wire.ErrPartial) && len(batches) > 0 {
			break // the rest comes with the next answer
		}
		if err != nil {
			return nil, fmt.Errorf("from %d on: %w", t.next, err)
		}
		if why := b.Obstacle(); why != "" || b.Control() || b.Transactional() || b.Base() != t.next {
			return nil, fmt.Errorf("the batch at %d (wanted: %d) is none for a raw copy: %q, control %t, transactional %t",
				b.Base(), t.next, why, b.Control(), b.Transactional())
		}
		batches, data, t.next = append(batches, b), rest, b.Last()+1
	}
	return batches, nil
}

// request names all partitions, and asks for as much of each that all of up to
// sixteen can be in the answer.
func (r *reader) request() *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis = int32(wait.Milliseconds())
	request.MinBytes, request.MaxBytes, request.SessionEpoch = 1, answerBytes, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = r.topic.name, r.topic.id
	r.turn++
	for i := range r.open {
		open := r.open[(r.turn+i)%len(r.open)]
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.LogStartOffset = open.number, open.next, -1
		p.CurrentLeaderEpoch, p.LastFetchedEpoch = -1, -1
		p.PartitionMaxBytes = int32(max(partitionBytes, answerBytes/len(r.open)))
		t.Partitions = append(t.Partitions, p)
	}
	request.Topics = append(request.Topics, t)
	return request
}
