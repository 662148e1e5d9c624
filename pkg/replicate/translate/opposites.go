package translate

import (
	"context"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
)

// Opposites follows what the flows in the opposite direction say, with which a flow makes pairs. It belongs to one
// goroutine.
type Opposites struct {
	source  kafka.Config
	ends    *listoffsets.Client // of the source
	carrier func(target string) (policy.Flow, bool)
	ledgers map[string]*ledger.Follower
}

// NewOpposites opens nothing yet; carrier tells which flow carries a topic of the target to the source, and ends stays
// the caller's.
func NewOpposites(source kafka.Config, ends *listoffsets.Client,
	carrier func(target string) (policy.Flow, bool)) *Opposites {
	return &Opposites{source: source, ends: ends, carrier: carrier, ledgers: map[string]*ledger.Follower{}}
}

// Close ends the connections.
func (o *Opposites) Close() {
	for _, one := range o.ledgers {
		_ = one.Close()
	}
}

// ReadOn reads what the flows have noted that carry these topics of the target back. Positions of groups on the source
// were read before.
func (o *Opposites) ReadOn(ctx context.Context, targets []string) error {
	read := map[string]bool{}
	for _, target := range targets {
		by, carried := o.carrier(target)
		name := by.LedgerTopic()
		if !carried || read[name] {
			continue
		}
		if o.ledgers[name] == nil {
			one, err := ledger.OpenFollower(o.source, name, o.ends)
			if err != nil {
				return err
			}
			o.ledgers[name] = one
		}
		if err := o.ledgers[name].ReadOn(ctx); err != nil {
			return err
		}
		read[name] = true
	}
	return nil
}

// Of is what is said of a partition of the target, to which the flow copies what its state says; nil: nobody carries it
// back. Of another topic of that name than the flow's, on either side, nothing is said.
func (o *Opposites) Of(target chunk.Partition, key ledger.Key, state *ledger.State) *Opposite {
	by, carried := o.carrier(target.Topic)
	back := o.ledgers[by.LedgerTopic()]
	if !carried || back == nil {
		return nil
	}
	source := key.Topic
	if state.SourceTopic != (chunk.TopicID{}) {
		source = state.SourceTopic
	}
	found, shard := back.State(state.TargetTopic, target)
	if found != nil && found.TargetTopic != source {
		found = nil
	}
	return &Opposite{State: found, Shard: shard, All: by.LeavesOut != policy.WhatFlowsWrote, Read: back.Segment}
}
