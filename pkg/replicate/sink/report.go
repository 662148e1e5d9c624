package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// drain takes the delivery reports that are there.
func (s *Records) drain() {
	for _, p := range []*kafka.Producer{s.data, s.fence} {
		for more := true; more; {
			select {
			case event := <-p.Events():
				s.take(event)
			default:
				more = false
			}
		}
		if s.data == s.fence {
			return
		}
	}
}

// awaitReports waits until every record has its report, or until it is certain that
// the transaction has failed and why.
func (s *Records) awaitReports(ctx context.Context, p *kafka.Producer) error {
	for s.waiting > 0 {
		var stop *chunk.Stop
		var kerr ck.Error
		switch {
		case errors.As(s.failure, &stop):
			return s.failure
		case errors.As(s.failure, &kerr) && kerr.IsFatal():
			return s.judged()
		}
		if s.renewed != nil {
			return s.renewed
		}
		if err := s.report(ctx, p); err != nil {
			return err
		}
	}
	return s.judged()
}

// judged is the failure, if any: that of the whole transaction, and of no partition, where
// the target took what it holds, but not in time.
func (s *Records) judged() error {
	var stop *chunk.Stop
	if !s.slow || s.broken || errors.As(s.failure, &stop) {
		return s.failure
	}
	return &Outlived{Took: time.Since(s.begun), Err: errors.New(s.failure.Error())}
}

// report waits for one event. librdkafka gives every record a report within
// message.timeout.ms, so that waiting for it ends.
func (s *Records) report(ctx context.Context, p *kafka.Producer) error {
	limit := time.NewTimer(blindAfter)
	defer limit.Stop()
	select {
	case event := <-p.Events():
		s.take(event)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the target's acknowledgements: %w", ctx.Err())
	case <-limit.C:
		return fmt.Errorf("no acknowledgement came within %s: %w", blindAfter, errors.Join(s.failure, s.reason))
	}
}

// take reads one event of a producer.
func (s *Records) take(event ck.Event) {
	switch event := event.(type) {
	case *ck.Message:
		s.takeReport(event)
	case ck.Error:
		if event.IsFatal() {
			s.slow = s.slow || time.Since(s.begun) > s.cfg.lasts() // see transaction.noted
			s.fail(fmt.Errorf("target writer: %w", event))
			return
		}
		s.reason = event // e.g. why an authentication failed: the calls only time out
		switch event.Code() {
		case ck.ErrTransport, ck.ErrResolve, ck.ErrAuthentication, ck.ErrSsl:
			s.broken = true
		}
		s.renewed = s.opened.Renewed()
	}
}

// takeReport folds one record's target offset into the runs of its partition.
func (s *Records) takeReport(m *ck.Message) {
	s.waiting--
	at := m.TopicPartition
	if *at.Topic == s.cfg.Ledger {
		if at.Error != nil {
			s.slow = s.slow || s.taken && timedOut(at.Error)
			s.fail(fmt.Errorf("write ledger record: %w", at.Error))
		}
		s.ledger = append(s.ledger, int64(at.Offset))
		return
	}
	if s.last == nil || s.last.target.Number != at.Partition || s.last.target.Topic != *at.Topic {
		s.last = s.reports[chunk.Partition{Topic: *at.Topic, Number: at.Partition}]
	}
	l := s.last
	source := l.pending[l.head]
	if l.head++; l.head == len(l.pending) {
		l.pending, l.head = l.pending[:0], 0
	}
	if at.Error != nil {
		s.slow = s.slow || timedOut(at.Error) && len(l.runs) > 0
		s.fail(refused(l.partition, l.target.Topic, source, at.Error))
		return
	}
	run := offsets.Run{Source: source, Target: offsets.Target(at.Offset), Count: 1}
	if n := len(l.runs); n > 0 {
		last := &l.runs[n-1]
		if run.Source == last.SourceEnd() && run.Target == last.TargetEnd() {
			last.Count++
			return
		}
		if run.Source < last.SourceEnd() || run.Target < last.TargetEnd() {
			s.fail(fmt.Errorf("%s: source offset %d was acknowledged at target offset %d, after %d",
				l.partition, run.Source, run.Target, last.TargetEnd()-1))
			return
		}
	}
	if run.Target < 0 {
		s.fail(fmt.Errorf("%s: source offset %d was acknowledged without a target offset", l.partition, source))
		return
	}
	l.runs, s.taken = append(l.runs, run), true
}

