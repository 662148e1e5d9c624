package replicate

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// compactions are the topics of either side whose settings let the cleaner take
// single records.
type compactions struct{ source, target map[string]bool }

// compacted asks for the topics' policies. One that cannot be asked may be compact.
func (i *Inspection) compacted(ctx context.Context, p *picture) (compactions, error) {
	var targets []string
	for _, topic := range p.topics {
		if target, _ := i.policy.Topic(topic); p.target.topics[target].partitions > 0 {
			targets = append(targets, target)
		}
	}
	source, err := compactTopics(ctx, i.source, p.topics)
	if err != nil {
		return compactions{}, i.sourceCluster.Explain(err)
	}
	target, err := compactTopics(ctx, i.target, targets)
	if err != nil {
		return compactions{}, i.targetCluster.Explain(err)
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
