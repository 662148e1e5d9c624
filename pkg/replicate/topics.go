package replicate

import (
	"context"
	"slices"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/wait"
)

// topicSync makes the target's topics what they are to be, and keeps the topology.
type topicSync struct {
	flow       *shard.Flow
	workers    *workers
	neighbours *neighbours
	logged     wait.Logged[string] // by topic: the stop that was logged
}

// round compares the topics of both clusters and makes the target's what they
// are to be, for those whose first partition this process owns.
func (s *topicSync) round(ctx context.Context) error {
	seen, err := s.neighbours.meetAndNote(ctx)
	if err != nil {
		return s.flow.ExplainLedger(ctx, err)
	}
	return s.compare(ctx, seen)
}

// compare is round once the flows of others were seen.
func (s *topicSync) compare(ctx context.Context, seen *provenance.Neighbourhood) error {
	list, err := s.flow.Topics.Refresh(ctx, s.owned)
	if err != nil {
		return err
	}
	for _, t := range list {
		if _, known := slices.BinarySearch(seen.Source.Topics, t.Source); !known { // it was made a moment ago
			if _, err = s.neighbours.meetAndNote(ctx); err != nil {
				return err
			}
			break
		}
	}
	s.log(list)
	if s.flow.Topology.Replace(list) {
		if s.flow.SourceWriters != nil { // a cluster that was rebuilt gives ids anew
			s.flow.SourceWriters.Forget()
		}
		for _, t := range list {
			s.flow.Metrics.BornTopic(s.flow.Name, t.Source)
		}
	}
	return nil
}

// owned says whether a topic as a whole is this process's: it owns the first partition.
func (s *topicSync) owned(topic string) bool {
	return s.workers.of(chunk.Partition{Topic: topic}) != nil
}

// log logs the topics that are stopped as a whole, once, and by one of the replicas.
func (s *topicSync) log(list []topics.Mirrored) {
	there := make(map[string]bool, len(list))
	for _, t := range list {
		there[t.Source] = s.owned(t.Source)
	}
	s.logged.Keep(func(topic string) bool { return there[topic] })
	for _, t := range list {
		switch {
		case !there[t.Source]:
		case t.Stop != nil:
			if s.logged.IsNews(t.Source, t.Stop.Reason) {
				s.flow.Log.Error("topic stopped", "topic", t.Source, "error", chunk.TopicStop{Stop: t.Stop}, "remedy",
					t.Stop.Remedy())
			}
		case s.logged.Over(t.Source):
			s.flow.Log.Info("topic goes on", "topic", t.Source)
		}
	}
}
