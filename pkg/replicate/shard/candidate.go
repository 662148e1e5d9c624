package shard

import (
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/topics"
)

// candidate is a partition of the shard whose assignment is being decided.
type candidate struct {
	partition chunk.Partition
	topic     topics.Mirrored
	key       ledger.Key
	state     *ledger.State // nil: nothing is known of it yet
	header    ledger.Header // what it is to be
	stop      *chunk.Stop
	until     *chunk.Stop // copy what stands before its record
	waiting   bool        // its target partition is not there yet

	earliest offsets.Source    // where the source's log begins; with a state that is asked for a cut
	noted    *ledger.Cut       // of either side, seen now
	mapCut   *ledger.MapCut    // the order about a cut is carried out
	foreign  []offsets.Stretch // found by that
}

// becomes is the state that was decided for a candidate.
func (c *candidate) becomes() partition.State {
	switch {
	case c.stop != nil && c.stop.Waits():
		return partition.Truncated
	case c.topic.Stop != nil:
		return partition.TopicStopped
	case c.stop != nil && c.stop.Kind == chunk.StopPaused:
		return partition.Paused
	case c.stop != nil:
		return partition.Quarantined
	case c.waiting:
		return partition.TargetAway
	}
	return partition.Copying
}

// keepStop is what the ledger says of a candidate's Stop; one that lasts keeps
// the time at which it began. Of a pause the ledger has the word itself.
func keepStop(c *candidate) *ledger.Stop {
	if c.stop == nil || c.stop.Kind == chunk.StopPaused {
		return nil
	}
	stop := &ledger.Stop{Kind: c.stop.Kind, Reason: c.stop.Reason, Fix: c.stop.Fix}
	stop.Since = time.UnixMilli(time.Now().UnixMilli())
	if c.state != nil && c.state.Stop != nil && c.state.Stop.Kind == stop.Kind {
		stop.Since = c.state.Stop.Since
	}
	return stop
}
