package groups

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// maxWriters is how many groups are written at once, each over a connection of its
// own: a broker answers one connection's requests one after the other, and a commit
// takes it some milliseconds.
const maxWriters = 8

// target is the cluster on which groups follow.
type target struct {
	conf    kafka.Config
	flow    string
	client  *kgo.Client
	writers []*kgo.Client   // opened when they are first needed
	former  map[string]bool // names that the flow had, as marks have them
}

// close ends all connections.
func (t *target) close() {
	t.client.Close()
	for _, writer := range t.writers {
		writer.Close()
	}
}

// own gives a position that was committed under a former name of the flow the present one.
func (t *target) own(c Committed) Committed {
	if m, ok := ParseMark(c.Metadata); ok && t.former[m.Flow] {
		m.Flow = t.flow
		c.Metadata = m.Format()
	}
	return c
}

// unread says why a group's positions could not be read: Read holds Describe, and is needed next.
func (t *target) unread(group string, err error) error { return unread(t.conf, "Read", group, err) }

// writer gives the client of one of the writing goroutines. It never repeats a
// request by itself: what the first look has seen may not hold for a second write.
func (t *target) writer(i int) (*kgo.Client, error) {
	for len(t.writers) <= i {
		client, err := kafka.NewFranz(t.conf, kgo.RequestRetries(0))
		if err != nil {
			return nil, fmt.Errorf("write groups: %w", err)
		}
		t.writers = append(t.writers, client)
	}
	return t.writers[i], nil
}

// read looks up on the target all that was read on the source. The partitions
// are asked for by name, and stable: a right that is missing, or a commit that a
// consumer's transaction holds open, is an error then, and not an empty answer.
func (t *target) read(ctx context.Context, client *kgo.Client, groups []group) error {
	wanted := make([]kmsg.OffsetFetchRequestGroup, 0, len(groups))
	for i := range groups {
		if len(groups[i].positions) > 0 {
			wanted = append(wanted, groups[i].wanted())
		}
	}
	found, err := fetch(ctx, client, wanted, true)
	if err != nil {
		return fmt.Errorf("read group positions: %w", t.conf.Explain(err))
	}
	at := map[chunk.Partition]int{} // by the target's name
	for i := range groups {
		one := &groups[i]
		if len(one.positions) == 0 {
			continue
		}
		got := found.of(one.target)
		// Some brokers say that the group is missing, others that it holds nothing.
		missing := errors.Is(got.err, kerr.GroupIDNotFound)
		if got.err != nil && !missing {
			one.failure = &Failure{Group: one.name, Kind: kindOf(got.err), Err: t.unread(one.target, got.err)}
		}
		clear(at)
		for j := range one.positions {
			p := &one.positions[j]
			at[chunk.Partition{Topic: p.topic, Number: p.Partition.Number}] = j
			p.topicID = found.ids[p.topic]
			if !missing {
				p.Err = errUnanswered
			}
		}
		for j := range got.topics {
			topic := &got.topics[j]
			for k := range topic.Partitions {
				if n, ok := at[chunk.Partition{Topic: topic.Topic, Number: topic.Partitions[k].Partition}]; ok {
					t.found(&one.positions[n], &topic.Partitions[k])
				}
			}
		}
	}
	return nil
}

// found notes what the target answered about one position.
func (t *target) found(p *Position, got *kmsg.OffsetFetchResponseGroupTopicPartition) {
	if p.Err = kerr.ErrorForCode(got.ErrorCode); p.Err == nil && got.Offset >= 0 {
		c := t.own(committed(got))
		p.Target, p.After = &c, offsets.Target(c.Offset)
	}
}

// trouble makes a decision of what the target said about a position.
func (t *target) trouble(p *Position, operation string, err error) {
	p.Decision.Write = false
	p.Decision.Kind = kindOf(err)
	if p.Decision.Kind == Active {
		p.Err, p.Decision.Why = nil, whyActive(err)
		return
	}
	p.Err = problem(t.conf, operation, p.group, p.topic, err)
	p.Decision.Why = p.Err.Error()
}

// refuse notes that nothing of a group could be written.
func (t *target) refuse(one *group, err error) {
	for i := range one.positions {
		if p := &one.positions[i]; p.Decision.Write {
			t.trouble(p, "Read", err)
		}
	}
}

// lookAgain takes back the moves of those positions that are not what they were when
// they were decided about.
func (t *target) lookAgain(ctx context.Context, client *kgo.Client, one *group) {
	now := []group{{name: one.name, target: one.target}}
	var moves []*Position
	for i := range one.positions {
		if p := &one.positions[i]; p.Decision.Write {
			moves = append(moves, p)
			now[0].positions = append(now[0].positions, Position{Group: p.Group, Partition: p.Partition,
				group: p.group, topic: p.topic})
		}
	}
	if err := t.read(ctx, client, now); err != nil {
		t.refuse(one, err)
		return
	}
	for i, p := range moves {
		is, was := now[0].positions[i], p.Target
		same := is.Target == nil && was == nil || is.Target != nil && was != nil && *is.Target == *was
		if now[0].failure == nil && is.Err == nil && same {
			continue
		}
		p.Decision.Write, p.Decision.Kind = false, Retried
		p.Decision.Why = "the target changed while it was being translated; the next round looks anew"
	}
}

// write commits one group's moves in one request and notes what became of each: the
// request succeeds as a whole while partitions are refused.
func (t *target) write(ctx context.Context, client *kgo.Client, one *group) {
	request := t.commit(one)
	if len(request.Topics) == 0 {
		return
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		t.refuse(one, err)
		return
	}
	type key struct {
		topic chunk.Partition
		id    [16]byte
	}
	said := map[key]int16{} // newer brokers answer with the topic's id, older ones with its name
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			k := key{topic: chunk.Partition{Topic: topic.Topic, Number: p.Partition}, id: topic.TopicID}
			said[k] = p.ErrorCode
		}
	}
	for i := range one.positions {
		p := &one.positions[i]
		if !p.Decision.Write {
			continue
		}
		number := p.Partition.Number
		code, ok := said[key{topic: chunk.Partition{Topic: p.topic, Number: number}}]
		if !ok {
			code, ok = said[key{topic: chunk.Partition{Number: number}, id: p.topicID}]
		}
		err := kerr.ErrorForCode(code)
		if !ok {
			err = errUnanswered
		}
		if err != nil {
			t.trouble(p, "Read", err)
			continue
		}
		p.After = p.Decision.Target
	}
}

// commit builds the request. It names the topics by the ids that came with the look,
// so that a topic recreated since is refused by brokers that know ids here.
func (t *target) commit(one *group) *kmsg.OffsetCommitRequest {
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group = one.target
	for i := range one.positions {
		p := &one.positions[i]
		if !p.Decision.Write {
			continue
		}
		n := len(request.Topics)
		if n == 0 || request.Topics[n-1].Topic != p.topic {
			topic := kmsg.NewOffsetCommitRequestTopic()
			topic.Topic, topic.TopicID = p.topic, p.topicID
			request.Topics = append(request.Topics, topic)
			n++
		}
		source := offsets.Source(p.Source.Offset)
		if r := p.Decision.Reached; r != nil {
			source = r.Source
		}
		mark := Mark{Flow: t.flow, Source: source, Target: p.Decision.Target}.Format()
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Partition = p.Partition.Number
		partition.Offset = int64(p.Decision.Target)
		partition.Metadata = &mark
		request.Topics[n-1].Partitions = append(request.Topics[n-1].Partitions, partition)
	}
	return request
}
