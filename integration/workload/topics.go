package workload

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

const forever = "9223372036854775807"

// ServerConfig is what a cluster needs in its server properties for [Compacted]:
// by default the cleaner looks for work only every 15 s.
var ServerConfig = map[string]string{
	"log.cleaner.enable":     "true",
	"log.cleaner.backoff.ms": "100",
}

// KeepConfigs keeps everything: for topics with old or strange timestamps, which
// a default retention would delete and a default broker would refuse.
func KeepConfigs() map[string]string {
	return map[string]string{
		"retention.ms":                    "-1",
		"message.timestamp.before.max.ms": forever,
		"message.timestamp.after.max.ms":  forever,
	}
}

// CompactedConfigs makes the cleaner work at once on everything but the active
// segment. The records that [Compacted] writes are dated so that every round
// begins a segment of its own.
func CompactedConfigs() map[string]string {
	return map[string]string{
		"cleanup.policy":            "compact",
		"segment.ms":                "30000",
		"min.cleanable.dirty.ratio": "0.01",
		"min.compaction.lag.ms":     "0",
		"delete.retention.ms":       "100",

		"message.timestamp.after.max.ms": forever,
	}
}

// Topics creates topics with as many replicas as the cluster gives them by itself
// and waits until each partition has a leader. A topic that exists already is an error.
func Topics(
	ctx context.Context, bootstrap string, partitions int32, configs map[string]string, names ...string,
) error {
	client, err := newClient(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	values := make(map[string]*string, len(configs))
	for key, value := range configs {
		values[key] = kadm.StringPtr(value)
	}
	create := func() error {
		created, err := admin.CreateTopics(ctx, partitions, -1, values, names...)
		if err == nil {
			err = created.Error()
		}
		return err
	}
	err = create()
	if errors.Is(err, kerr.InvalidConfig) { // brokers before 3.6 have one limit of timestamps, which is none by default
		delete(values, "message.timestamp.before.max.ms")
		delete(values, "message.timestamp.after.max.ms")
		err = create()
	}
	if err != nil {
		return fmt.Errorf("create topics %v: %w", names, err)
	}
	return poll(ctx, func() (bool, error) {
		ends, err := admin.ListEndOffsets(ctx, names...)
		if err != nil {
			return false, fmt.Errorf("wait for topics %v: %w", names, err)
		}
		led := 0
		ends.Each(func(o kadm.ListedOffset) {
			if o.Err == nil && o.Partition >= 0 {
				led++
			}
		})
		return led == int(partitions)*len(names), nil
	})
}

// Grow raises the number of partitions of a topic.
func Grow(ctx context.Context, bootstrap, topic string, partitions int) error {
	client, err := newClient(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := kadm.NewClient(client).UpdatePartitions(ctx, partitions, topic)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		return fmt.Errorf("grow %s to %d partitions: %w", topic, partitions, err)
	}
	return nil
}

// Alter sets configs of a topic and leaves its others as they are.
func Alter(ctx context.Context, bootstrap, topic string, configs map[string]string) error {
	client, err := newClient(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	var changes []kadm.AlterConfig
	for key, value := range configs {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr(value)})
	}
	answers, err := kadm.NewClient(client).AlterTopicConfigs(ctx, changes, topic)
	if err == nil {
		_, err = answers.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		return fmt.Errorf("alter configs of %s: %w", topic, err)
	}
	return nil
}
