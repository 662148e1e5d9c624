package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/wire"
)

const (
	window     = 32 << 20 // bytes under way
	patience   = 30 * time.Second
	produceKey = 0
)

// nobody writes without an id, as far as the target is concerned.
var nobody = wire.Producer{ID: -1, Epoch: -1}

// writer writes what one reader has read. It belongs to one goroutine, but for the
// hook.
type writer struct {
	client *kgo.Client
	topic  *topic
	flying []*request // the oldest first
	bytes  int        // in flying

	mu  sync.Mutex
	out chan struct{} // closed when the request that is being sent has gone out
}

// request is one produce request.
type request struct {
	*kmsg.ProduceRequest
	bytes    int
	done     chan struct{} // closed with the answer, which is then in the next two
	response *kmsg.ProduceResponse
	err      error
}

func (w *writer) run(ctx context.Context, answers <-chan []part) error {
	for parts := range answers {
		for len(parts) > 0 {
			var err error
			if parts, err = w.round(ctx, parts); err != nil {
				return err
			}
		}
	}
	return w.await(ctx, 0)
}

// round sends the first batch of every partition, in one request for each broker,
// and gives what is left.
func (w *writer) round(ctx context.Context, parts []part) ([]part, error) {
	byLeader := map[int32]*request{}
	left := parts[:0]
	for _, p := range parts {
		leader := w.topic.leaders[p.number]
		r := byLeader[leader]
		if r == nil {
			r = newRequest(w.topic)
			byLeader[leader] = r
		}
		r.add(p.number, p.batches[0])
		if p.batches = p.batches[1:]; len(p.batches) > 0 {
			left = append(left, p)
		}
	}
	for leader, r := range byLeader {
		if err := w.send(ctx, leader, r); err != nil {
			return nil, err
		}
	}
	return left, nil
}

func newRequest(t *topic) *request {
	r := &request{ProduceRequest: kmsg.NewPtrProduceRequest(), done: make(chan struct{})}
	r.Acks, r.TimeoutMillis = -1, int32(patience.Milliseconds())
	to := kmsg.NewProduceRequestTopic()
	to.Topic, to.TopicID = t.name, t.id
	r.Topics = append(r.Topics, to)
	return r
}

func (r *request) add(number int32, batch wire.Batch) {
	batch.Stamp(nobody, -1)
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = number, batch
	r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
	r.bytes += len(batch)
}

// send sends a request once the window has room, and returns when it has gone out:
// only then can the next one not overtake it.
func (w *writer) send(ctx context.Context, leader int32, r *request) error {
	if err := w.await(ctx, max(0, window-r.bytes)); err != nil {
		return err
	}
	w.flying, w.bytes = append(w.flying, r), w.bytes+r.bytes
	out := make(chan struct{})
	w.mu.Lock()
	w.out = out
	w.mu.Unlock()
	go func() { // ends with the answer, or the client
		defer close(r.done)
		got, err := w.client.Broker(int(leader)).Request(ctx, r.ProduceRequest)
		if err != nil {
			r.err = fmt.Errorf("write to broker %d: %w", leader, err)
			return
		}
		r.response = got.(*kmsg.ProduceResponse)
	}()
	select {
	case <-out:
	case <-r.done:
	}
	return nil
}

// OnBrokerWrite is kgo's hook: it is told of every request that has gone out.
func (w *writer) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key == produceKey && w.out != nil {
		close(w.out)
		w.out = nil
	}
}

// await reads answers until no more bytes than that are under way.
func (w *writer) await(ctx context.Context, most int) error {
	for w.bytes > most {
		r := w.flying[0]
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		w.flying, w.bytes = w.flying[1:], w.bytes-r.bytes
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

// check tells whether all batches have been taken.
func (r *request) check() error {
	if r.err != nil {
		return r.err
	}
	taken := 0
	for _, t := range r.response.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("write %s/%d: %w", r.Topics[0].Topic, p.Partition, err)
			}
			taken++
		}
	}
	if sent := len(r.Topics[0].Partitions); taken != sent {
		return fmt.Errorf("write %s: %d batches sent, %d answers", r.Topics[0].Topic, sent, taken)
	}
	return nil
}
