package replicate

import (
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/watermarks"
)

// ledgerFacts are what one ledger partition says of a partition; a nil state: nothing.
func ledgerFacts(made bool, state *ledger.State) partition.Ledger {
	facts := partition.Ledger{Made: made}
	if state == nil || state.Start == ledger.NotStarted {
		return facts
	}
	facts.Started, facts.Progress, facts.Epoch = true, state.Progress, state.Epoch
	facts.Topic = state.TargetTopic
	if last, mapped := state.Map.Last(); mapped {
		facts.End = last.TargetEnd()
	}
	if cut := state.Cuts.Open(); cut != nil {
		facts.Cut, facts.CutAt = true, cut.At
	}
	return facts
}

// facts are what is known of a candidate.
func (s *session) facts(c *candidate, m bothMarks, silent bool) partition.Facts {
	p, at := c.partition, chunk.Partition{Topic: c.topic.Target, Number: c.partition.Number}
	facts := partition.Facts{
		Ledger: ledgerFacts(s.book.Made, c.state), Source: m.facts(p),
		Target: partition.Target{Topic: c.topic.TargetID, There: !c.waiting, End: endFact(m.targetEnds, at),
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
		delete(s.aside, c.partition)
		s.tell(c.stop)
	case partition.Quarantined: // of a topic that is stopped the flow tells, and looks at it again
		if a := s.aside[c.partition]; a == nil || a.stop != c.stop {
			s.putAside(c.stop)
		}
	case partition.Copying:
		if s.aside[c.partition] == nil { // else it is only tried
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

// sourceMarks is what the source says of its logs: where they begin and end, where `start` has partitions begin, and
// where the epochs of their progress end.
type sourceMarks struct{ earliest, end, start, epochs watermarks.Marks }

// facts are those of one partition.
func (m sourceMarks) facts(p chunk.Partition) partition.Source {
	facts := partition.Source{
		First: offsets.Source(m.earliest[p].Offset), End: offsets.Source(m.end[p].Offset), EpochEnd: partition.NotTold,
	}
	if mark, told := m.start[p]; told && mark.Err == nil {
		facts.Begin = offsets.Source(mark.Offset)
	}
	if mark, told := m.epochs[p]; told && mark.Err == nil && mark.Offset >= 0 {
		facts.EpochEnd = offsets.Source(mark.Offset)
	}
	return facts
}

// endFact is where a log of the target ends, as far as that is told.
func endFact(marks watermarks.Marks, at chunk.Partition) offsets.Target {
	if end, told := markOf(marks, at); told {
		return end
	}
	return partition.NotTold
}
