package replicate

import (
	"context"
	"fmt"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/translate"
)

// ends are the target's log starts and last stable offsets, as taken before one
// round of translations, and what was found behind the last own records. They
// belong to the goroutine of the group sync.
type ends struct {
	earliest, stable listoffsets.Offsets // by target topic
	tails            map[chunk.Partition]translate.Tail
	counted          map[translate.DeletedKey]translate.DeletedCount
	logs             map[string]topicLogs // of the source, asked for in this round, by topic
}

// topicLogs are where a topic's logs begin and end.
type topicLogs struct{ earliest, ends listoffsets.Offsets }

// takeEnds asks the target for its ends. It must come before the translations
// that use them: the map that is looked at later then explains all below.
func (f *flow) takeEnds(ctx context.Context, partitions []chunk.Partition) error {
	seen := map[string]bool{}
	var names []string
	for _, p := range partitions {
		if target, verdict := f.Policy.Topic(p.Topic); verdict.Selected && !seen[target] {
			seen[target] = true
			names = append(names, target)
		}
	}
	var err error
	if f.ends.earliest, err = f.TargetOffsets.Earliest(ctx, names); err != nil {
		return err
	}
	f.ends.logs = map[string]topicLogs{}
	f.ends.stable, err = f.TargetOffsets.Stable(ctx, names)
	return err
}

// sourceLog asks where a partition's log begins and ends on the source, after the groups' positions were read: once
// a round and topic, and only if a translation needs it.
func (f *flow) sourceLog(ctx context.Context, p chunk.Partition) (log translate.Log, err error) {
	asked, known := f.ends.logs[p.Topic]
	if !known {
		if asked.earliest, err = f.SourceOffsets.Earliest(ctx, []string{p.Topic}); err != nil {
			return log, err
		}
		if asked.ends, err = f.SourceOffsets.Ends(ctx, []string{p.Topic}); err != nil {
			return log, err
		}
		f.ends.logs[p.Topic] = asked
	}
	start, err := listoffsets.OffsetOf(asked.earliest, p)
	if err != nil {
		return log, err
	}
	end, err := listoffsets.OffsetOf(asked.ends, p)
	return translate.Log{Start: offsets.Source(start), End: offsets.Source(end)}, err
}

// translate answers where on the target a group goes on that stands at s on the
// source; position is what it has committed on the target.
func (f *flow) translate(ctx context.Context, p chunk.Partition, s offsets.Source,
	position *offsets.Target) groups.Answer {
	no := func(format string, args ...any) groups.Answer {
		return groups.Answer{Why: fmt.Sprintf(format, args...)}
	}
	w := f.worker(p)
	if w == nil {
		return no("another replica owns the partition")
	}
	state, shown := w.Published.State(ctx, p)
	if state == nil || state.TargetTopic == (chunk.TopicID{}) {
		return no("the partition is not being copied")
	}
	at := chunk.Partition{Topic: shown.Target, Number: p.Number}
	stable, ok := f.ends.stable[at]
	earliest := f.ends.earliest[at]
	if !ok || stable.Err != nil || earliest.Err != nil {
		return no("the target does not tell where the partition ends")
	}
	if f.ends.tails == nil {
		f.ends.tails, f.ends.counted = map[chunk.Partition]translate.Tail{}, map[translate.DeletedKey]translate.DeletedCount{}
	}
	t := translate.Translator{Ledger: f.Ledger, Peek: f.Scan, Tails: f.ends.tails, Counted: f.ends.counted}
	got, err := t.Translate(ctx, translate.Standing{
		Source: p, Target: at, Shard: int32(w.Shard), State: state,
		Cut: state.Cuts.Open(), CutFix: ledger.ResumeFix,
		Earliest: offsets.Target(earliest.Offset), Stable: offsets.Target(stable.Offset),
		// Past trailing markers the worker's progress is ahead of the ledger's for some seconds.
		Noted:     shown.Next,
		SourceLog: func(ctx context.Context) (translate.Log, error) { return f.sourceLog(ctx, p) },
	}, s, position)
	if err != nil && ctx.Err() == nil {
		f.Log.Warn("group position cannot be translated", "partition", p, "offset", s, "error", err)
	}
	if err != nil {
		return no("%v", err)
	}
	return got.Answer
}