// timedOut says whether a record was given up because it was not taken in time.
func timedOut(err error) bool {
	code, _ := kafka.Code(err)
	return ck.ErrorCode(code) == ck.ErrMsgTimedOut
}

// fail keeps the failure that explains the others: one that names its partition
// before one that does not, and any before the purging that follows it.
func (s *Records) fail(err error) {
	var stop, before *chunk.Stop
	if s.failure == nil || (errors.As(err, &stop) && !errors.As(s.failure, &before)) {
		s.failure = err
	}
}

// refused turns the error of one record into a Stop or a Trouble of its partition,
// where the partition is to blame and not the connection or the transaction.
func refused(p chunk.Partition, topic string, source offsets.Source, err error) error {
	what := fmt.Errorf("write %s, source offset %d: %w", p, source, err)
	code, ok := kafka.Code(err)
	if !ok {
		return what
	}
	stop := &chunk.Stop{Partition: p, Err: err}
	switch ck.ErrorCode(code) {
	case ck.ErrMsgSizeTooLarge:
		stop.Kind, stop.At = chunk.StopTooLarge, source
		stop.Reason = fmt.Sprintf("the target refuses the record at source offset %d: it is larger than topic %q allows",
			source, topic)
		stop.Fix = fmt.Sprintf("raise max.message.bytes of topic %q on the target (and replica.fetch.max.bytes of its "+
			"brokers); copying goes on by itself", topic)
	case ck.ErrTopicAuthorizationFailed:
		stop.Kind = chunk.StopUnauthorized
		stop.Reason = fmt.Sprintf("operation Write on Topic %q is denied on the target", topic)
		stop.Fix = fmt.Sprintf("allow the target's user Write and Describe on topic %q; copying goes on by itself",
			topic)
	case ck.ErrInvalidTimestamp, ck.ErrInvalidRecord, ck.ErrPolicyViolation:
		stop.Kind, stop.At = chunk.StopRefused, source
		stop.Reason = fmt.Sprintf("the target refuses the record at source offset %d", source)
		stop.Fix = fmt.Sprintf("compare the settings of topic %q on both clusters (message.timestamp.*, cleanup.policy); "+
			"copying goes on by itself", topic)
	case ck.ErrUnknownTopicOrPart, ck.ErrUnknownTopicID, ck.ErrUnknownTopic, ck.ErrTopicException:
		stop.Kind = chunk.StopMissing
		stop.Reason = fmt.Sprintf("topic %q is not on the target", topic)
		stop.Fix = "it is created again within the refresh_interval, and copied from the beginning at the partition's " +
			"next try, 15 s after it has stopped or later"
	case ck.ErrNotLeaderForPartition, ck.ErrLeaderNotAvailable, ck.ErrReplicaNotAvailable, ck.ErrNotEnoughReplicas,
		ck.ErrNotEnoughReplicasAfterAppend, ck.ErrKafkaStorageError, ck.ErrRequestTimedOut, ck.ErrMsgTimedOut,
		ck.ErrFencedLeaderEpoch, ck.ErrUnknownLeaderEpoch, ck.ErrInvalidMsg, ck.ErrUnknown,
		ck.ErrUnsupportedCompressionType,
		ck.ErrUnknownPartition: // newer than what this handle knows of its topic: the next one knows it
		return &chunk.Trouble{Partition: p, Err: what}
	default: // the transaction or the connection
		return what
	}
	return stop
}

// maxTimestamp bounds what librdkafka's Go binding carries, in milliseconds: it
// computes in nanoseconds.
const maxTimestamp = 9_220_000_000_000

// Carries tells whether the record lane can write a record unchanged: nil, or
// the reason why not.
func Carries(r *chunk.Record) error {
	switch {
	case r.Timestamp == 0:
		return errors.New("its timestamp is 0, for which this lane would write the present time")
	case r.Timestamp > maxTimestamp || r.Timestamp < -maxTimestamp:
		return fmt.Errorf("its timestamp %d is beyond +-%d ms, which this lane would change",
			r.Timestamp, int64(maxTimestamp))
	}
	return nil
}
