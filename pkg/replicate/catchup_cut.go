package replicate

import (
	"context"
	"slices"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// cutUnseen says whether the source was cut before some partition's progress, which
// its owner has not noted.
func (c *catchUp) cutUnseen(ctx context.Context, progress map[chunk.Partition]ledger.Header) (bool, error) {
	if len(progress) == 0 {
		return false, nil
	}
	var names []string
	var at []chunk.Position
	for p, h := range progress {
		names = append(names, p.Topic)
		at = append(at, chunk.Position{Partition: p, Offset: h.Progress, Epoch: h.Epoch})
	}
	slices.Sort(names)
	ends, err := c.flow.SourceOffsets.Ends(ctx, slices.Compact(names))
	if err != nil {
		return false, err
	}
	epochs, err := c.flow.SourceOffsets.EpochEnds(ctx, at)
	if err != nil {
		return false, err
	}
	for p, h := range progress {
		if end, reported := ends[p]; !reported || end.Err != nil {
			return true, nil
		}
		says := factsof.SourceOffsets{End: ends, Epochs: epochs}.Facts(p)
		if says.Holds(partition.Ledger{Progress: h.Progress, Epoch: h.Epoch}) < h.Progress {
			return true, nil
		}
	}
	return false, nil
}
