package replicate

import (
	"context"
	"slices"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/topics"
)

// refresh compares the topics of both clusters and makes the target's what they
// are to be, for those whose first partition this process owns.
func (f *flow) refresh(ctx context.Context) error {
	seen, err := f.watchNeighbours(ctx)
	if err != nil {
		return f.missedLedger(ctx, err)
	}
	return f.compare(ctx, seen)
}

// compare is refresh once the flows of others have been looked at.
func (f *flow) compare(ctx context.Context, seen *neighbourhood) error {
	list, err := f.topics.Refresh(ctx, func(topic string) bool {
		return f.worker(chunk.Partition{Topic: topic}) != nil
	})
	if err != nil {
		return err
	}
	for _, t := range list {
		if _, known := slices.BinarySearch(seen.source.Topics, t.Source); !known { // it was made a moment ago
			if _, err = f.watchNeighbours(ctx); err != nil {
				return err
			}
			break
		}
	}
	f.tell(list)
	if f.topology.replace(list) {
		for _, t := range list {
			f.metrics.bornTopic(f.name, t.Source)
		}
	}
	return nil
}

// tell logs the topics that are stopped as a whole, once, and by one of the
// replicas: the one that owns the first partition.
func (f *flow) tell(list []topics.Mirrored) {
	stopped := make(map[string]string, len(f.told))
	for _, t := range list {
		before := f.told[t.Source]
		switch {
		case f.worker(chunk.Partition{Topic: t.Source}) == nil:
		case t.Stop != nil:
			stopped[t.Source] = t.Stop.Reason
			if t.Stop.Reason != before {
				f.log.Error("topic stopped", "topic", t.Source, "error", topicStop{t.Stop}, "remedy", t.Stop.Remedy())
			}
		case before != "":
			f.log.Info("topic goes on", "topic", t.Source)
		}
	}
	f.told = stopped
}
