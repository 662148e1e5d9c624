package translate

import (
	"context"
	"fmt"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/groups"
)

// Log is where a partition's log begins and ends on the source: from its first
// offset up to the high watermark.
type Log struct{ Start, End offsets.Source }

// deleted counts the copied records that a reader has not read, which goes on at from, and that the target does not
// have any more, as its log begins after them. Those that the source has deleted as well would be missing there too.
// All of them are known to the map: it forgets only what lies below the beginning of both logs.
func (t *Translator) deleted(ctx context.Context, on Standing, from offsets.Target) (only, both int64, err error) {
	key := deletedKey{on.Target.Topic, on.Target.Number, from, on.Earliest}
	known, ok := t.counted[key]
	log, err := on.SourceLog(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("find what the source still holds: %w", err)
	}
	if ok && known.source == log.Start {
		return known.only, known.both, nil
	}
	load := func(head offsets.Head) ([]offsets.Run, error) { return t.ledger.Segment(ctx, on.Shard, head) }
	found, err := on.State.Map.Translate(log.Start, on.State.Progress, load)
	if err != nil {
		return 0, 0, err
	}
	kept := found.Target // the first record that the source still holds
	if found.Rule == offsets.NotYet {
		kept = found.Run.TargetEnd()
	}
	kept = min(max(kept, from), on.Earliest)
	if both, err = on.State.Map.Count(from, kept, load); err != nil {
		return 0, 0, err
	}
	if only, err = on.State.Map.Count(kept, on.Earliest, load); err != nil {
		return 0, 0, err
	}
	if len(t.counted) >= mostCounted {
		clear(t.counted)
	}
	t.counted[key] = deletedCount{log.Start, only, both}
	return only, both, nil
}

// mostCounted bounds what is remembered of counts; a map of many segments is read back for one.
const mostCounted = 10_000

// deletedKey is what a count depends on, beside where the source's log begins. What the map says of records that were
// deleted does not change; another topic of that name begins anew, with another from or at 0.
type deletedKey struct {
	topic          string
	partition      int32
	from, earliest offsets.Target
}

// deletedCount is what was counted while the source's log began there.
type deletedCount struct {
	source     offsets.Source
	only, both int64
}

// within says whether a position is one of today's log, and why not: it is behind the log's end, or that is not known.
func (t *Translator) within(ctx context.Context, on Standing, s offsets.Source, a *groups.Answer) bool {
	log, err := on.SourceLog(ctx)
	switch {
	case err != nil:
		a.Why += "; where the source ends is not known: " + err.Error()
	case s > log.End:
		a.Beyond = true
		a.Why = fmt.Sprintf("source offset %d is beyond the end of the log there, which is %d", s, log.End)
	default:
		return true
	}
	return false
}
