package shard

import (
	"context"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/topics"
)

// refuseForeign stops what would be written to a target topic with foreign records, in
// whichever of its partitions that has its records.
func (a *assigner) refuseForeign(ctx context.Context, list []*candidate) error {
	var fresh []topics.Mirrored
	for _, c := range list {
		if c.first() && (len(fresh) == 0 || fresh[len(fresh)-1].Source != c.topic.Source) {
			fresh = append(fresh, c.topic)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	stops, err := a.flow.TargetTopics.ForeignTopics(ctx, fresh)
	if err != nil {
		return err
	}
	for _, c := range list {
		if stop := stops[c.topic.Target]; stop != nil && c.first() {
			own := *stop
			own.Partition = c.partition
			c.stop = &own
		}
	}
	return nil
}

// first says whether the partition would be copied to that target topic for the first time.
func (c *candidate) first() bool {
	return c.stop == nil && !c.waiting && c.header.TargetTopic != c.topic.TargetID
}

// giveWay finds out, after the commit that says which target topics this flow has taken up, whether
// another flow has done so at the same moment: of two, at least one sees the other, and
// leaves the topic before it writes a record to it.
func (a *assigner) giveWay(ctx context.Context, list []*candidate) error {
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
	taken, err := a.flow.Writers.Taken(ctx, fresh)
	if err != nil || len(taken) == 0 {
		return err
	}
	var leaving []*candidate
	for _, c := range adopted {
		if stop := taken[c.topic.Target]; stop != nil {
			own := *stop
			own.Partition, c.stop, c.state = c.partition, &own, a.book.State(c.key)
			c.header, c.mapCut, c.foreign = c.state.Header, nil, nil
			c.header.TargetTopic, c.header.Floor = chunk.TopicID{}, 0
			leaving = append(leaving, c)
		}
	}
	return a.commitHeaders(ctx, leaving)
}
