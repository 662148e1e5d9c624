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

// Cleanups asks for the cleanup.policy of topics. One that the cluster does not name is missing; the error means that
// it could not be asked.
func Cleanups(ctx context.Context, client *kgo.Client, topics []string) (map[string]Cleanup, error) {
	cleanups := make(map[string]Cleanup, len(topics))
	err := TopicConfigs(ctx, client, topics, []string{"cleanup.policy"}, func(r *kmsg.DescribeConfigsResponseResource) {
		one := Cleanup{Err: kerr.ErrorForCode(r.ErrorCode)}
		for _, config := range r.Configs {
			if config.Name == "cleanup.policy" && config.Value != nil {
				words := strings.Split(*config.Value, ",")
				for i := range words {
					words[i] = strings.TrimSpace(words[i])
				}
				one.Compacts, one.Deletes = slices.Contains(words, "compact"), slices.Contains(words, "delete")
			}
		}
		cleanups[r.ResourceName] = one
	})
	if err != nil {
		return nil, err
	}
	return cleanups, nil
}
