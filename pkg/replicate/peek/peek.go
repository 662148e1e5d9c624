// Package peek reads single stretches of a partition: what lies at the end of a
// target partition, which records someone else wrote, one record of the ledger.
//
// The central type is [Peek]. It guarantees:
//
//  1. an answer is about exactly the range that was asked for: a position outside
//     the log is never silently another one;
//  2. markers and, when asked for committed records, aborted ones are passed over,
//     however many: the broker's end-of-partition decides, not a time-out;
//  3. nothing is fetched between two calls.
//
// It decides nothing, and retries nothing but a log whose start moved meanwhile.
package peek

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
)

// Peek reads from one cluster. It may be used by several goroutines: calls take
// turns, those for committed records and the others each in a queue of their own.
type Peek struct {
	cluster     kafka.Config
	committed   reader
	uncommitted reader
	closing     sync.Once
}

// Open makes a Peek; its consumers are opened when they are first needed.
// Connection trouble that librdkafka gets over by itself goes to log at debug level.
func Open(cluster kafka.Config, log *slog.Logger) *Peek {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Peek{
		cluster:     cluster,
		committed:   newReader(cluster, "read_committed", log),
		uncommitted: newReader(cluster, "read_uncommitted", log),
	}
}

// Close waits for calls under way and ends the connections. Calls after it fail.
func (p *Peek) Close() error {
	var err error
	p.closing.Do(func() { err = errors.Join(p.committed.close(), p.uncommitted.close()) })
	return err
}

func (p *Peek) reader(committed bool) *reader {
	if committed {
		return &p.committed
	}
	return &p.uncommitted
}

// First finds the first visible record in [from,to), to the end of the log if to is
// below 0: with committed only what is committed, up to the last stable offset.
// Where found is false nothing visible lies in [from,at): at is then to, or the end
// that was reached before it, or from itself when the log ends at or before it.
func (p *Peek) First(ctx context.Context, topic string, partition int32, from, to offsets.Target, committed bool,
) (at offsets.Target, found bool, err error) {
	end, err := p.reader(committed).read(ctx, topic, partition, from, to, func(m *ck.Message) bool {
		at, found = offsets.Target(m.TopicPartition.Offset), true
		return false
	})
	if !found {
		at = end
	}
	return at, found, p.explain(err, topic, partition, from)
}

// Stretch finds the first visible record in [from,to) and the offset after the last
// one; bounds and committed are as for First. It reads all that lies between.
func (p *Peek) Stretch(ctx context.Context, topic string, partition int32, from, to offsets.Target, committed bool,
) (first, end offsets.Target, found bool, err error) {
	_, err = p.reader(committed).read(ctx, topic, partition, from, to, func(m *ck.Message) bool {
		at := offsets.Target(m.TopicPartition.Offset)
		if !found {
			first, found = at, true
		}
		end = at + 1
		return true
	})
	if err != nil {
		return 0, 0, false, p.explain(err, topic, partition, from)
	}
	return first, end, found, nil
}

// Count counts the visible committed records in [from,to), up to most of them; beyond that
// it answers the number of offsets that are left as well, which is at most too high.
func (p *Peek) Count(ctx context.Context, topic string, partition int32, from, to offsets.Target, most int64,
) (n int64, err error) {
	last := from
	_, err = p.committed.read(ctx, topic, partition, from, to, func(m *ck.Message) bool {
		n, last = n+1, offsets.Target(m.TopicPartition.Offset)
		return n < most
	})
	if err != nil {
		return 0, p.explain(err, topic, partition, from)
	}
	if n == most {
		n += max(int64(to-last)-1, 0)
	}
	return n, nil
}

// Record reads the one committed record at an offset. If there is none (any more)
// the error is a *MissingError.
func (p *Peek) Record(ctx context.Context, topic string, partition int32, offset offsets.Target,
) (key, value []byte, err error) {
	found := false
	_, err = p.committed.read(ctx, topic, partition, offset, offset+1, func(m *ck.Message) bool {
		key, value, found = m.Key, m.Value, true
		return false
	})
	if err != nil {
		return nil, nil, p.explain(err, topic, partition, offset)
	}
	if !found {
		return nil, nil, &MissingError{p.cluster.Name, topic, partition, offset}
	}
	return key, value, nil
}

func (p *Peek) explain(err error, topic string, partition int32, from offsets.Target) error {
	if err == nil {
		return nil
	}
	var code ck.Error
	if errors.As(err, &code) && code.Code() == ck.ErrTopicAuthorizationFailed {
		err = p.cluster.Denied("Read", "topic "+topic, err)
	}
	return fmt.Errorf("look at %s/%d from %d: %w", topic, partition, from, p.cluster.Explain(err))
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
