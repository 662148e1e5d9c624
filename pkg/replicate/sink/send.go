package sink

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

// send sends all that waits and may go: one batch of every partition in a request,
// as long as there are any.
func (b *Batches) send(ctx context.Context) error {
	if b.waiting == 0 {
		return nil
	}
	if err := b.admit(ctx); err != nil {
		return err
	}
	for {
		if err := b.awaitAnswered(ctx); err != nil {
			return err
		}
		byBroker := map[int32]*request{}
		for _, q := range b.order {
			if !q.ready() {
				continue
			}
			t, err := b.topic(ctx, q.target.topic)
			if err != nil {
				return q.refused(q.batches[0], err)
			}
			leader, led := t.leaders[q.target.number]
			if !led { // the partition may be newer than what is remembered
				delete(b.topics, q.target.topic)
				if t, err = b.topic(ctx, q.target.topic); err != nil {
					return q.refused(q.batches[0], err)
				}
				if leader, led = t.leaders[q.target.number]; !led {
					return q.refused(q.batches[0], kerr.LeaderNotAvailable)
				}
			}
			r := byBroker[leader]
			if r == nil {
				r = b.newRequest()
				byBroker[leader] = r
			}
			batch := b.first(q)
			q.id = t.id
			q.alone = b.second && len(q.runs) == 0
			b.stamp(q.target, batch)
			r.add(q, batch)
		}
		if len(byBroker) == 0 {
			return nil
		}
		for leader, r := range byBroker {
			if err := b.dispatch(ctx, leader, r); err != nil {
				return err
			}
		}
	}
}

// stamp makes a batch ours and the next in its partition.
func (b *Batches) stamp(at place, batch chunk.Batch) {
	wire.Batch(batch.Raw).Stamp(b.producer, b.next[at])
	b.next[at] = wire.NextSequence(b.next[at], batch.Count)
}

// admit makes the first generation's transaction know all partitions that are
// about to be written to. Before it does, nothing may be sent: a batch that comes
// too early is committed with no ledger record to tell of it.
func (b *Batches) admit(ctx context.Context) error {
	b.began = true
	if b.second {
		return nil
	}
	var fresh []place
	for _, q := range b.order {
		if len(q.batches) > 0 && !b.announce[q.target] {
			fresh = append(fresh, q.target)
		}
	}
	return b.admitAll(ctx, fresh)
}

func (b *Batches) admitAll(ctx context.Context, places []place) error {
	if len(places) == 0 {
		return nil
	}
	request := kmsg.NewPtrAddPartitionsToTxnRequest()
	request.TransactionalID, request.ProducerID, request.ProducerEpoch =
		b.cfg.TransactionalID, b.producer.ID, b.producer.Epoch
	at := map[string]int{}
	for _, p := range places {
		n, ok := at[p.topic]
		if !ok {
			topic := kmsg.NewAddPartitionsToTxnRequestTopic()
			topic.Topic = p.topic
			request.Topics = append(request.Topics, topic)
			n = len(request.Topics) - 1
			at[p.topic] = n
		}
		request.Topics[n].Partitions = append(request.Topics[n].Partitions, p.number)
		b.announce[p] = true
	}
	return b.settled(ctx, "announce partitions", func(ctx context.Context) error {
		answer, err := request.RequestWith(ctx, b.client)
		if err != nil {
			return err
		}
		announced := 0
		for _, topic := range answer.Topics {
			for _, p := range topic.Partitions {
				err := kerr.ErrorForCode(p.ErrorCode)
				if err == nil {
					announced++
				}
				if err == nil || err == kerr.OperationNotAttempted { // another one is to blame
					continue
				}
				q := b.queues[place{topic.Topic, p.Partition}]
				if q == nil || q.ledger || err == kerr.ConcurrentTransactions {
					return err
				}
				return refused(q.partition, topic.Topic, q.batches[0].First, err)
			}
		}
		if announced < len(places) {
			return fmt.Errorf("the target names %d of %d", announced, len(places))
		}
		return nil
	})
}

// look finds out where a topic's partitions are led.
func (b *Batches) look(ctx context.Context, name string) (*topic, error) {
	answer, err := kafka.MetadataRequest([]string{name}).RequestWith(ctx, b.client)
	if err != nil {
		return nil, fmt.Errorf("find the leaders of topic %q: %w", name, err)
	}
	if len(answer.Topics) != 1 {
		return nil, fmt.Errorf("find the leaders of topic %q: the answer tells of %d topics", name, len(answer.Topics))
	}
	found := answer.Topics[0]
	if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
		return nil, fmt.Errorf("find the leaders of topic %q: %w", name, err)
	}
	t := &topic{id: found.TopicID, leaders: map[int32]int32{}}
	for _, p := range found.Partitions {
		if p.ErrorCode == 0 && p.Leader >= 0 {
			t.leaders[p.Partition] = p.Leader
		}
	}
	return t, nil
}

// flush sends what waits, and waits for all answers. What came before the target
// was done with the transaction before is sent again.
func (b *Batches) flush(ctx context.Context) error {
	err := b.repeat(ctx, func(ctx context.Context) error {
		for _, q := range b.order {
			q.early = false
		}
		if err := b.send(ctx); err != nil {
			return err
		}
		for len(b.sent) > 0 {
			if err := b.goOn(ctx); err != nil {
				return err
			}
		}
		for _, q := range b.order {
			if q.early {
				return kerr.ConcurrentTransactions
			}
		}
		return nil
	})
	if errors.Is(err, kerr.ConcurrentTransactions) {
		err = fmt.Errorf("the target is still busy with the transaction before: %w", err)
	}
	return err
}

// goOn reads the oldest answer, and sends what had to wait for it.
func (b *Batches) goOn(ctx context.Context) error {
	if err := b.await(ctx); err != nil {
		return err
	}
	return b.send(ctx)
}

// awaitAnswered reads the answers that are there.
func (b *Batches) awaitAnswered(ctx context.Context) error {
	for len(b.sent) > 0 && b.sent[0].answered() {
		if err := b.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// await reads the oldest answer.
func (b *Batches) await(ctx context.Context) error {
	s := b.sent[0]
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("wait for the target's acknowledgements: %w", ctx.Err())
	}
	b.measure(s)
	b.sent[0] = nil // else the array keeps it
	b.sent = b.sent[1:]
	b.cfg.Window.leave(s.bytes)
	if err := s.land(); err != nil {
		return b.noted(err)
	}
	for _, q := range s.queues {
		if q.early && q.alone { // nothing of it was acknowledged, so that its sequences begin anew
			b.waiting += len(q.batches[0].Raw)
			delete(b.next, q.target)
		}
		q.alone = false
	}
	return nil
}

// wrote tells when a request has gone out. The order of concurrent requests is
// the caller's to keep.
type wrote struct {
	mu   sync.Mutex
	next chan error // of the request that is about to be written
}

func (w *wrote) expect() <-chan error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = make(chan error, 1)
	return w.next
}

// OnBrokerWrite is kgo's hook.
func (w *wrote) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key != produceKey || err != nil { // what failed is written once more, or the request fails
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		w.next <- err
		w.next = nil
	}
}

const produceKey = 0
