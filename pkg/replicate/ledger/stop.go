package ledger

import (
	"fmt"

	"replicator/pkg/replicate/chunk"
)

// SideOf is whose log was cut, for programs.
func SideOf(cut *Cut) string {
	if cut.Target {
		return "target"
	}
	return "source"
}

// CutStop is why a partition waits for an operator.
func CutStop(p chunk.Partition, cut *Cut) *chunk.Stop {
	if cut.Target {
		return &chunk.Stop{
			Partition: p, Kind: chunk.StopTargetTruncated,
			Reason: fmt.Sprintf("the target's log was cut: of what was copied up to source offset %d it does not hold any "+
				"more what stood from %d on, up to %d records, and nothing is copied behind that", cut.Copied, cut.At,
				int64(cut.Copied-cut.At)),
			Fix: fmt.Sprintf("find out who put the target back, or whether a replica without the newest records became "+
				"leader; then 'replicator resume %s --from-cut' copies them again, or '--from-end' gives them up; --dry-run "+
				"counts", p),
		}
	}
	return &chunk.Stop{
		Partition: p, Kind: chunk.StopSourceTruncated,
		Reason: fmt.Sprintf("the source's log was cut at offset %d, but records up to %d were copied: up to %d records are "+
			"on the target alone, and what the source holds from %d on is not copied", cut.At, cut.Copied,
			int64(cut.Copied-cut.At), cut.At),
		Fix: fmt.Sprintf("find out who put the source back; then 'replicator resume %s --from-cut' copies what it holds "+
			"from offset %d on, behind what it has lost, or '--from-end' gives that up; --dry-run counts", p, cut.At),
	}
}

// ResumeFix is what a cut waits for.
const ResumeFix = "'replicator resume --dry-run' tells what either way gives up"

// StopOf is a Stop as the ledger keeps it.
func StopOf(p chunk.Partition, kept *Stop) *chunk.Stop {
	return &chunk.Stop{Partition: p, Kind: kept.Kind, Reason: kept.Reason, Fix: kept.Fix}
}
