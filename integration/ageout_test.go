package integration

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deleteBeforeFirst deletes on the source what is older than the target's first
// record of each partition.
func deleteBeforeFirst(ctx context.Context, source, target, topic string) error {
	old, err := admin(source)
	if err != nil {
		return err
	}
	defer old.Close()
	fresh, err := admin(target)
	if err != nil {
		return err
	}
	defer fresh.Close()
	firsts, err := fresh.ListOffsetsAfterMilli(ctx, 0, topic)
	if err != nil {
		return err
	}
	var offsets kadm.Offsets
	for _, first := range firsts[topic] {
		at, err := old.ListOffsetsAfterMilli(ctx, first.Timestamp, topic)
		if err != nil {
			return err
		}
		offset, _ := at.Lookup(topic, first.Partition)
		offsets.AddOffset(topic, first.Partition, offset.Offset, -1)
	}
	deleted, err := old.DeleteRecords(ctx, offsets)
	if err == nil {
		err = deleted.Error()
	}
	return err
}

func admin(bootstrap string) (*kadm.Client, error) {
	return kadm.NewOptClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...))
}
