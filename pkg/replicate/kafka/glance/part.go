package glance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/replicate/kafka"
)

// Part is a part of one partition, which is read whatever passes meanwhile: leaders that
// move or have not taken office, brokers that do not answer, a log whose start moves.
type Part struct {
	Topic    string
	Number   int32
	From, To int64 // To below 0: up to the end of the log, as it is when reading begins
	// Least is where the log must end, or later, before it is read: a commit is answered before its
	// markers are written.
	Least     int64
	Committed bool          // see [Log]; the log ends at its last stable offset
	Silence   time.Duration // how long nothing may come
	Waiting   func(error)   // is told why it is tried again; may be nil
}

const (
	// Silence is how long a partition may give nothing, for most.
	Silence = 30 * time.Second
	// unknownLasts is how long a topic or a partition may be unknown that was just made: brokers
	// hear of it one after another.
	unknownLasts = 3 * time.Second
	// retryTimeout is for how long franz-go tries again by itself. Whoever reads a part tries longer,
	// and tells what went wrong.
	retryTimeout = 5 * time.Second
	// tryLasts is how long a try is given to find the partition, however late it is: only what
	// takes longer is silence.
	tryLasts = 2 * time.Second
)

// Open opens a client to read parts with.
func Open(cluster kafka.Config) (*kgo.Client, error) {
	return kafka.NewFranz(cluster, kgo.RetryTimeout(retryTimeout))
}

// Read reads a part. Each try begins anew with begin, which gives who takes the records, in
// their order; [ErrEnough] of it ends reading. The offset that it answers is where reading
// ended: nothing that could be seen lies unread before it, from From on.
func (p *Part) Read(ctx context.Context, client *kgo.Client, begin func() (take func(*kgo.Record) error)) (
	end int64, err error) {
	far, heard := int64(-1), time.Now()
	for pause := again / 8; ; pause = min(2*pause, again) {
		end, err := p.try(ctx, client, begin(), max(time.Until(heard.Add(p.Silence)), tryLasts))
		switch {
		case err == nil:
			return end, nil
		case ctx.Err() != nil:
			return p.From, cut(ctx, err)
		case !passing(err):
			return p.From, err
		}
		if end > far {
			far, heard = end, time.Now()
		}
		if silent := time.Since(heard); silent >= p.bears(err) {
			return p.From, fmt.Errorf("nothing has come for %s: %w", silent.Round(time.Second/10), err)
		}
		if p.Waiting != nil {
			p.Waiting(err)
		}
		select {
		case <-ctx.Done():
			return p.From, cut(ctx, err)
		case <-time.After(pause):
		}
	}
}

// cut is the error of what was cut short, with what was wrong until then.
func cut(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// bears is for how long an error is borne.
func (p *Part) bears(err error) time.Duration {
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
		return min(unknownLasts, p.Silence)
	}
	return p.Silence
}

// try reads the part once, and says how far it has come, if anywhere. Where the partition lies
// must be known within some time.
func (p *Part) try(ctx context.Context, client *kgo.Client, take func(*kgo.Record) error, within time.Duration) (
	end int64, err error) {
	finding, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	l, err := p.find(finding, client)
	if err != nil {
		return -1, err
	}
	if l.End < p.Least {
		return l.End, fmt.Errorf("committed records end at %d, and are awaited up to %d", l.End, p.Least)
	}
	if l.Take = take; p.To >= 0 {
		l.End = min(l.End, p.To)
		l.At = min(l.At, p.To)
	}
	l.At = max(l.At, p.From)
	from := l.At
	if Read(ctx, client, []*Log{l}); l.Err != nil && l.At == from {
		return -1, l.Err
	}
	return l.At, l.Err
}

// find asks where the partition is led, and where its log starts and ends.
func (p *Part) find(ctx context.Context, client *kgo.Client) (*Log, error) {
	logs, err := list(ctx, client, []string{p.Topic})
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		if l.Number != p.Number {
			continue
		}
		if l.Err != nil {
			return nil, l.Err
		}
		l.Committed = p.Committed
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) { l.At, err = l.bound(ctx, client, start); return err })
		g.Go(func() (err error) { l.End, err = l.bound(ctx, client, end); return err })
		return l, g.Wait()
	}
	return nil, kerr.UnknownTopicOrPartition
}

// What a request for offsets asks by a timestamp below 0.
const (
	end   int64 = -1 // the last stable offset, where only committed records are read
	start int64 = -2
)

// bound asks the leader where the log starts or ends.
func (l *Log) bound(ctx context.Context, client *kgo.Client, which int64) (int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	if l.Committed {
		request.IsolationLevel = 1
	}
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = l.Topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = l.Number, which
	topic.Partitions = append(topic.Partitions, p)
	request.Topics = append(request.Topics, topic)
	response, err := ask(ctx, client, l.Leader, request)
	if err != nil {
		return 0, err
	}
	for _, topic := range response.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range topic.Partitions {
			if topic.Topic == l.Topic && p.Partition == l.Number {
				return p.Offset, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return 0, errors.New("the broker answers for something else")
}
