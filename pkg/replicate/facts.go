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
