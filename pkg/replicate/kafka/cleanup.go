package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Cleanup is what a topic's cleanup.policy has the cluster do with records.
type Cleanup struct {
	Compacts bool  // it removes those that a later one with the same key follows
	Deletes  bool  // it removes old ones
	Err      error // it does not tell of this topic; the rest is false then
}

// cleanupsAtOnce is how many topics one request asks for.
const cleanupsAtOnce = 500

// Cleanups asks for the cleanup.policy of topics. One that the cluster does not name is missing; the error means that
// it could not be asked.
func Cleanups(ctx context.Context, client *kgo.Client, topics []string) (map[string]Cleanup, error) {
	cleanups := make(map[string]Cleanup, len(topics))
	for names := range slices.Chunk(topics, cleanupsAtOnce) {
		request := kmsg.NewPtrDescribeConfigsRequest() // kadm gives up at the first topic that may not be asked about
		for _, name := range names {
			resource := kmsg.NewDescribeConfigsRequestResource()
			resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
			resource.ConfigNames = []string{"cleanup.policy"}
			request.Resources = append(request.Resources, resource)
		}
		response, err := request.RequestWith(ctx, client)
		if err != nil {
			return nil, err
		}
		for _, resource := range response.Resources {
			one := Cleanup{Err: kerr.ErrorForCode(resource.ErrorCode)}
			for _, config := range resource.Configs {
				if config.Name == "cleanup.policy" && config.Value != nil {
					words := strings.Split(*config.Value, ",")
					for i := range words {
						words[i] = strings.TrimSpace(words[i])
					}
					one.Compacts, one.Deletes = slices.Contains(words, "compact"), slices.Contains(words, "delete")
				}
			}
			cleanups[resource.ResourceName] = one
		}
	}
	return cleanups, nil
}
