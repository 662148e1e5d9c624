// Package scan reads single stretches of a partition: what lies at the end of a
// target partition, which records someone else wrote, one record of the ledger.
//
// The central type is [Scanner]. It guarantees:
//
//  1. an answer is about exactly the range that was asked for: a position outside
//     the log is never silently another one;
//  2. markers and, when asked for committed records, aborted ones are passed over,
//     however many: the end that the broker tells decides, not a time-out;
//  3. nothing is fetched between two calls.
//
// It decides nothing, and retries nothing but what passes: a log whose start moves
// meanwhile, a leader that is not there, a broker that does not answer.
package scan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
)

// errClosed is what calls after Close get.
var errClosed = errors.New("the scanner is closed")

// Scanner reads from one cluster. Its methods may be called from any goroutine.
type Scanner struct {
	cluster kafka.Config
	log     *slog.Logger

	calls  sync.WaitGroup // those under way
	mu     sync.Mutex
	client *kgo.Client // nil until it is needed
	closed bool
}

// Open makes a Scanner; its client is opened when it is first needed.
// Trouble that it gets over by itself goes to log at debug level.
func Open(cluster kafka.Config, log *slog.Logger) *Scanner {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Scanner{cluster: cluster, log: log}
}

// Close waits for calls under way and ends the connections. Calls after it fail.
func (p *Scanner) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
	if p.client != nil {
		p.client.Close()
	}
	return nil
}

// begin opens the client for a call, which ends with p.calls.Done.
func (p *Scanner) begin() (*kgo.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if p.client == nil {
		client, err := glance.Open(p.cluster)
		if err != nil {
			return nil, err
		}
		p.client = client
	}
	p.calls.Add(1)
	return p.client, nil
}

// stretch is what one call reads.
type stretch struct {
	topic     string
	partition int32
	from, to  offsets.Target // to < 0: up to the end
	committed bool
}

// read shows the visible records of a stretch until show has enough. It may begin anew,
// with begin, which forgets what was shown. The offset that it answers is where it ended:
// nothing visible lies unseen before it.
func (p *Scanner) read(ctx context.Context, s stretch, begin func(), show func(*kgo.Record) (more bool)) (
	end offsets.Target, err error) {
	client, err := p.begin()
	if err != nil {
		return s.from, p.explain(err, s)
	}
	defer p.calls.Done()
	part := glance.Part{
		Topic: s.topic, Number: s.partition, From: int64(s.from), To: int64(s.to), Committed: s.committed,
		Silence: glance.Silence,
		Waiting: func(err error) {
			p.log.Debug("waiting for the cluster", "cluster", p.cluster.Name, "topic", s.topic,
				"partition", s.partition, "error", err)
		},
	}
	at, err := part.Read(ctx, client, func() func(*kgo.Record) error {
		begin()
		return func(r *kgo.Record) error {
			if show(r) {
				return nil
			}
			return glance.ErrEnough
		}
	})
	return offsets.Target(at), p.explain(err, s)
}

// First finds the first visible record in [from,to), to the end of the log if to is
// below 0: with committed only what is committed, up to the last stable offset.
// Where found is false nothing visible lies in [from,at): at is then to, or the end
// that was reached before it, or from itself when the log ends at or before it.
func (p *Scanner) First(ctx context.Context, topic string, partition int32, from, to offsets.Target, committed bool,
) (at offsets.Target, found bool, err error) {
	return p.first(ctx, stretch{topic, partition, from, to, committed}, func(offsets.Target) bool { return true })
}

// FirstOf is First for committed records, of those for whose offsets wanted is true.
func (p *Scanner) FirstOf(ctx context.Context, topic string, partition int32, from, to offsets.Target,
	wanted func(offsets.Target) bool) (at offsets.Target, found bool, err error) {
	return p.first(ctx, stretch{topic, partition, from, to, true}, wanted)
}

func (p *Scanner) first(ctx context.Context, s stretch, wanted func(offsets.Target) bool) (at offsets.Target,
	found bool, err error) {
	var first offsets.Target
	end, err := p.read(ctx, s, func() { found = false }, func(r *kgo.Record) bool {
		first = offsets.Target(r.Offset)
		found = wanted(first)
		return !found
	})
	if found {
		return first, true, err
	}
	return end, false, err
}

// Stretch finds the first visible record in [from,to) and the offset after the last
// one; bounds and committed are as for First. It reads all that lies between.
func (p *Scanner) Stretch(ctx context.Context, topic string, partition int32, from, to offsets.Target, committed bool,
) (first, end offsets.Target, found bool, err error) {
	_, err = p.read(ctx, stretch{topic, partition, from, to, committed},
		func() { first, end, found = 0, 0, false },
		func(r *kgo.Record) bool {
			at := offsets.Target(r.Offset)
			if !found {
				first, found = at, true
			}
			end = at + 1
			return true
		})
	if err != nil {
		return 0, 0, false, err
	}
	return first, end, found, nil
}

// Count counts the visible committed records in [from,to), up to most of them; beyond that
// it answers the number of offsets that are left as well, which is at most too high.
func (p *Scanner) Count(ctx context.Context, topic string, partition int32, from, to offsets.Target, most int64,
) (n int64, err error) {
	last := from
	_, err = p.read(ctx, stretch{topic, partition, from, to, true}, func() { n, last = 0, from },
		func(r *kgo.Record) bool {
			n, last = n+1, offsets.Target(r.Offset)
			return n < most
		})
	if err != nil {
		return 0, err
	}
	if n == most {
		n += max(int64(to-last)-1, 0)
	}
	return n, nil
}

// Record reads the one committed record at an offset. If there is none (any more)
// the error is a *MissingError.
func (p *Scanner) Record(ctx context.Context, topic string, partition int32, offset offsets.Target,
) (key, value []byte, err error) {
	found := false
	_, err = p.read(ctx, stretch{topic, partition, offset, offset + 1, true}, func() { found = false },
		func(r *kgo.Record) bool {
			key, value, found = r.Key, r.Value, true
			return false
		})
	switch {
	case err != nil:
		return nil, nil, err
	case !found:
		return nil, nil, &MissingError{p.cluster.Name, topic, partition, offset}
	}
	return key, value, nil
}

func (p *Scanner) explain(err error, s stretch) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		err = p.cluster.Denied("Read", "topic "+s.topic, err)
	}
	return fmt.Errorf("look at %s/%d from %d: %w", s.topic, s.partition, s.from, p.cluster.Explain(err))
}

// MissingError reports a record that is not at the offset where it was.
type MissingError struct {
	Cluster   string
	Topic     string
	Partition int32
	Offset    offsets.Target
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("cluster %s has no committed record at %s/%d offset %d", e.Cluster, e.Topic, e.Partition, e.Offset)
}

// Remedy tells what may have happened.
func (e *MissingError) Remedy() string {
	return fmt.Sprintf("retention, compaction or DeleteRecords removed it: check cleanup.policy and retention of topic "+
		"%s on cluster %s", e.Topic, e.Cluster)
}
