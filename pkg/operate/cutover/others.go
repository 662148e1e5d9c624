package cutover

import (
	"context"
	"slices"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
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
