package factsof

import (
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
)

// Ledger is what one ledger partition says of a partition; a nil state: nothing.
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

// SourceOffsets is what the source says of its logs: where they begin and end, where `start` has partitions begin, and
// where the epochs of their progress end.
type SourceOffsets struct{ Earliest, End, Start, Epochs listoffsets.Offsets }

// Facts are those of one partition.
func (o SourceOffsets) Facts(p chunk.Partition) partition.Source {
	facts := partition.Source{
		First: offsets.Source(o.Earliest[p].Offset), End: offsets.Source(o.End[p].Offset), EpochEnd: partition.UnknownOffset,
	}
	if at, known := o.Start[p]; known && at.Err == nil {
		facts.Begin = offsets.Source(at.Offset)
	}
	if at, known := o.Epochs[p]; known && at.Err == nil && at.Offset >= 0 {
		facts.EpochEnd = offsets.Source(at.Offset)
	}
	return facts
}

// End is where a log of the target ends, as far as that is known.
func End(ends listoffsets.Offsets, p chunk.Partition) offsets.Target {
	if end, known := listoffsets.TargetOf(ends, p); known {
		return end
	}
	return partition.UnknownOffset
}
