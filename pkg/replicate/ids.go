package replicate

import (
	"context"
	"fmt"

	"replicator/pkg/replicate/chunk"
)

// NoTopicIDsError reports a target that gives its topics no ids (KIP-516). By them a
// topic is told from another one that was made later under its name, which else would
// be taken for the copy: so nothing is copied there.
type NoTopicIDsError struct {
	Cluster string // its name
	Topic   string // one without an id; "": none is there yet
	Back    bool   // the cluster is to become a target, by a rollback
}

func (e *NoTopicIDsError) Error() string {
	what := "nothing can be copied to it"
	if e.Back {
		what = "nothing can be carried back to it"
	}
	seen := "by what its brokers say"
	if e.Topic != "" {
		seen = fmt.Sprintf("as %q", e.Topic)
	}
	return fmt.Sprintf("cluster %s gives its topics no ids, %s: %s", e.Cluster, seen, what)
}

// Remedy tells what to do.
func (e *NoTopicIDsError) Remedy() string {
	return fmt.Sprintf("brokers give ids from Kafka 2.8 on, with inter.broker.protocol.version 2.8 or later: finish the "+
		"upgrade of cluster %s, and its topics get theirs; as a source it can be used as it is", e.Cluster)
}

// withoutID is a topic that a cluster describes without an id; "": there is none.
func (c *seenCluster) withoutID() string {
	for name, t := range c.topics {
		if t.err == nil && t.partitions > 0 && t.id == (chunk.TopicID{}) {
			return name
		}
	}
	return ""
}

// targetHasIDs refuses a target whose topics have no ids. Where no topic shows, nothing
// is known.
func (f *flow) targetHasIDs(ctx context.Context) error {
	topic, found, err := f.targetMarks.WithoutID(ctx)
	if err == nil && found {
		err = &NoTopicIDsError{Cluster: f.cfg.To, Topic: topic}
	}
	return err
}

// lookForIDs notes what follows for the flow from a cluster without topic ids.
func (i *Inspection) lookForIDs(ctx context.Context, p *picture) error {
	seen := p.target
	if len(seen.topics) == 0 { // those that are copied to are not there yet
		var err error
		if seen, err = describe(ctx, i.target, i.targetCluster, nil); err != nil {
			return err
		}
	}
	without := false
	if len(seen.topics) == 0 {
		var err error
		if without, err = i.targetCluster.WithoutIDs(ctx, i.target); err != nil {
			return err
		}
	}
	if topic := seen.withoutID(); topic != "" || without {
		p.problems = append(p.problems, &lasting{&NoTopicIDsError{Cluster: i.cfg.To, Topic: topic}})
	}
	return nil
}
