package factsof

import (
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
)

// ledgerFacts are what one ledger partition says of a partition; a nil state: nothing.
func Ledger(made bool, state *ledger.State) partition.Ledger {
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

// sourceMarks is what the source says of its logs: where they begin and end, where `start` has partitions begin, and
// where the epochs of their progress end.
type SourceMarks struct{ Earliest, End, Start, Epochs listoffsets.Offsets }

// facts are those of one partition.
func (m SourceMarks) Facts(p chunk.Partition) partition.Source {
	facts := partition.Source{
		First: offsets.Source(m.Earliest[p].Offset), End: offsets.Source(m.End[p].Offset), EpochEnd: partition.NotTold,
	}
	if mark, told := m.Start[p]; told && mark.Err == nil {
		facts.Begin = offsets.Source(mark.Offset)
	}
	if mark, told := m.Epochs[p]; told && mark.Err == nil && mark.Offset >= 0 {
		facts.EpochEnd = offsets.Source(mark.Offset)
	}
	return facts
}

// endFact is where a log of the target ends, as far as that is told.
func End(marks listoffsets.Offsets, at chunk.Partition) offsets.Target {
	if end, told := listoffsets.TargetOf(marks, at); told {
		return end
	}
	return partition.NotTold
}
