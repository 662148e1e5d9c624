package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// send sends all that waits and may go: one batch of every partition in a request,
// as long as there are any.
func (b *Batches) send(ctx context.Context) error {
	if b.waiting == 0 {
		return nil
	}
	if err := b.txn.addPartitions(ctx, b.order); err != nil {
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
			t, err := b.leaders.of(ctx, q.target.Topic)
			if err != nil {
				return q.refused(q.batches[0], err)
			}
			leader, led := t.leaders[q.target.Number]
			if !led { // the partition may be newer than what is remembered
				b.leaders.forget(q.target.Topic)
				if t, err = b.leaders.of(ctx, q.target.Topic); err != nil {
					return q.refused(q.batches[0], err)
				}
				if leader, led = t.leaders[q.target.Number]; !led {
					return q.refused(q.batches[0], kerr.LeaderNotAvailable)
				}
			}
			r := byBroker[leader]
			if r == nil {
				r = newRequest(b.cfg.TransactionalID)
				byBroker[leader] = r
			}
			batch := b.first(q)
			q.id = t.id
			q.alone = b.txn.v2 && len(q.runs) == 0
			b.txn.stamp(q.target, batch)
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

// flush sends what waits, and waits for all answers. What came before the target
// was done with the transaction before is sent again.
func (b *Batches) flush(ctx context.Context) error {
	err := repeat(ctx, func(ctx context.Context) error {
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
	b.pace.learn(s)
	b.sent[0] = nil // else the array keeps it
	b.sent = b.sent[1:]
	b.cfg.Window.leave(s.bytes)
	if err := s.land(); err != nil {
		return b.txn.noted(err)
	}
	for _, q := range s.queues {
		if q.early && q.alone { // nothing of it was acknowledged, so that its sequences begin anew
			b.waiting += len(q.batches[0].Raw)
			delete(b.txn.next, q.target)
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
