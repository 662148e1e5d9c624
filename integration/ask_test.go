package integration

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ask makes one administrative question to a cluster.
func ask[T any](bootstrap string, question func(*kadm.Client) (T, error)) (T, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		var none T
		return none, err
	}
	defer client.Close()
	return question(kadm.NewClient(client))
}

// stableOffsets adds up a topic's last stable offsets; a topic that is not there
// has none.
func stableOffsets(ctx context.Context, bootstrap, topic string) (int64, error) {
	return ask(bootstrap, func(admin *kadm.Client) (int64, error) {
		listed, err := admin.ListCommittedOffsets(ctx, topic)
		sum := int64(0)
		listed.Each(func(o kadm.ListedOffset) { sum += max(o.Offset, 0) })
		return sum, err
	})
}

// topicSetting is the value of one topic setting.
func topicSetting(ctx context.Context, bootstrap, topic, key string) (string, error) {
	return ask(bootstrap, func(admin *kadm.Client) (string, error) {
		all, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return "", err
		}
		one, err := all.On(topic, nil)
		if err != nil {
			return "", err
		}
		for _, c := range one.Configs {
			if c.Key == key {
				return c.MaybeValue(), nil
			}
		}
		return "", fmt.Errorf("topic %s has no setting %s", topic, key)
	})
}

// groupOffset is what a group has committed in one partition; -1: nothing.
func groupOffset(ctx context.Context, bootstrap, group, topic string, partition int32) (int64, error) {
	return ask(bootstrap, func(admin *kadm.Client) (int64, error) {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return 0, err
		}
		if o, ok := offsets.Lookup(topic, partition); ok {
			return o.At, nil
		}
		return -1, nil
	})
}
