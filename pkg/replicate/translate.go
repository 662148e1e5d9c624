package replicate

import (
	"context"
	"fmt"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/peek"
	"replicator/pkg/replicate/watermarks"
)

// ends are the target's log starts and last stable offsets, as taken before one
// round of translations, and what was found behind the last own records. They
// belong to the goroutine of the group sync.
type ends struct {
	earliest, stable watermarks.Marks // by target topic
	tails            map[chunk.Partition]tail
	counted          map[deletedKey]deletedCount
	logs             map[string]topicLogs // of the source, asked for in this round, by topic
}

// topicLogs are where a topic's logs begin and end.
type topicLogs struct{ earliest, ends watermarks.Marks }

// tail is what lies between our last record and the target's end.
type tail struct {
	from, to offsets.Target
	end      offsets.Target // where a reader that has read all of ours goes on
}

// takeEnds asks the target for its ends. It must come before the translations
// that use them: the map that is looked at later then explains all below.
func (f *flow) takeEnds(ctx context.Context, partitions []chunk.Partition) error {
	seen := map[string]bool{}
	var names []string
	for _, p := range partitions {
		if target, verdict := f.policy.Topic(p.Topic); verdict.Selected && !seen[target] {
			seen[target] = true
			names = append(names, target)
		}
	}
	var err error
	if f.ends.earliest, err = f.targetMarks.Earliest(ctx, names); err != nil {
		return err
	}
	f.ends.logs = map[string]topicLogs{}
	f.ends.stable, err = f.targetMarks.Stable(ctx, names)
	return err
}

// sourceLog asks where a partition's log begins and ends on the source, after the groups' positions were read: once
// a round and topic, and only if a translation needs it.
func (f *flow) sourceLog(ctx context.Context, p chunk.Partition) (log sourceLog, err error) {
	asked, known := f.ends.logs[p.Topic]
	if !known {
		if asked.earliest, err = f.sourceMarks.Earliest(ctx, []string{p.Topic}); err != nil {
			return log, err
		}
		if asked.ends, err = f.sourceMarks.Ends(ctx, []string{p.Topic}); err != nil {
			return log, err
		}
		f.ends.logs[p.Topic] = asked
	}
	start, err := offsetOf(asked.earliest, p)
	if err != nil {
		return log, err
	}
	end, err := offsetOf(asked.ends, p)
	return sourceLog{offsets.Source(start), offsets.Source(end)}, err
}

// translator answers where on the target a reader of a flow goes on. It belongs
// to one goroutine.
type translator struct {
	ledger *ledger.Reader
	peek   *peek.Peek
	tails  map[chunk.Partition]tail // what was found behind the last own records; not nil
	// counted remembers what was counted of deleted records; not nil.
	counted map[deletedKey]deletedCount
}

// standing is what the translations of one partition go by. The ends are taken
// before the state, so that the map explains everything below them.
type standing struct {
	partition        chunk.Partition // by its source topic
	at               chunk.Partition // on the target
	shard            int32
	state            *ledger.State
	cut              *ledger.Cut    // of either side, behind which copying does not go on; nil: none
	cutFix           string         // what has it go on; "": an order waits, and is carried out by itself
	earliest, stable offsets.Target // of the target's log
	// noted is progress that is not committed yet, with nothing visible after the state's; 0: none.
	noted offsets.Source
	// ahead: the reader only looks on, and what it says is not committed. Then a map
	// that knows more than the ends is no reason to wait.
	ahead bool
	// source tells where the log is on the source.
	source func(context.Context) (sourceLog, error)
}

