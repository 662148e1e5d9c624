package inspect

import (
	"context"
	"log/slog"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/translate"
)

// Lasting says that waiting does not set the position right: only people or consumers do.
func (p *PositionStatus) Lasting() bool {
	kind := groups.Kind(p.State)
	left := kind.Settled() && kind != groups.InSync && p.State != Pending
	return left || kind == groups.NoAnswer && p.Remedy != ""
}

// Pending is what status calls groups.Moved: it only watches, and has moved nothing.
const Pending = "pending"

// GroupStatuses tells of the groups alone, as status shows them. An error means that they are not known.
func GroupStatuses(ctx context.Context, v *snapshot.Viewer) ([]GroupStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := v.Take(ctx, func(string) bool { return true }, true)
	if err == nil {
		err = snap.LedgerErr
	}
	if err != nil {
		return nil, err
	}
	views := snap.Views()
	if snap.Alone {
		return standing(ctx, v, views)
	}
	if snap.HeldErr != nil {
		return nil, snap.HeldErr
	}
	list := make([]GroupStatus, len(snap.Held))
	for j := range snap.Held {
		list[j], _ = GroupStatusOf(ctx, v, &snap.Held[j], views)
	}
	return list, ctx.Err()
}

// groupViewer shows a flow's groups to an engine that waits for them.
type groupViewer struct{ viewer *snapshot.Viewer }

// ViewGroups lets an engine see the groups of flows between these clusters.
func ViewGroups(clusters map[string]kafka.Config, log *slog.Logger) func(context.Context,
	settings.Config) (groups.Viewer, error) {
	return func(ctx context.Context, flow settings.Config) (groups.Viewer, error) {
		v, err := snapshot.Open(ctx, clusters, flow, log)
		if err != nil {
			return nil, err
		}
		return &groupViewer{v}, nil
	}
}

// Close ends the connections.
func (o *groupViewer) Close() { o.viewer.Close() }

// Groups are as they stand now.
func (o *groupViewer) Groups(ctx context.Context) ([]groups.Seen, error) {
	list, err := GroupStatuses(ctx, o.viewer)
	if err != nil {
		return nil, err
	}
	seen := make([]groups.Seen, len(list))
	for i, g := range list {
		seen[i] = groups.Seen{Group: g.Group, Error: g.Error}
		for _, p := range g.Positions {
			kind := groups.Kind(p.State)
			seen[i].Positions = append(seen[i].Positions, groups.SeenPosition{
				Partition: chunk.Partition{Topic: p.Topic, Number: p.Partition}, Kind: kind,
				Settled: p.State != Pending && kind.Settled(), Why: p.Why,
			})
		}
	}
	return seen, nil
}

// GroupStatusOf compares one group on both sides; settled says that waiting would
// not change its positions.
func GroupStatusOf(ctx context.Context, v *snapshot.Viewer, held *groups.Held,
	views map[chunk.Partition]*snapshot.PartitionView) (g GroupStatus, settled bool) {
	g = GroupStatus{Group: held.Group, Target: held.Target, State: held.State, Members: held.Members,
		Side: held.Side, SourceMembers: held.SourceMembers, Positions: []PositionStatus{}}
	if held.Err != nil {
		g.Error, g.Remedy = held.Err.Error(), chunk.Remedy(held.Err)
		return g, true // nothing but a person changes that
	}
	settled = true
	for j := range held.Positions {
		view := views[held.Positions[j].Partition]
		if view == nil {
			at := &held.Positions[j]
			g.Nowhere = append(g.Nowhere, NowherePosition{at.Partition.Topic, at.Partition.Number, at.Source.Offset})
			continue
		}
		one, kind := positionStatus(ctx, v, held, &held.Positions[j], view)
		g.Positions = append(g.Positions, one)
		stands := kind != groups.UnreadDeleted || one.Target != nil && *one.Target == *one.Translation
		settled = settled && kind.Settled() && kind != groups.Moved && stands
	}
	if g.Side != groups.OnTarget {
		g.ReadAgain = readAgain(g.Positions)
	}
	return g, settled
}

// readAgain sums up what a group would read again; nil: not known of some position.
func readAgain(positions []PositionStatus) *int64 {
	var sum int64
	for i := range positions {
		if !positions[i].AgainKnown {
			return nil
		}
		sum += positions[i].WouldReadAgain
	}
	if len(positions) == 0 {
		return nil
	}
	return &sum
}

