package replicate

import (
	"context"
	"slices"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/shard"
)

// progressNow tells of the partitions that this process copies, and how far they are.
func (f *flow) progressNow() map[chunk.Partition]shard.PublishedRoute {
	progress := map[chunk.Partition]shard.PublishedRoute{}
	for _, w := range f.ownWorkers() {
		for p, r := range w.Published.Routes() {
			if r.State == partition.Copying {
				progress[p] = r
			}
		}
	}
	return progress
}

// alarm tells workers of partitions whose log ends before their progress: a reader may
// wait there without a word, until the log has grown beyond it.
func (f *flow) alarm(progress map[chunk.Partition]shard.PublishedRoute, stable listoffsets.Offsets) {
	for p, r := range progress {
		mark, known := stable[p]
		if w := f.worker(p); w != nil && known && mark.Err == nil && offsets.Source(mark.Offset) < r.Next {
			w.Alarm(p, r, offsets.Source(mark.Offset))
		}
	}
}

// cutUnseen says whether the source was cut before some partition's progress, which
// its owner has not noted.
func (f *flow) cutUnseen(ctx context.Context, progress map[chunk.Partition]ledger.Header) (bool, error) {
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
	ends, err := f.SourceOffsets.Ends(ctx, slices.Compact(names))
	if err != nil {
		return false, err
	}
	epochs, err := f.SourceOffsets.EpochEnds(ctx, at)
	if err != nil {
		return false, err
	}
	for p, h := range progress {
		if mark, told := ends[p]; !told || mark.Err != nil {
			return true, nil
		}
		says := factsof.SourceMarks{End: ends, Epochs: epochs}.Facts(p)
		if says.Holds(partition.Ledger{Progress: h.Progress, Epoch: h.Epoch}) < h.Progress {
			return true, nil
		}
	}
	return false, nil
}
