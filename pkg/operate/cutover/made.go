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
func chosenThere(ctx context.Context, viewer *snapshot.Viewer) ([]string, error) {
	seen, err := kafka.Describe(ctx, viewer.TargetClient, viewer.TargetCluster, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range seen.Topics {
		if source, named := viewer.Policy.SourceTopic(name); named {
			if _, verdict := viewer.Policy.Topic(source); verdict.Selected {
				names = append(names, source)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// findOthers notes the topics of the target that are not part of this cutover.
func (h *mover) findOthers(ctx context.Context) error {
	chosen, err := chosenThere(ctx, h.viewer)
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
	chosen, err := chosenThere(ctx, r.viewer)
	if err != nil {
		return err
	}
	var there []string
	for _, topic := range chosen {
		if !slices.Contains(topics, topic) && !slices.Contains(r.record.Others, topic) {
			name, _ := r.viewer.Policy.Topic(topic)
			r.state.Made, there = append(r.state.Made, topic), append(there, name)
		}
	}
	if len(there) == 0 {
		return nil
	}
	from, err := r.viewer.TargetOffsets.Earliest(ctx, there)
	if err != nil {
		return err
	}
	to, err := r.viewer.TargetOffsets.Stable(ctx, there)
	if err != nil {
		return err
	}
	for p := range to {
		first, err := listoffsets.OffsetOf(from, p)
		if err != nil {
			return r.viewer.TargetCluster.Explain(err)
		}
		end, err := listoffsets.OffsetOf(to, p)
		if err != nil {
			return r.viewer.TargetCluster.Explain(err)
		}
		r.state.Records += end - first
	}
	return nil
}