func positionStatus(ctx context.Context, v *snapshot.Viewer, held *groups.Held, at *groups.Position,
	view *snapshot.PartitionView) (PositionStatus, groups.Kind) {
	from := offsets.Source(at.Source.Offset)
	one := PositionStatus{
		Topic: view.Source.Topic, Partition: view.Source.Number, TargetTopic: view.Target.Topic,
		Source: from, SourceLag: max(int64(view.Stable-from), 0),
		Unused: groups.Ours(v.Flow.To+"->"+v.Flow.From, at.Source),
	}
	if at.Target != nil {
		t := offsets.Target(at.Target.Offset)
		one.Target = &t
		if view.TargetThere {
			lag := max(int64(view.TargetStable-t), 0)
			one.TargetLag = &lag
		}
	}
	rule, owned := v.Groups.RuleOf(held.Group), at.Target
	if owned != nil {
		own := v.Groups.Own(*owned)
		owned = &own
	}
	answer := translated(ctx, v, view, from, rule.Place(at.Source, owned))
	one.Rule = ruleCode(answer.Rule)
	if answer.Ready {
		one.Translation = &answer.Exact
		one.readsAgain(ctx, v, view, answer.Exact)
	}
	decision := at.Decision // the target's refusal, if there is one
	if decision.Kind == "" {
		decision = rule.Decide(at.Source, owned, answer.Answer)
	}
	decision = withMembers(held, rule, decision)
	one.State, one.Why = string(decision.Kind), decision.Why
	if at.Target == nil || groups.Ours(v.Flow.Name(), *at.Target) { // else a consumer there has gone on by itself
		one.UnreadDeleted, one.UnreadDeletedOnBoth = answer.Deleted, answer.DeletedOnBoth
		if answer.Ready {
			one.Skips = skips(v, view, from, answer)
		}
	}
	switch decision.Kind {
	case groups.InSync:
		one.Why = ""
	case groups.NotCopiedYet, groups.NoAnswer:
		one.Remedy = answer.Fix
		if stop := view.Stop(); view.Cut == nil && stop != nil {
			one.Why += "; the partition is stopped as " + stop.Kind
		}
	case groups.Moved:
		one.State, one.Why = Pending, "the next sync moves it: "+decision.Why
	case groups.UnreadDeleted:
		one.Remedy = groups.DeletedRemedy(view.Target.Topic)
	case groups.BeyondEnd:
		one.Remedy = groups.BeyondRemedy
	case groups.OnBothSides:
		one.Remedy = groups.BothSidesRemedy
	case groups.BeforeForeign:
		one.passes(view, answer)
	}
	return one, decision.Kind
}

// withMembers is what becomes of a decision as the group has members, or has not.
func withMembers(held *groups.Held, rule groups.Rule, decision groups.Decision) groups.Decision {
	switch {
	case held.Members == 0:
	case rule.Shared:
		return groups.UsedOnTarget(held.SourceMembers)
	case decision.Write && decision.Kind != groups.UnreadDeleted || decision.Kind == groups.ForeignCommit:
		decision.Kind, decision.Why = groups.Active, "the group has active members on the target"
	}
	return decision
}

// readsAgain counts what the group would read again that went on at an offset of the target.
func (one *PositionStatus) readsAgain(ctx context.Context, v *snapshot.Viewer, view *snapshot.PartitionView,
	at offsets.Target) {
	standing, err := view.Standing()
	if err == nil {
		one.WouldReadAgain, err = v.Translator.Again(ctx, standing, one.Source, at)
	}
	one.AgainKnown = err == nil && standing.Opposite != nil
}

// translated translates a position in a snapshot; Ready is false, with the reason,
// where that is not possible.
func translated(ctx context.Context, v *snapshot.Viewer, view *snapshot.PartitionView, at offsets.Source,
	stands groups.Place) translate.Answer {
	standing, err := view.Standing()
	if err == nil {
		var answer translate.Answer
		if answer, err = v.Translator.Translate(ctx, standing, at, stands); err == nil {
			return answer
		}
	}
	return translate.Answer{Answer: groups.Answer{Why: err.Error()}}
}

// passes counts what lies between where a position is stopped and its translation.
func (one *PositionStatus) passes(view *snapshot.PartitionView, answer translate.Answer) {
	if answer.Foreign == nil {
		return
	}
	one.Foreign = &Range{int64(answer.Foreign.From), int64(answer.Foreign.To)}
	one.WouldReadAgain = int64(answer.Exact - answer.Target)
	for _, f := range view.State.Map.Foreign() {
		if part := int64(min(f.To, answer.Exact) - max(f.From, answer.Target)); part > 0 {
			one.WouldSkip += part
			one.WouldReadAgain -= part
		}
	}
}

// ruleCode is what JSON and scripts call a rule; "" for none.
func ruleCode(r offsets.Rule) string {
	switch r {
	case offsets.InRun:
		return "in_run"
	case offsets.InGap:
		return "in_gap"
	case offsets.FirstUnread:
		return "first_unread"
	case offsets.BeforeFirst:
		return "before_first"
	case offsets.AtEnd:
		return "at_end"
	case offsets.NotYet:
		return "not_yet"
	}
	return ""
}
