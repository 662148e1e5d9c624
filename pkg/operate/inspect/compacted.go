package inspect

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/operate/snapshot"
)

// compactions are the topics of either side whose settings let the cleaner take
// single records.
type compactions struct{ Source, Target map[string]bool }

// CompactedTopics asks for the topics' policies. One that cannot be asked may be compact.
func CompactedTopics(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot) (compactions, error) {
	var targets []string
	for _, topic := range snap.Topics {
		if target, _ := v.Policy.Topic(topic); snap.Target.Topics[target].Partitions > 0 {
			targets = append(targets, target)
		}
	}
	source, err := compactTopics(ctx, v.SourceClient, snap.Topics)
	if err != nil {
		return compactions{}, v.SourceCluster.Explain(err)
	}
	target, err := compactTopics(ctx, v.TargetClient, targets)
	if err != nil {
		return compactions{}, v.TargetCluster.Explain(err)
	}
	return compactions{source, target}, nil
}

func compactTopics(ctx context.Context, client *kgo.Client, topics []string) (map[string]bool, error) {
	compact := map[string]bool{}
	request := kmsg.NewPtrDescribeConfigsRequest() // kadm gives up at the first topic that may not be asked about
	for _, name := range topics {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
		resource.ConfigNames = []string{"cleanup.policy"}
		request.Resources = append(request.Resources, resource)
	}
	if len(topics) == 0 {
		return compact, nil
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	for _, answer := range response.Resources {
		compact[answer.ResourceName] = answer.ErrorCode != 0
		for _, setting := range answer.Configs {
			if setting.Value != nil && strings.Contains(*setting.Value, "compact") {
				compact[answer.ResourceName] = true
			}
		}
	}
	return compact, nil
}
