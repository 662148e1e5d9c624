package replicate

import (
	"context"
	"slices"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/topics"
)

// refresh compares the topics of both clusters and makes the target's what they
// are to be, for those whose first partition this process owns.
func (f *flow) refresh(ctx context.Context) error {
	seen, err := f.watchNeighbours(ctx)
	if err != nil {
		return f.ExplainLedger(ctx, err)
	}
	return f.compare(ctx, seen)
}

// compare is refresh once the flows of others have been looked at.
func (f *flow) compare(ctx context.Context, seen *provenance.Neighbourhood) error {
	list, err := f.Topics.Refresh(ctx, func(topic string) bool {
		return f.worker(chunk.Partition{Topic: topic}) != nil
	})
	if err != nil {
		return err
	}
	for _, t := range list {
		if _, known := slices.BinarySearch(seen.Source.Topics, t.Source); !known { // it was made a moment ago
			if _, err = f.watchNeighbours(ctx); err != nil {
				return err
			}
			break
		}
	}
	f.tell(list)
	if f.Topology.Replace(list) {
		for _, t := range list {
			f.Metrics.BornTopic(f.Name, t.Source)
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
				f.Log.Error("topic stopped", "topic", t.Source, "error", chunk.TopicStop{Stop: t.Stop}, "remedy", t.Stop.Remedy())
			}
		case before != "":
			f.Log.Info("topic goes on", "topic", t.Source)
		}
	}
	f.told = stopped
}
