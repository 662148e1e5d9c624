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
	for _, s := range views {
		if last, mapped := lastRun(s); mapped && s.Cut == nil {
			places = append(places, lastcopied.Record{
				Source: s.Source, SourceID: snap.Source.Topics[s.Source.Topic].Id, From: last.SourceEnd() - 1,
				Target: s.Target, TargetID: s.State.TargetTopic, To: last.TargetEnd() - 1,
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
		switch s := views[p]; {
		case s.Cut != nil && s.Cut.Target:
			what = fmt.Sprintf("%s has lost what was copied to it from source offset %d on, and what was written there since "+
				"the cutover", a.o.Flow.To, s.Cut.At)
		case s.Cut != nil:
			what = fmt.Sprintf("%s has lost up to %d records that were copied, from offset %d on, which are not brought back",
				a.o.Flow.From, int64(s.Cut.Copied-s.Cut.At), s.Cut.At)
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
func lastRun(s *snapshot.PartitionView) (offsets.Run, bool) {
	if !s.Started() || !s.TargetSame || s.Unknown != nil || s.Blocked != "" {
		return offsets.Run{}, false
	}
	return s.State.Map.Last()
}
