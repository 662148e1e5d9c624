package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ask makes one administrative question to a cluster.
func ask[T any](bootstrap string, question func(*kadm.Client) (T, error)) (T, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.AlwaysRetryEOF())
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

// grant adds an entry to the cluster's list of rights, and waits until it holds.
func grant(ctx context.Context, t *testing.T, bootstrap string, entry *kadm.ACLBuilder) {
	t.Helper()
	_, err := ask(bootstrap, func(admin *kadm.Client) (kadm.CreateACLsResults, error) {
		made, err := admin.CreateACLs(ctx, entry)
		for _, one := range made {
			if err == nil {
				err = one.Err
			}
		}
		return made, err
	})
	must(t, err)
	listed(ctx, t, bootstrap, entry, true)
}

// revoke takes an entry that is there away, and waits until it does not hold any more.
func revoke(ctx context.Context, t *testing.T, bootstrap string, entry *kadm.ACLBuilder) {
	t.Helper()
	_, err := ask(bootstrap, func(admin *kadm.Client) (kadm.DeleteACLsResults, error) {
		deleted, err := admin.DeleteACLs(ctx, entry)
		if err == nil && (len(deleted) != 1 || len(deleted[0].Deleted) != 1) {
			err = fmt.Errorf("%+v is deleted, want one entry", deleted)
		}
		return deleted, err
	})
	must(t, err)
	listed(ctx, t, bootstrap, entry, false)
}

// listed waits until a broker lists what an entry says, or nothing of it: the
// controller has acknowledged a change before the brokers heed it.
func listed(ctx context.Context, t *testing.T, bootstrap string, entry *kadm.ACLBuilder, want bool) {
	t.Helper()
	eventually(t, time.Minute, "the broker heeds the rights", func() bool {
		results, err := ask(bootstrap, func(admin *kadm.Client) (kadm.DescribeACLsResults, error) {
			return admin.DescribeACLs(ctx, entry)
		})
		must(t, err)
		for _, one := range results {
			must(t, one.Err)
			if (len(one.Described) > 0) != want {
				return false
			}
		}
		return true
	})
}
