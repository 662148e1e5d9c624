package cutover

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/lastcopied"
)

// findPutBack names the partitions of which one log has lost its end since the cutover: by its end, or, where it has
// grown again, by the record that was copied last. What applications wrote behind that cannot be counted.
func (a *assessment) findPutBack(ctx context.Context, snap *snapshot.Snapshot,
	views map[chunk.Partition]*snapshot.PartitionView) error {
	var places []lastcopied.Record
	for _, view := range views {
		if last, mapped := lastRun(view); mapped && view.Cut == nil {
			places = append(places, lastcopied.Record{
				Source: view.Source, SourceID: snap.Source.Topics[view.Source.Topic].ID, From: last.SourceEnd() - 1,
				Target: view.Target, TargetID: view.State.TargetTopic, To: last.TargetEnd() - 1,
			})
		}
	}
	both, err := lastcopied.Open(a.o.Clusters[a.o.Flow.From], a.o.Clusters[a.o.Flow.To])
	if err != nil {
		return err
	}
	defer both.Close()
	found, err := both.Compare(ctx, places)
	if err != nil {
		return err
	}
	for _, p := range slices.SortedFunc(maps.Keys(views), chunk.Partition.Compare) {
		what := ""
		switch view := views[p]; {
		case view.Cut != nil && view.Cut.Target:
			what = fmt.Sprintf("%s has lost what was copied to it from source offset %d on, and what was written there since "+
				"the cutover", a.o.Flow.To, view.Cut.At)
		case view.Cut != nil:
			what = fmt.Sprintf("%s has lost up to %d records that were copied, from offset %d on, which are not brought back",
				a.o.Flow.From, int64(view.Cut.Copied-view.Cut.At), view.Cut.At)
		case found[p] == lastcopied.Differs:
			what = fmt.Sprintf("the record that was copied last is another one on %s and %s by now: one of them was put back, "+
				"and what was written there before is lost", a.o.Flow.From, a.o.Flow.To)
		default:
			continue
		}
		a.putBack = true
		a.state.GivenUp = append(a.state.GivenUp, fmt.Sprintf("%s: %s", p, what))
	}
	return nil
}

// lastRun is the end of a partition's map that is about the target topic which is there.
func lastRun(view *snapshot.PartitionView) (offsets.Run, bool) {
	if !view.Started() || !view.TargetSame || view.Unknown != nil || view.Blocked != "" {
		return offsets.Run{}, false
	}
	return view.State.Map.Last()
}
