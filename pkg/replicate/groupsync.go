package replicate

import (
	"context"
	"fmt"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/retention"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/translate"
)

// groupSync has the positions of groups follow, in the partitions that this process
// owns. It belongs to one goroutine.
type groupSync struct {
	flow       *shard.Flow
	workers    *workers
	memory     *memory
	translator *translate.Translator
	opposites  *translate.Opposites
	ends       ends
}

// newGroupSync makes one of a flow that is open.
func newGroupSync(f *shard.Flow, w *workers, m *memory) *groupSync {
	back := translate.NewOpposites(f.Source, f.SourceOffsets, f.Writers.CarrierOf)
	return &groupSync{flow: f, workers: w, memory: m, translator: translate.New(f.Ledger, f.Scan), opposites: back,
		ends: ends{policy: f.Policy, sourceOffsets: f.SourceOffsets, targetOffsets: f.TargetOffsets, opposites: back}}
}

// round compares all positions. Without the group on the target this process owns no partition, and a round would
// prove nothing.
func (s *groupSync) round(ctx context.Context) error {
	if !s.workers.present.Load() {
		return errNotNow
	}
	whole := s.workers.allAtWork()
	report, err := s.flow.Groups.Sync(ctx, s.workers.knows, s.ends.take,
		func(p chunk.Partition, at offsets.Source, stands groups.Place) groups.Answer {
			return s.translate(ctx, p, at, stands)
		})
	if err != nil {
		return err
	}
	last := s.summarise(report)
	whole = whole && s.workers.present.Load()
	s.memory.learn(func(k *known) {
		last.at = k.groups.at
		if whole {
			last.at = time.Now()
		}
		k.groups = last
	})
	if !whole {
		return errNotNow // some position was not compared
	}
	return nil
}

// summarise says, for each group and topic, what the positions of a report leave to be read.
func (s *groupSync) summarise(report groups.Report) lastSync {
	last := lastSync{report: report, lag: map[retention.GroupTopic]int64{}, deleted: map[retention.GroupTopic]int64{}}
	for i := range report.Positions {
		at := &report.Positions[i]
		key := retention.GroupTopic{Group: at.Group, Topic: at.Partition.Topic}
		last.deleted[key] += at.Decision.Deleted
		topic, _ := s.flow.Policy.Topic(at.Partition.Topic)
		on := chunk.Partition{Topic: topic, Number: at.Partition.Number}
		end := s.ends.stable[on]
		if at.After < 0 || end.Err != nil {
			continue
		}
		last.lag[key] += max(end.Offset-int64(at.After), 0)
		if retention.Follows(at.Decision.Kind) && int64(at.After) < end.Offset {
			last.unread = append(last.unread, retention.Unread{Group: key, Partition: on, At: at.After})
		}
	}
	return last
}

// translate answers where on the target a group goes on that stands at an offset of the
// source, and so on the target.
func (s *groupSync) translate(ctx context.Context, p chunk.Partition, at offsets.Source,
	stands groups.Place) groups.Answer {
	no := func(format string, args ...any) groups.Answer {
		return groups.Answer{Why: fmt.Sprintf(format, args...)}
	}
	w := s.workers.of(p)
	if w == nil {
		return no("another replica owns the partition")
	}
	state, route := w.Published.State(ctx, p)
	if state == nil || state.TargetTopic == (chunk.TopicID{}) {
		return no("the partition is not being copied")
	}
	target := chunk.Partition{Topic: route.Target, Number: p.Number}
	stable, ok := s.ends.stable[target]
	earliest := s.ends.earliest[target]
	if !ok || stable.Err != nil || earliest.Err != nil {
		return no("the target does not tell where the partition ends")
	}
	got, err := s.translator.Translate(ctx, translate.Standing{
		Source: p, Target: target, Shard: int32(w.Shard), State: state,
		Cut: state.Cuts.Open(), CutFix: ledger.ResumeFix,
		Earliest: offsets.Target(earliest.Offset), Stable: offsets.Target(stable.Offset),
		// Past trailing markers the worker's progress is ahead of the ledger's for some seconds.
		Noted:     route.Next,
		SourceLog: func(ctx context.Context) (translate.Log, error) { return s.ends.sourceLog(ctx, p) },
		Opposite:  s.opposites.Of(target, route.Key, state),
	}, at, stands)
	if err != nil && ctx.Err() == nil {
		s.flow.Log.Warn("group position cannot be translated", "partition", p, "offset", at, "error", err)
	}
	if err != nil {
		return no("%v", err)
	}
	return got.Answer
}

// ends are the target's log starts and last stable offsets, as taken before one round of
// translations, and where the source's logs lie. What the opposite flow says is read with them.
type ends struct {
	policy                       *policy.Policy
	sourceOffsets, targetOffsets *listoffsets.Client
	opposites                    *translate.Opposites

	earliest, stable listoffsets.Offsets   // by target topic
	logs             map[string]sourceLogs // asked for in this round, by topic
}

// sourceLogs are where a topic's logs begin and end on the source.
type sourceLogs struct{ earliest, ends listoffsets.Offsets }

// take asks the target for its ends. It must come before the translations
// that use them: the map that is read later then explains all below.
func (e *ends) take(ctx context.Context, partitions []chunk.Partition) error {
	seen := map[string]bool{}
	var names []string
	for _, p := range partitions {
		if target, verdict := e.policy.Topic(p.Topic); verdict.Selected && !seen[target] {
			seen[target] = true
			names = append(names, target)
		}
	}
	var err error
	if e.earliest, err = e.targetOffsets.Earliest(ctx, names); err != nil {
		return err
	}
	e.logs = map[string]sourceLogs{}
	if err := e.opposites.ReadOn(ctx, names); err != nil {
		return err
	}
	e.stable, err = e.targetOffsets.Stable(ctx, names)
	return err
}

// sourceLog asks where a partition's log begins and ends on the source, after the groups' positions were read: once
// a round and topic, and only if a translation needs it.
func (e *ends) sourceLog(ctx context.Context, p chunk.Partition) (log translate.Log, err error) {
	asked, known := e.logs[p.Topic]
	if !known {
		if asked.earliest, err = e.sourceOffsets.Earliest(ctx, []string{p.Topic}); err != nil {
			return log, err
		}
		if asked.ends, err = e.sourceOffsets.Ends(ctx, []string{p.Topic}); err != nil {
			return log, err
		}
		e.logs[p.Topic] = asked
	}
	start, err := listoffsets.OffsetOf(asked.earliest, p)
	if err != nil {
		return log, err
	}
	end, err := listoffsets.OffsetOf(asked.ends, p)
	return translate.Log{Start: offsets.Source(start), End: offsets.Source(end)}, err
}
