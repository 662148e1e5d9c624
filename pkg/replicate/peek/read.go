package peek

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
)

const (
	// pollSlice bounds how long one call into librdkafka blocks, and so how late a
	// cancelled context is noticed.
	pollSlice = 100 * time.Millisecond

	// patience is how long a broker may stay silent.
	patience = 30 * time.Second

	// maxMoves is how often the log's start may overtake one call.
	maxMoves = 10
)

// errClosed is what calls after Close get.
var errClosed = errors.New("peek is closed")

// reader owns one consumer, which one call at a time may use.
type reader struct {
	cluster   kafka.Config
	log       *slog.Logger
	isolation string
	turn      chan struct{} // holds one token; the holder may use what follows
	consumer  *ck.Consumer
	opened    kafka.Credentials // of the consumer
	failed    bool              // the last call did
	closed    bool
}

func newReader(cluster kafka.Config, isolation string, log *slog.Logger) reader {
	r := reader{cluster: cluster, log: log, isolation: isolation, turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

func (r *reader) open() error {
	if r.closed {
		return errClosed
	}
	if r.consumer != nil && r.failed && r.opened.Renewed() != nil { // it holds former certificates or passwords
		_ = r.consumer.Close()
		r.consumer = nil
	}
	if r.consumer != nil {
		return nil
	}
	r.opened = r.cluster.Credentials()
	consumer, err := kafka.NewConsumer(r.cluster, map[string]any{
		// librdkafka wants a name here; with manual assignment no group comes into being.
		"group.id":                 "replicator.peek",
		"isolation.level":          r.isolation,
		"enable.auto.commit":       false,
		"enable.auto.offset.store": false,
		"enable.partition.eof":     true,
		"auto.offset.reset":        "error",
		// Most calls want one record, or the news that there is none.
		"fetch.wait.max.ms":          10,
		"fetch.message.max.bytes":    64 << 10,
		"queued.max.messages.kbytes": 4 << 10,
		"queued.min.messages":        1000,
		"fetch.queue.backoff.ms":     10,
	})
	r.consumer = consumer
	return err
}

func (r *reader) close() error {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	r.closed = true
	if r.consumer == nil {
		return nil
	}
	err := r.consumer.Close()
	r.consumer = nil
	return err
}

// read shows the visible records of [from,to) until the callback has enough. The
// offset that it answers is where it ended: nothing visible lies unseen before it.
func (r *reader) read(ctx context.Context, topic string, partition int32, from, to offsets.Target,
	show func(*ck.Message) (more bool)) (end offsets.Target, err error) {
	select {
	case <-r.turn:
	case <-ctx.Done():
		return from, ctx.Err()
	}
	defer func() { r.turn <- struct{}{} }()
	if ctx.Err() != nil { // both were ready
		return from, ctx.Err()
	}
	if err := r.open(); err != nil {
		return from, err
	}
	defer func() { r.failed = err != nil }()
	s := stretch{reader: r, topic: topic, partition: partition, next: from, to: to, show: show}
	for range maxMoves {
		moved, err := s.run(ctx)
		if !moved {
			return s.next, err
		}
	}
	return s.next, fmt.Errorf("the log's start moved %d times while it was read", maxMoves)
}

// stretch is one call's work.
type stretch struct {
	*reader
	topic     string
	partition int32
	next, to  offsets.Target // what is left; to < 0: up to the end
	show      func(*ck.Message) bool
	trouble   error // the last that librdkafka told of
}

// run reads from next. moved says that the log's start passed it meanwhile.
func (s *stretch) run(ctx context.Context) (moved bool, err error) {
	low, high, err := s.bounds(ctx)
	if err != nil {
		return false, err
	}
	start := max(s.next, low)
	if s.to >= 0 && start >= s.to {
		s.next = max(s.next, s.to)
		return false, nil
	}
	s.next = start
	if start >= high {
		return false, nil
	}
	list := []ck.TopicPartition{{Topic: &s.topic, Partition: s.partition, Offset: ck.Offset(start)}}
	if err := s.consumer.Assign(list); err != nil {
		return false, fmt.Errorf("assign: %w", err)
	}
	moved, err = s.poll(ctx)
	return moved, errors.Join(err, kafka.Unassign(s.consumer, err == nil))
}

// bounds asks where the log starts and ends, at the consumer's isolation. The call
// cannot be cancelled, so that it is asked in slices.
func (s *stretch) bounds(ctx context.Context) (low, high offsets.Target, err error) {
	deadline := time.Now().Add(patience)
	for {
		l, h, err := s.consumer.QueryWatermarkOffsets(s.topic, s.partition, 2000)
		if err == nil {
			return offsets.Target(l), offsets.Target(h), nil
		}
		if ctx.Err() != nil {
			return 0, 0, errors.Join(ctx.Err(), err)
		}
		if renewed := s.opened.Renewed(); renewed != nil {
			return 0, 0, renewed
		}
		if !transient(err) || time.Now().After(deadline) {
			return 0, 0, err
		}
	}
}

// poll takes events until the stretch is read.
func (s *stretch) poll(ctx context.Context) (moved bool, err error) {
	heard := time.Now()
	for {
		event := s.consumer.Poll(int(pollSlice / time.Millisecond))
		if err := ctx.Err(); err != nil {
			return false, errors.Join(err, s.trouble)
		}
		switch event := event.(type) {
		case nil:
			if time.Since(heard) > patience {
				return false, errors.Join(fmt.Errorf("no answer for %s", patience), s.trouble)
			}
			continue
		case *ck.Message:
			if done, err := s.message(event); done || err != nil {
				return false, err
			}
		case ck.PartitionEOF:
			if s.concerns(ck.TopicPartition(event)) && offsets.Target(event.Offset) >= s.next {
				s.end(offsets.Target(event.Offset))
				return false, nil
			}
		case ck.Error:
			switch code := event.Code(); {
			case code == ck.ErrAutoOffsetReset || code == ck.ErrOffsetOutOfRange:
				return true, nil
			case event.IsFatal() || !transient(event):
				return false, event
			}
			s.log.Debug("waiting for the cluster", "cluster", s.cluster.Name, "topic", s.topic,
				"partition", s.partition, "error", event)
			s.trouble = event
			if err := s.opened.Renewed(); err != nil {
				return false, err
			}
			continue // trouble is no sign of life
		}
		heard = time.Now()
	}
}

// message takes one record; done says that no more are wanted.
func (s *stretch) message(m *ck.Message) (done bool, err error) {
	if m.TopicPartition.Error != nil {
		return false, m.TopicPartition.Error
	}
	at := offsets.Target(m.TopicPartition.Offset)
	if !s.concerns(m.TopicPartition) || at < s.next {
		return false, nil
	}
	if s.to >= 0 && at >= s.to {
		s.end(s.to)
		return true, nil
	}
	s.next = at + 1
	more := s.show(m)
	return !more || s.next == s.to, nil
}

// end notes how far nothing visible lies.
func (s *stretch) end(at offsets.Target) {
	if s.to >= 0 {
		at = min(at, s.to)
	}
	s.next = max(s.next, at)
}

func (s *stretch) concerns(p ck.TopicPartition) bool {
	return p.Topic != nil && *p.Topic == s.topic && p.Partition == s.partition
}

// transient says that librdkafka goes on trying, or that asking again may help.
func transient(err error) bool {
	var e ck.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case ck.ErrTransport, ck.ErrAllBrokersDown, ck.ErrResolve, ck.ErrTimedOut, ck.ErrNoOffset,
		ck.ErrLeaderNotAvailable, ck.ErrNotLeaderForPartition, ck.ErrFencedLeaderEpoch, ck.ErrUnknownLeaderEpoch,
		ck.ErrOffsetNotAvailable, ck.ErrReplicaNotAvailable, ck.ErrBrokerNotAvailable, ck.ErrNetworkException,
		ck.ErrRequestTimedOut, ck.ErrWaitCoord, ck.ErrAuthentication:
		return true
	case ck.ErrGroupAuthorizationFailed, ck.ErrCoordinatorNotAvailable, ck.ErrCoordinatorLoadInProgress,
		ck.ErrNotCoordinator: // librdkafka looks for a group's coordinator, which is not needed for reading
		return true
	}
	return e.IsRetriable()
}
