package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// firstGeneration are the newest requests that the older transaction protocol
// knows: from Produce v12 and EndTxn v5 on a broker takes the client for one of
// the second version.
func firstGeneration() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(produceKey, 11)
	v.SetMaxKeyVersion((&kmsg.InitProducerIDRequest{}).Key(), 4)
	v.SetMaxKeyVersion((&kmsg.AddPartitionsToTxnRequest{}).Key(), 3)
	v.SetMaxKeyVersion((&kmsg.EndTxnRequest{}).Key(), 4)
	return v
}

// versions is what the target says that it can do.
func versions(ctx context.Context, client *kgo.Client) (*kmsg.ApiVersionsResponse, error) {
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the target what it can do: %w", err)
	}
	return answer, nil
}

// Outlived says that a transaction has lasted as long as it may, while the target took
// what it holds too slowly.
type Outlived struct {
	Took time.Duration
	Err  error // what the target said, or what it has not taken
}

func (o *Outlived) Error() string {
	return fmt.Sprintf("the target was too slow for a transaction, which was not done after %s: %v",
		o.Took.Round(time.Second), o.Err)
}

// Remedy tells what to do.
func (*Outlived) Remedy() string {
	return "see why the target answers so slowly (replicas in sync, disks, quotas, the network); " +
		"the transaction is begun again by itself, and nothing is lost"
}

func (o *Outlived) Unwrap() error { return o.Err }

// refused is what the target has against a batch of the queue.
func (q *queue) refused(batch chunk.Batch, err error) error {
	if q.ledger {
		return err
	}
	return refused(q.partition, q.target.Topic, batch.First, err)
}

// stamped is the Stop for a topic whose brokers put the time of writing in the place
// of the records' own: only their acknowledgement tells where settings may not be read.
func stamped(p chunk.Partition, topic string) *chunk.Stop {
	return &chunk.Stop{
		Partition: p, Kind: chunk.StopTopic,
		Reason: fmt.Sprintf("topic %q on the target replaces the timestamps of all records", topic),
		Fix: fmt.Sprintf("set message.timestamp.type of topic %q on the target to CreateTime; copying goes on by itself",
			topic),
	}
}

// request is one that is being put together.
type request struct {
	*kmsg.ProduceRequest
	sent *sent
	at   map[string]int
}

func newRequest(transaction string) *request {
	r := kmsg.NewPtrProduceRequest()
	r.TransactionID = kmsg.StringPtr(transaction)
	r.Acks = -1
	r.TimeoutMillis = int32(Margin.Milliseconds())
	return &request{ProduceRequest: r, sent: &sent{done: make(chan struct{})}, at: map[string]int{}}
}

// add puts one batch of a partition that is not in the request yet.
func (r *request) add(q *queue, batch chunk.Batch) {
	n, ok := r.at[q.target.Topic]
	if !ok {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = q.target.Topic, q.id
		r.Topics = append(r.Topics, topic)
		n = len(r.Topics) - 1
		r.at[q.target.Topic] = n
	}
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = q.target.Number, batch.Raw
	r.Topics[n].Partitions = append(r.Topics[n].Partitions, p)
	r.sent.queues = append(r.sent.queues, q)
	r.sent.batches = append(r.sent.batches, batch)
	r.sent.bytes += len(batch.Raw)
}

// dispatch sends a request once there is room for it, and returns as soon as it
// has gone out, so that the next one cannot overtake it.
func (b *Batches) dispatch(ctx context.Context, leader int32, r *request) error {
	s := r.sent
	for len(b.sent) >= b.pace.most() {
		if err := b.await(ctx); err != nil {
			return err
		}
	}
	for !b.cfg.Window.enter(s.bytes) {
		if len(b.sent) == 0 {
			b.cfg.Window.force(s.bytes)
			break
		}
		if err := b.await(ctx); err != nil {
			return err
		}
	}
	s.at = time.Now()
	b.sent = append(b.sent, s)
	out := b.wrote.expect()
	go func() { // ends with the answer, the client's time-out or its Close
		defer close(s.done)
		defer func() { s.came = time.Now() }()
		answer, err := b.client.Broker(int(leader)).Request(ctx, r.ProduceRequest)
		if err != nil {
			s.err = fmt.Errorf("write to the target's broker %d: %w", leader, err)
			return
		}
		s.response = answer.(*kmsg.ProduceResponse)
	}()
	select {
	case <-out:
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("write to the target's broker %d: %w", leader, ctx.Err())
	}
	return nil
}

// answered says whether the answer is there.
func (s *sent) answered() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// land reads the answer: where the batches are, or why not.
func (s *sent) land() error {
	if s.err != nil {
		return s.err
	}
	type key struct {
		topic  string
		id     [16]byte // instead of the name, from Produce v13 on (KIP-516)
		number int32
	}
	answered := map[key]*kmsg.ProduceResponseTopicPartition{}
	for i := range s.response.Topics {
		topic := &s.response.Topics[i]
		for p := range topic.Partitions {
			answered[key{topic.Topic, topic.TopicID, topic.Partitions[p].Partition}] = &topic.Partitions[p]
		}
	}
	var failure error
	for i, q := range s.queues {
		answer := answered[key{topic: q.target.Topic, number: q.target.Number}]
		if s.response.Version >= 13 {
			answer = answered[key{id: q.id, number: q.target.Number}]
		}
		if answer == nil {
			return fmt.Errorf("%s: the target acknowledged a request without naming the partition", q.partition)
		}
		err := kerr.ErrorForCode(answer.ErrorCode)
		switch {
		case err == nil && answer.LogAppendTime >= 0 && !q.ledger:
			err = stamped(q.partition, q.target.Topic)
		case err == nil:
			err = q.land(s.batches[i], offsets.Target(answer.BaseOffset))
		case q.alone && errors.Is(err, kerr.ConcurrentTransactions):
			q.batches, q.early = slices.Insert(q.batches, 0, s.batches[i]), true
			err = nil
		default:
			err = q.refused(s.batches[i], err)
		}
		var stop, before *chunk.Stop
		if err != nil && (failure == nil || errors.As(err, &stop) && !errors.As(failure, &before)) {
			failure = err
		}
	}
	return failure
}

// land folds a batch's place into the runs of its partition.
func (q *queue) land(batch chunk.Batch, at offsets.Target) error {
	if at < 0 {
		return fmt.Errorf("%s: source offset %d was acknowledged without a target offset", q.partition, batch.First)
	}
	if n := len(q.runs); n > 0 {
		last := q.runs[n-1]
		if batch.First < last.SourceEnd() || at < last.TargetEnd() {
			return fmt.Errorf("%s: source offset %d was acknowledged at target offset %d, after %d",
				q.partition, batch.First, at, last.TargetEnd()-1)
		}
	}
	if batch.Offsets == nil {
		q.extend(offsets.Run{Source: batch.First, Target: at, Count: int64(batch.Count)})
		return nil
	}
	for i, source := range batch.Offsets {
		q.extend(offsets.Run{Source: source, Target: at + offsets.Target(i), Count: 1})
	}
	return nil
}

// extend appends a run, to the one before where it goes on.
func (q *queue) extend(run offsets.Run) {
	if n := len(q.runs); n > 0 {
		last := &q.runs[n-1]
		if run.Source == last.SourceEnd() && run.Target == last.TargetEnd() {
			last.Count += run.Count
			return
		}
	}
	q.runs = append(q.runs, run)
}