// translated is an answer with what led to it.
type translated struct {
	groups.Answer
	exact offsets.Target // the answer before records of somebody else stopped it short
	run   offsets.Run    // what gave it; Count 0: none
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
	state, shown := w.shown.state(ctx, p)
	if state == nil || state.TargetTopic == (chunk.TopicID{}) {
		return no("the partition is not being copied")
	}
	at := chunk.Partition{Topic: shown.target, Number: p.Number}
	stable, ok := f.ends.stable[at]
	earliest := f.ends.earliest[at]
	if !ok || stable.Err != nil || earliest.Err != nil {
		return no("the target does not tell where the partition ends")
	}
	if f.ends.tails == nil {
		f.ends.tails, f.ends.counted = map[chunk.Partition]tail{}, map[deletedKey]deletedCount{}
	}
	t := translator{ledger: f.ledger, peek: f.peek, tails: f.ends.tails, counted: f.ends.counted}
	got, err := t.translate(ctx, standing{
		partition: p, at: at, shard: int32(w.shard), state: state,
		cut: state.Cuts.Open(), cutFix: resumeFix,
		earliest: offsets.Target(earliest.Offset), stable: offsets.Target(stable.Offset),
		// Past trailing markers the worker's progress is ahead of the ledger's for some seconds.
		noted:  shown.next,
		source: func(ctx context.Context) (sourceLog, error) { return f.sourceLog(ctx, p) },
	}, s, position)
	if err != nil && ctx.Err() == nil {
		f.log.Warn("group position cannot be translated", "partition", p, "offset", s, "error", err)
	}
	if err != nil {
		return no("%v", err)
	}
	return got.Answer
}

// translate answers for a reader that stands at s on the source and has committed
// position on the target (nil: nothing). An error means that the map cannot tell.
func (t *translator) translate(ctx context.Context, on standing, s offsets.Source,
	position *offsets.Target) (translated, error) {
	state, progress := on.state, max(on.state.Progress, on.noted)
	if cut := on.cut; cut != nil && s >= cut.At {
		why := fmt.Sprintf("the source's log was cut at offset %d, and what stands there now is not copied", cut.At)
		if cut.Target {
			why = fmt.Sprintf("the target's log was cut: it does not hold any more what was copied from source offset %d on",
				cut.At)
		}
		why += " before an order of 'replicator resume' is carried out"
		return translated{Answer: groups.Answer{Why: why, Fix: on.cutFix}}, nil
	}
	found, err := state.Map.Translate(s, progress, func(head offsets.Head) ([]offsets.Run, error) {
		return t.ledger.Segment(ctx, on.shard, head)
	})
	if err != nil {
		return translated{}, err
	}
	a := translated{Answer: groups.Answer{Rule: found.Rule, Target: found.Target}, run: found.Run}
	switch {
	case found.Rule == offsets.NotYet:
		a.Why = fmt.Sprintf("copied up to source offset %d", progress)
		t.beyond(ctx, on, s, &a.Answer)
		return a, nil
	case found.Rule == offsets.AtEnd:
		own := state.Expected()
		if on.stable < own && !on.ahead {
			a.Why = "the target is still settling its last transaction"
			return a, nil
		}
		// The stable offset cannot pass our last record while its transaction is undecided: one more is our marker.
		mapped := found.Run.Count > 0 && own == found.Run.TargetEnd()
		if state.Marked && mapped && on.stable == own+1 {
			a.Target = on.stable
			break
		}
		if a.Target, err = t.tailEnd(ctx, on, own, max(on.stable, own)); err != nil {
			a.Why = err.Error()
			return a, nil
		}
	case a.Target >= on.stable && !on.ahead:
		a.Why = "the target is still settling its last transaction"
		return a, nil
	}
	if a.Target < on.earliest && found.Rule != offsets.AtEnd { // at the end it has read all
		if a.Deleted, a.DeletedOnBoth, err = t.deleted(ctx, on, a.Target); err != nil {
			a.Why = err.Error()
			return a, nil
		}
	}
	a.Target = max(a.Target, on.earliest)
	a.exact, a.Ready = a.Target, true
	stands := offsets.Target(0)
	if position != nil {
		stands = *position
	}
	if to, stretch, clamped := state.Map.Clamp(stands, a.Target); clamped {
		a.Target, a.Foreign = max(to, on.earliest), &stretch
	}
	return a, nil
}

// tailEnd says where a reader goes on that has read all our records, which end
// at from, when the target is stable up to end: past our own markers and aborted
// records, never past a record that somebody else wrote.
func (t *translator) tailEnd(ctx context.Context, on standing, from, end offsets.Target) (offsets.Target, error) {
	if from == end {
		return end, nil
	}
	if known, ok := t.tails[on.partition]; ok && known.from == from && known.to == end {
		return known.end, nil
	}
	first, found, err := t.peek.First(ctx, on.at.Topic, on.at.Number, from, end, true)
	if err != nil {
		return 0, fmt.Errorf("read the end of the target: %w", err)
	}
	answer := end
	if found {
		answer = first
	}
	t.tails[on.partition] = tail{from, end, answer}
	return answer, nil
}
