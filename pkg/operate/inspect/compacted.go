package inspect

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
)

// Compactions are the topics of either side whose settings let the cleaner take
// single records.
type Compactions struct{ Source, Target map[string]bool }

// CompactedTopics asks for the topics' policies. One that cannot be asked may be compact.
func CompactedTopics(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot) (Compactions, error) {
	var targets []string
	for _, topic := range snap.Topics {
		if target, _ := v.Policy.Topic(topic); snap.Target.Topics[target].Partitions > 0 {
			targets = append(targets, target)
		}
	}
	asking, cancel := snapshot.Bounded(ctx, v)
	defer cancel()
	source, err := compactTopics(asking, v.SourceClient, snap.Topics)
	switch {
	case err != nil && snapshot.Tolerant(v) && ctx.Err() == nil:
		source = map[string]bool{}
		for _, topic := range snap.Topics {
			source[topic] = true
		}
	case err != nil:
		return Compactions{}, v.SourceCluster.Explain(err)
	}
	target, err := compactTopics(ctx, v.TargetClient, targets)
	if err != nil {
		return Compactions{}, v.TargetCluster.Explain(err)
	}
	return Compactions{source, target}, nil
}

func compactTopics(ctx context.Context, client *kgo.Client, topics []string) (map[string]bool, error) {
	cleanups, err := kafka.Cleanups(ctx, client, topics)
	compact := make(map[string]bool, len(cleanups))
	for topic, cleanup := range cleanups {
		compact[topic] = cleanup.Compacts || cleanup.Err != nil
	}
	return compact, err
}
