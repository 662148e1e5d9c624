package shard

import (
	"context"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/topics"
)

// giveWay looks, once it is committed which target topics this flow has taken up, whether
// another flow has done so at the same moment: of two, at least one sees the other, and
// leaves the topic before it writes a record to it.
func (s *session) giveWay(ctx context.Context, list []*candidate) error {
	var fresh []topics.Mirrored
	var adopted []*candidate
	for _, c := range list {
		before := chunk.TopicID{}
		if c.state != nil {
			before = c.state.TargetTopic
		}
		if c.stop != nil || c.waiting || c.header.TargetTopic == before {
			continue
		}
		adopted = append(adopted, c)
		if len(fresh) == 0 || fresh[len(fresh)-1].Source != c.topic.Source {
			fresh = append(fresh, c.topic)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	taken, err := s.flow.Writers.Taken(ctx, fresh)
	if err != nil || len(taken) == 0 {
		return err
	}
	var leaving []*candidate
	for _, c := range adopted {
		if stop := taken[c.topic.Target]; stop != nil {
			own := *stop
			own.Partition, c.stop, c.state = c.partition, &own, s.book.State(c.key)
			c.header, c.cut, c.foreign = c.state.Header, nil, nil
			c.header.TargetTopic, c.header.Floor = chunk.TopicID{}, 0
			leaving = append(leaving, c)
		}
	}
	return s.commitHeaders(ctx, leaving)
}
