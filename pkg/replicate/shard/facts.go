package shard

import (
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/partition"
)

// facts are what is known of a candidate.
func (s *session) facts(c *candidate, m bothMarks, silent bool) partition.Facts {
	p, at := c.partition, chunk.Partition{Topic: c.topic.Target, Number: c.partition.Number}
	facts := partition.Facts{
		Ledger: factsof.Ledger(s.book.Made, c.state), Source: m.Facts(p),
		Target: partition.Target{Topic: c.topic.TargetID, There: !c.waiting, End: factsof.End(m.targetEnds, at),
			Own: c.header.TargetTopic == c.topic.TargetID || s.book.Fills(p, c.topic.TargetID)},
		TopicStopped: c.topic.Stop != nil, Quarantined: c.stop != nil,
	}
	facts.Source.Silent = silent
	_, facts.Doubted = s.doubts[p]
	if below, behind := s.behind[p]; behind && (facts.Target.End == partition.NotTold || below < facts.Target.End) {
		facts.Target.End = below
	}
	return facts
}

// goOver has a candidate go over to its new state, and tells of it where that is news.
func (s *session) goOver(c *candidate) partition.State {
	state := c.becomes()
	switch state {
	case partition.Truncated: // it waits for an order, not for its next try
		s.undecided = true
		delete(s.quarantined, c.partition)
		s.tell(c.stop)
	case partition.Quarantined: // of a topic that is stopped the flow tells, and looks at it again
		if a := s.quarantined[c.partition]; a == nil || a.stop != c.stop {
			s.putAside(c.stop)
		}
	case partition.Copying:
		if s.quarantined[c.partition] == nil { // else it is only tried
			s.goesOn(c.partition)
		}
	}
	return state
}

// becomes is the state that a candidate is settled in.
func (c *candidate) becomes() partition.State {
	switch {
	case c.stop != nil && c.stop.Waits():
		return partition.Truncated
	case c.topic.Stop != nil:
		return partition.TopicStopped
	case c.stop != nil:
		return partition.Quarantined
	case c.waiting:
		return partition.TargetAway
	}
	return partition.Copying
}
