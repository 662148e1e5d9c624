package groups

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// Position is one partition of one group, on both sides.
type Position struct {
	Group     string // on the source
	Partition chunk.Partition
	Source    Committed
	Target    *Committed // before the round; nil when nothing is committed
	Decision  Decision
	After     offsets.Target // what the target holds after the round; -1: nothing, or not known
	Err       error          // with Refused and Retried: what the cluster said, with a remedy

	group   string   // on the target
	topic   string   // on the target
	topicID [16]byte // on the target; 0: the broker does not know ids, or not this topic
}

// Failure is a group whose positions could not be read on one of the clusters.
type Failure struct {
	Group string // on the source
	Kind  Kind   // Refused or Retried
	Err   error
}

// group is one group while a round lasts.
type group struct {
	name      string     // on the source
	target    string     // its name on the target
	positions []Position // sorted by partition
	failure   *Failure
	rule      Rule
	// Of a shared group: how many members it has.
	onSource, onTarget int
}

// fetched is the answer about one group.
type fetched struct {
	err    error
	topics []kmsg.OffsetFetchResponseGroupTopic
}

// answers are what a cluster said about many groups.
type answers struct {
	groups map[string]fetched
	ids    map[string][16]byte // of topics that were asked for by name
}

func (a *answers) of(group string) fetched {
	if got, ok := a.groups[group]; ok {
		return got
	}
	return fetched{err: errUnanswered}
}

// fetch asks for many groups at once, one request per coordinator. Only if no
// coordinator could be asked at all it answers an error.
func fetch(ctx context.Context, client *kgo.Client, groups []kmsg.OffsetFetchRequestGroup, stable bool,
) (answers, error) {
	found := answers{groups: make(map[string]fetched, len(groups)), ids: map[string][16]byte{}}
	if len(groups) == 0 {
		return found, nil
	}
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Groups, request.RequireStable = groups, stable
	var unasked error
	asked := false
	for _, shard := range client.RequestSharded(ctx, request) {
		sent := shard.Req.(*kmsg.OffsetFetchRequest)
		found.sent(sent)
		err := shard.Err
		var response *kmsg.OffsetFetchResponse
		if err == nil {
			response = shard.Resp.(*kmsg.OffsetFetchResponse)
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		if err != nil {
			found.fail(sent, err)
			var answered *kerr.Error
			if asked = asked || errors.As(err, &answered); unasked == nil {
				unasked = err
			}
			continue
		}
		asked = true
		for _, g := range response.Groups {
			found.groups[g.Group] = fetched{err: kerr.ErrorForCode(g.ErrorCode), topics: g.Topics}
		}
	}
	if err := ctx.Err(); err != nil {
		return answers{}, err
	}
	if !asked {
		return answers{}, unasked
	}
	return found, nil
}

// sent learns the ids that the client has looked up for the topics it asked for:
// where a group is missing, the answer does not hold them.
func (a *answers) sent(request *kmsg.OffsetFetchRequest) {
	for i := range request.Groups {
		for j := range request.Groups[i].Topics {
			if topic := &request.Groups[i].Topics[j]; topic.TopicID != [16]byte{} {
				a.ids[topic.Topic] = topic.TopicID
			}
		}
	}
}

// fail notes an error for all groups of a request, in either of its shapes.
func (a *answers) fail(request *kmsg.OffsetFetchRequest, err error) {
	if len(request.Groups) == 0 {
		a.groups[request.Group] = fetched{err: err}
	}
	for i := range request.Groups {
		a.groups[request.Groups[i].Group] = fetched{err: err}
	}
}

// readSource reads the groups' positions on the source, as far as the policy selects
// their topics and mine is true (nil: all). Groups without any are left out. A
// pending transaction does not hide what was committed before it.
func (g *Groups) readSource(ctx context.Context, selected []group, mine func(chunk.Partition) bool) ([]group, error) {
	wanted := make([]kmsg.OffsetFetchRequestGroup, len(selected))
	for i := range selected {
		wanted[i] = kmsg.NewOffsetFetchRequestGroup()
		wanted[i].Group = selected[i].name
	}
	found, err := fetch(ctx, g.source, wanted, false)
	if err != nil {
		return nil, fmt.Errorf("read group positions: %w", g.cfg.Source.Explain(err))
	}
	targets := map[string]string{} // of selected topics; "" for others
	groups := make([]group, 0, len(selected))
	for _, one := range selected {
		got := found.of(one.name)
		if got.err != nil {
			one.failure = &Failure{Group: one.name, Kind: kindOf(got.err),
				Err: unread(g.cfg.Source, "Describe", one.name, got.err)}
		}
		for i := range got.topics {
			topic := &got.topics[i]
			target, known := targets[topic.Topic]
			if !known {
				name, verdict := g.cfg.Policy.Topic(topic.Topic)
				if verdict.Selected {
					target = name
				}
				targets[topic.Topic] = target
			}
			if target != "" {
				one.add(topic, target, mine)
			}
		}
		if len(one.positions) == 0 && one.failure == nil {
			continue
		}
		slices.SortFunc(one.positions, func(a, b Position) int { return a.Partition.Compare(b.Partition) })
		groups = append(groups, one)
	}
	return groups, nil
}

// add takes over what a group has committed in one topic of the source.
func (g *group) add(topic *kmsg.OffsetFetchResponseGroupTopic, target string, mine func(chunk.Partition) bool) {
	for i := range topic.Partitions {
		got := &topic.Partitions[i]
		p := chunk.Partition{Topic: topic.Topic, Number: got.Partition}
		// An error here is a topic that has just been deleted: there is no position then.
		if got.ErrorCode != 0 || got.Offset < 0 || mine != nil && !mine(p) {
			continue
		}
		g.positions = append(g.positions, Position{
			Group: g.name, Partition: p, Source: committed(got), After: -1, group: g.target, topic: target,
		})
	}
}

func committed(p *kmsg.OffsetFetchResponseGroupTopicPartition) Committed {
	c := Committed{Offset: p.Offset}
	if p.Metadata != nil {
		c.Metadata = *p.Metadata
	}
	return c
}

// wanted names a group and its partitions, which are sorted, as the target does.
func (g *group) wanted() kmsg.OffsetFetchRequestGroup {
	request := kmsg.NewOffsetFetchRequestGroup()
	request.Group = g.target
	for i := range g.positions {
		n := len(request.Topics)
		if n == 0 || request.Topics[n-1].Topic != g.positions[i].topic {
			topic := kmsg.NewOffsetFetchRequestGroupTopic()
			topic.Topic = g.positions[i].topic
			request.Topics = append(request.Topics, topic)
			n++
		}
		request.Topics[n-1].Partitions = append(request.Topics[n-1].Partitions, g.positions[i].Partition.Number)
	}
	return request
}
