package replicate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// findPutBack names the partitions of which one log has lost its end since the cutover: by its end, or, where it has
// grown again, by the record that was copied last. What applications wrote behind that cannot be counted.
func (r *Rollback) findPutBack(ctx context.Context, seen *picture, spots map[chunk.Partition]*spot) error {
	var places []copiedPlace
	for _, s := range spots {
		if last, mapped := lastRun(s); mapped && s.cut == nil {
			places = append(places, copiedPlace{
				source: s.partition, sourceID: seen.source.topics[s.partition.Topic].id, from: last.SourceEnd() - 1,
				target: s.at, targetID: s.state.TargetTopic, to: last.TargetEnd() - 1,
			})
		}
	}
	both, err := openBoth(r.o.Clusters[r.o.Flow.From], r.o.Clusters[r.o.Flow.To])
	if err != nil {
		return err
	}
	defer both.close()
	found, err := both.compare(ctx, places)
	if err != nil {
		return err
	}
	for _, p := range slices.SortedFunc(maps.Keys(spots), chunk.Partition.Compare) {
		what := ""
		switch s := spots[p]; {
		case s.cut != nil && s.cut.Target:
			what = fmt.Sprintf("%s has lost what was copied to it from source offset %d on, and what was written there since "+
				"the cutover", r.o.Flow.To, s.cut.At)
		case s.cut != nil:
			what = fmt.Sprintf("%s has lost up to %d records that were copied, from offset %d on, which are not brought back",
				r.o.Flow.From, int64(s.cut.Copied-s.cut.At), s.cut.At)
		case found[p] == differs:
			what = fmt.Sprintf("the record that was copied last is another one on %s and %s by now: one of them was put back, "+
				"and what was written there before is lost", r.o.Flow.From, r.o.Flow.To)
		default:
			continue
		}
		r.putBack = true
		r.state.GivenUp = append(r.state.GivenUp, fmt.Sprintf("%s: %s", p, what))
	}
	return nil
}

// lastRun is the end of a partition's map that is about the target topic which is there.
func lastRun(s *spot) (offsets.Run, bool) {
	if !s.started() || !s.targetSame || s.unknown != nil || s.blocked != "" {
		return offsets.Run{}, false
	}
	return s.state.Map.Last()
}
