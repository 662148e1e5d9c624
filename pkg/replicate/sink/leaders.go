package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
)

// topic is what the target says of one: where to write, and as which.
type topic struct {
	id      [16]byte
	leaders map[int32]int32 // by partition
}

// leaders remembers where the target's topics are led.
type leaders struct {
	client *kgo.Client
	known  map[string]*topic
}

// unknownFor is how long a topic is looked for that the target's brokers may not
// all know yet; librdkafka is given the same.
const unknownFor = 5 * time.Second

// of gives where a topic's partitions are led.
func (l *leaders) of(ctx context.Context, name string) (*topic, error) {
	if t := l.known[name]; t != nil {
		return t, nil
	}
	for giveUp := time.Now().Add(unknownFor); ; {
		t, err := l.ask(ctx, name)
		switch {
		case err == nil:
			l.known[name] = t
			return t, nil
		case !errors.Is(err, kerr.UnknownTopicOrPartition), time.Now().After(giveUp):
			return nil, err
		}
		if wait.Pause(ctx, unknownFor/50) != nil {
			return nil, err
		}
	}
}

// ask finds out where a topic's partitions are led.
func (l *leaders) ask(ctx context.Context, name string) (*topic, error) {
	answer, err := kafka.MetadataRequest([]string{name}).RequestWith(ctx, l.client)
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

// forget has a topic asked for again.
func (l *leaders) forget(name string) { delete(l.known, name) }
