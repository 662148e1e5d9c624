package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configsAtOnce is how many topics one request asks for.
const configsAtOnce = 500

// TopicConfigs asks for configs of topics by their keys, nil: all that there are, and hands each topic's answer on. A
// topic has an error of its own in its answer, where kadm would give up at the first that may not be asked about; the
// error of TopicConfigs means that the cluster could not be asked, and is not explained.
func TopicConfigs(ctx context.Context, client *kgo.Client, topics, keys []string,
	each func(*kmsg.DescribeConfigsResponseResource)) error {
	for names := range slices.Chunk(topics, configsAtOnce) {
		request := kmsg.NewPtrDescribeConfigsRequest()
		for _, name := range names {
			resource := kmsg.NewDescribeConfigsRequestResource()
			resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
			resource.ConfigNames = keys
			request.Resources = append(request.Resources, resource)
		}
		response, err := request.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		for i := range response.Resources {
			each(&response.Resources[i])
		}
	}
	return nil
}
