package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/translate"
)

// Translation is one position on both sides, and the rule that led from one to the
// other.
type Translation struct {
	Flow        string
	Topic       string // on the source
	TargetTopic string
	Partition   int32
	Inverse     bool // from target to source
	Source      offsets.Source
	Target      offsets.Target
	Rule        offsets.Rule
	RuleCode    string      // in_run, in_gap, before_first, at_end, or in a pair first_unread
	Run         offsets.Run // what gave it; Count 0: none
	Progress    offsets.Source
	SourceEnd   offsets.Source // last stable offset; with EndsUnknown 0, and without meaning
	EndsUnknown bool           // the source does not tell where it ends
	LastSeen    *LastSeen      // where it was last seen to, then; nil: it was never noted
	TargetEnd   offsets.Target // last stable offset
	// Foreign are the target's stretches with records that the flow did not write.
	Foreign []offsets.Stretch
	// From the source to the target: records from Source on that were copied and are not on the target any more; those
	// of DeletedOnBoth are gone from the source as well.
	Deleted, DeletedOnBoth int64
	GivenUp                *GivenUp // the stretch around Source that an order has left out; nil: none
	Skips                  *Skips   // from the source to the target; nil: nothing
	// ByBoth: the maps of both flows of a pair led to it. OneMap is why only one of them did where there are two, and what
	// may be wrong for it; "": there is no other, or both did.
	ByBoth bool
	OneMap string
	paired bool // another flow goes the opposite way, as far as the ledger knows
	// SourceLost: what stands at Target, from which was asked, was copied before the source lost it.
	SourceLost bool
}

// Translate answers where a reader goes on at the target that stands at source
// offset `at`. The topic is named as on the source. An error has a remedy; it may
// be that the offset has not been copied yet.
func Translate(ctx context.Context, v *snapshot.Viewer, p chunk.Partition, at offsets.Source) (*Translation, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	t, view, on, err := locate(ctx, v, p)
	if err != nil {
		return nil, err
	}
	got, err := v.Translator.Translate(ctx, on, at, groups.Place{})
	if err != nil {
		return nil, err
	}
	if got.Beyond {
		return nil, &kafka.Problem{What: fmt.Sprintf("%s: %s", p, got.Why),
			Fix: "ask for an offset of the log; a consumer that stands there begins where its auto.offset.reset says"}
	}
	if got.Rule == offsets.NotYet {
		return nil, notCopied(ctx, v, view, at, t)
	}
	if !got.Ready {
		fix := cmp.Or(got.Fix, "ask again in a moment")
		if got.Fix == "" && view.Cut != nil {
			_, fix = view.CutWords()
		}
		return nil, &kafka.Problem{What: fmt.Sprintf("source offset %d of %s: %s", at, p, got.Why), Fix: fix}
	}
	for _, g := range givenUp(view) {
		if int64(at) >= g.From && int64(at) < g.To {
			t.GivenUp = &g
		}
	}
	t.Source, t.Target, t.Rule, t.Run = at, got.Exact, got.Rule, got.Run
	t.Deleted, t.DeletedOnBoth = got.Deleted, got.DeletedOnBoth
	t.RuleCode, t.Skips = ruleCode(t.Rule), skips(v, view, at, got)
	if t.ByBoth = on.Opposite != nil; !t.ByBoth {
		t.OneMap = t.oneMap(v, view, fmt.Sprintf("a reader from there on passes by what began its way on %s before that "+
			"offset and was not read on %s: where it may not have read it, go on where it last stood on %s itself", v.Flow.To,
			v.Flow.From, v.Flow.To))
	}
	return t, nil
}

// notCopied is why an offset beyond progress has no answer, and what brings one about.
func notCopied(ctx context.Context, v *snapshot.Viewer, view *snapshot.PartitionView, at offsets.Source,
	t *Translation) error {
	no := &kafka.Problem{
		What: fmt.Sprintf("source offset %d of %s is beyond what has been copied: progress is %d, %s", at, view.Source,
			t.Progress, t.SourceWords()),
		Fix: "ask again when it has been copied; 'replicator status' shows how far the flow is",
	}
	if view.Unknown != nil {
		no.What += fmt.Sprintf(" (%v)", view.Unknown)
	}
	if stop := view.Stop(); stop != nil {
		no.What += fmt.Sprintf(". The partition is stopped as %s: %s", stop.Kind, stop.Reason)
		no.Fix = stop.Fix
		return no
	}
	if n, err := v.CountReplicas(ctx); err == nil && n == 0 {
		no.What += ". No replica runs the flow: nothing is copied"
		no.Fix = "start one with 'replicator run', and ask again when it has been copied"
	}
	return no
}

// Invert answers where a reader goes on at the source that stands at target offset
// `at`. The topic is named as on the source.
func Invert(ctx context.Context, v *snapshot.Viewer, p chunk.Partition, at offsets.Target) (*Translation, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	t, view, on, err := locate(ctx, v, p)
	if err != nil {
		return nil, err
	}
	if last, mapped := on.State.Map.Last(); at > t.TargetEnd && !(mapped && at <= last.TargetEnd()) {
		return nil, &kafka.Problem{
			What: fmt.Sprintf("target offset %d of %s/%d is beyond the target's last stable offset %d", at, t.TargetTopic,
				p.Number, t.TargetEnd),
			Fix: "ask for an offset up to that one",
		}
	}
	got, err := on.State.Map.Invert(at, on.State.Progress, func(head offsets.Head) ([]offsets.Run, error) {
		return v.Ledger.Segment(ctx, on.Shard, head)
	})
	if err != nil {
		return nil, err
	}
	t.Inverse, t.Source, t.Target, t.Rule, t.Run = true, got.Source, at, got.Rule, got.Run
	t.RuleCode = ruleCode(t.Rule)
	for _, left := range on.State.Cuts.Left() {
		t.SourceLost = t.SourceLost || at >= left.From && at < left.To
	}
	return t, overBoth(ctx, v, view, on, t)
}

