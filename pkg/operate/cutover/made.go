package cutover

import (
	"context"
	"slices"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
)

// chosenThere lists, by their names on the source, the topics of the target that the
// flow's rules choose, whether the flow has made them or somebody else.
func chosenThere(ctx context.Context, i *snapshot.Viewer) ([]string, error) {
	seen, err := kafka.Describe(ctx, i.TargetClient, i.TargetCluster, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range seen.Topics {
		if source, named := i.Policy.SourceTopic(name); named {
			if _, verdict := i.Policy.Topic(source); verdict.Selected {
				names = append(names, source)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// findOthers notes the topics of the target that are not part of this cutover.
func (h *mover) findOthers(ctx context.Context) error {
	chosen, err := chosenThere(ctx, h.look)
	if err != nil {
		return err
	}
	h.record.Others = slices.DeleteFunc(chosen, func(topic string) bool {
		return slices.ContainsFunc(h.status.Partitions, func(p inspect.PartitionStatus) bool { return p.Topic == topic })
	})
	return nil
}

// findMade finds the topics that applications have made on the target since the
// cutover, and counts what is in them: the rules of the flow choose them, and they were
// not there then. They are carried back like the cutover's own.
func (r *Rollback) findMade(ctx context.Context, topics []string) error {
	chosen, err := chosenThere(ctx, r.look)
	if err != nil {
		return err
	}
	var there []string
	for _, topic := range chosen {
		if !slices.Contains(topics, topic) && !slices.Contains(r.record.Others, topic) {
			name, _ := r.look.Policy.Topic(topic)
			r.state.Made, there = append(r.state.Made, topic), append(there, name)
		}
	}
	if len(there) == 0 {
		return nil
	}
	from, err := r.look.TargetOffsets.Earliest(ctx, there)
	if err != nil {
		return err
	}
	to, err := r.look.TargetOffsets.Stable(ctx, there)
	if err != nil {
		return err
	}
	for p := range to {
		first, err := listoffsets.OffsetOf(from, p)
		if err != nil {
			return r.look.TargetCluster.Explain(err)
		}
		end, err := listoffsets.OffsetOf(to, p)
		if err != nil {
			return r.look.TargetCluster.Explain(err)
		}
		r.state.Records += end - first
	}
	return nil
}
