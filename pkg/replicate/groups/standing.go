package groups

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
)

// Standing is where a group stands on the target, as the target alone tells.
type Standing struct {
	Group     string // on the source
	Target    string // its name on the target
	Members   int    // active on the target
	Positions []Stand
	Err       error // why its positions could not be read
}

// Stand is one position of a group on the target.
type Stand struct {
	Partition chunk.Partition // by its name on the source
	Target    chunk.Partition
	Committed Committed
	Mark      *Mark // what the flow wrote; nil: a consumer on the target committed the position
}

// Standing lists the groups of the target that would follow if the source had them, by name, with their positions in
// the topics of the flow. The source is not asked.
func (g *Groups) Standing(ctx context.Context) ([]Standing, error) {
	listed, err := kadm.NewClient(g.target.client).ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", g.cfg.Target.Explain(err))
	}
	var list []Standing
	var wanted []kmsg.OffsetFetchRequestGroup
	var names []string
	for _, name := range listed.Groups() {
		source, v := g.cfg.Policy.SourceGroup(name)
		if kind := listed[name].ProtocolType; !v.Selected || kind != "" && kind != "consumer" && kind != "streams" {
			continue
		}
		list = append(list, Standing{Group: source, Target: name})
		one := kmsg.NewOffsetFetchRequestGroup()
		one.Group = name
		wanted, names = append(wanted, one), append(names, name)
	}
	found, err := fetch(ctx, g.target.client, wanted, false)
	if err != nil {
		return nil, fmt.Errorf("read group positions: %w", g.cfg.Target.Explain(err))
	}
	seen, err := present(ctx, g.target.client, g.cfg.Target, names)
	if err != nil {
		return nil, err
	}
	for i := range list {
		one, got := &list[i], found.of(list[i].Target)
		one.Members = seen[one.Target].Members
		if got.err != nil {
			one.Err = g.target.unread(one.Target, got.err)
		}
		for _, topic := range got.topics {
			g.stands(one, &topic)
		}
		slices.SortFunc(one.Positions, func(a, b Stand) int { return a.Partition.Compare(b.Partition) })
	}
	return slices.DeleteFunc(list, func(s Standing) bool { return s.Err == nil && len(s.Positions) == 0 }), nil
}

// stands adds a group's positions in one topic, if the flow copies it.
func (g *Groups) stands(one *Standing, topic *kmsg.OffsetFetchResponseGroupTopic) {
	source, named := g.cfg.Policy.SourceTopic(topic.Topic)
	if !named {
		return
	}
	if _, v := g.cfg.Policy.Topic(source); !v.Selected {
		return
	}
	for i := range topic.Partitions {
		p := &topic.Partitions[i]
		if kerr.ErrorForCode(p.ErrorCode) != nil || p.Offset < 0 {
			continue
		}
		at := Stand{Partition: chunk.Partition{Topic: source, Number: p.Partition},
			Target: chunk.Partition{Topic: topic.Topic, Number: p.Partition}, Committed: g.target.own(committed(p))}
		if Ours(g.cfg.Flow, at.Committed) {
			mark, _ := ParseMark(at.Committed.Metadata)
			at.Mark = &mark
		}
		one.Positions = append(one.Positions, at)
	}
}