// overBoth answers from the target to the source of a pair, by the maps of both flows where they can be read.
func overBoth(ctx context.Context, v *snapshot.Viewer, view *snapshot.PartitionView, on translate.Standing,
	t *Translation) error {
	if on.Opposite == nil || view.Unknown != nil || view.Cut != nil {
		t.OneMap = t.oneMap(v, view, fmt.Sprintf("a reader from there on passes by what began its way on %s behind that "+
			"offset, and stands on %s before this one: where it may not have read it, go on where it last stood on %s itself",
			v.Flow.To, v.Flow.From, v.Flow.From))
		return nil
	}
	source := scan.Open(v.SourceCluster, nil)
	defer source.Close()
	at, rule, err := v.Translator.Back(ctx, on, source, translate.Log{Start: view.Earliest, End: view.Stable},
		v.Flow.Self().LeavesOut != policy.WhatFlowsWrote, t.Target)
	if err != nil {
		return v.SourceCluster.Explain(err)
	}
	t.Source, t.Rule, t.RuleCode, t.Run, t.ByBoth = at, rule, ruleCode(rule), offsets.Run{}, true
	return nil
}

// oneMap says of a flow that makes a pair why the other map was not used, and what may be wrong for it; "": it makes
// none, as far as is known.
func (t *Translation) oneMap(v *snapshot.Viewer, view *snapshot.PartitionView, wrong string) string {
	back := v.Flow.To + "->" + v.Flow.From
	why := ""
	switch {
	case view.Cut != nil && view.Opposite != nil:
		why = "since a log was cut, and nobody has decided about it"
	case v.Away == nil && view.Unknown == nil || !t.paired:
		return ""
	default:
		why = "since the other one is on " + v.Flow.From + ", which does not answer"
	}
	return fmt.Sprintf("by the map of one flow alone, %s: without that of %s %s", why, back, wrong)
}

// locate finds a partition's committed state and its logs.
func locate(ctx context.Context, v *snapshot.Viewer, p chunk.Partition) (*Translation, *snapshot.PartitionView,
	translate.Standing, error) {
	target, verdict := v.Policy.Topic(p.Topic)
	if !verdict.Selected {
		fix := "name a topic of the source that the flow selects; 'replicator status' lists them"
		if source, ok := v.Policy.SourceTopic(p.Topic); ok && source != p.Topic {
			fix = fmt.Sprintf("name the topic as on the source: --topic %s", source)
		}
		return nil, nil, translate.Standing{}, &kafka.Problem{
			What: fmt.Sprintf("topic %s is not copied by flow %s: %s", p.Topic, v.Flow.Name(), verdict.Why), Fix: fix,
		}
	}
	seen, err := v.Take(ctx, func(topic string) bool { return topic == p.Topic }, false)
	if err != nil {
		return nil, nil, translate.Standing{}, err
	}
	if seen.LedgerErr != nil {
		return nil, nil, translate.Standing{}, seen.LedgerErr
	}
	topic, there := seen.Source.Topics[p.Topic]
	switch {
	case !there && seen.Away != nil:
		return nil, nil, translate.Standing{}, &kafka.Problem{Fix: chunk.Remedy(seen.Away), What: fmt.Sprintf("flow %s: %v; "+
			"the ledger knows nothing of topic %s", v.Flow.Name(), errors.Unwrap(seen.Away), p.Topic)}
	case !there:
		fix := fmt.Sprintf("name a topic that is on cluster %s and that the program may describe", v.Flow.From)
		if source, ok := v.Policy.SourceTopic(p.Topic); ok && source != p.Topic {
			fix = fmt.Sprintf("name the topic as on the source: --topic %s", source)
		}
		return nil, nil, translate.Standing{}, &kafka.Problem{
			What: fmt.Sprintf("cluster %s has no topic %s", v.Flow.From, p.Topic), Fix: fix,
		}
	case topic.Err != nil:
		return nil, nil, translate.Standing{}, v.SourceCluster.Explain(topic.Err)
	case int(p.Number) >= topic.Partitions:
		return nil, nil, translate.Standing{}, &kafka.Problem{
			What: fmt.Sprintf("topic %s on cluster %s has no partition %d", p.Topic, v.Flow.From, p.Number),
			Fix:  fmt.Sprintf("name one from 0 to %d", topic.Partitions-1),
		}
	}
	view := seen.View(p)
	on, err := view.Standing()
	if err != nil {
		what, fix := fmt.Sprintf("%s has no map: %v", p, err), "see 'replicator status' for what is going on"
		if status := PartitionStatusOf(seen, view); status.Reason != "" {
			what += fmt.Sprintf(". It is %s: %s", status.Phase, status.Reason)
			fix = cmp.Or(status.Remedy, fix)
		}
		return nil, nil, translate.Standing{}, &kafka.Problem{What: what, Fix: fix}
	}
	t := &Translation{
		Flow: v.Flow.Name(), Topic: p.Topic, TargetTopic: target, Partition: p.Number, Progress: view.State.Progress,
		SourceEnd: view.Stable, TargetEnd: view.TargetStable, Foreign: view.State.Map.Foreign(), paired: seen.Paired(),
	}
	if view.Unknown != nil {
		t.SourceEnd, t.EndsUnknown, t.LastSeen = 0, true, lastSeenOf(view)
	}
	return t, view, on, nil
}
