package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// fresh is how old a look may be when a group is written. Translating can take
// longer, and so can the groups before it.
const fresh = 50 * time.Millisecond

// crew writes several groups at once. A group belongs to the goroutine that writes
// it until wait returns.
type crew struct {
	groups *Groups
	ctx    context.Context // of the round; the crew does not outlive it
	looked time.Time       // when the target was read
	work   chan *group     // without room: a new goroutine starts only if all are busy
	size   int
	done   sync.WaitGroup
}

func (g *Groups) newCrew(ctx context.Context, looked time.Time) *crew {
	return &crew{groups: g, ctx: ctx, looked: looked, work: make(chan *group)}
}

// give hands a group to a goroutine that has nothing to do, or to a new one.
func (c *crew) give(one *group) {
	select {
	case c.work <- one:
		return
	default:
	}
	if c.size < maxWriters {
		client, err := c.groups.writer(c.size)
		if err != nil {
			c.groups.refuse(one, err)
			return
		}
		c.size++
		c.done.Go(func() {
			for next := range c.work {
				if time.Since(c.looked) > fresh {
					c.groups.lookAgain(c.ctx, client, next)
				}
				c.groups.write(c.ctx, client, next)
			}
		})
	}
	c.work <- one
}

// wait returns when all that was given has been written.
func (c *crew) wait() {
	close(c.work)
	c.done.Wait()
}

// refuse notes that nothing of a group could be written.
func (g *Groups) refuse(one *group, err error) {
	for i := range one.positions {
		if p := &one.positions[i]; p.Decision.Write {
			g.trouble(p, "Read", err)
		}
	}
}

// lookAgain takes back the moves of those positions that are not what they were when
// they were decided about.
func (g *Groups) lookAgain(ctx context.Context, client *kgo.Client, one *group) {
	now := []group{{name: one.name, target: one.target}}
	var moves []*Position
	for i := range one.positions {
		if p := &one.positions[i]; p.Decision.Write {
			moves = append(moves, p)
			now[0].positions = append(now[0].positions, Position{Group: p.Group, Partition: p.Partition,
				group: p.group, topic: p.topic})
		}
	}
	if err := g.readTarget(ctx, client, now); err != nil {
		g.refuse(one, err)
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
func (g *Groups) write(ctx context.Context, client *kgo.Client, one *group) {
	request := g.commit(one)
	if len(request.Topics) == 0 {
		return
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		g.refuse(one, err)
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
			g.trouble(p, "Read", err)
			continue
		}
		p.After = p.Decision.Target
	}
}

// commit builds the request. It names the topics by the ids that came with the look,
// so that a topic recreated since is refused by brokers that know ids here.
func (g *Groups) commit(one *group) *kmsg.OffsetCommitRequest {
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
		mark := Mark{Flow: g.cfg.Flow, Source: offsets.Source(p.Source.Offset), Target: p.Decision.Target}.Format()
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Partition = p.Partition.Number
		partition.Offset = int64(p.Decision.Target)
		partition.Metadata = &mark
		request.Topics[n-1].Partitions = append(request.Topics[n-1].Partitions, partition)
	}
	return request
}
