package replicate

import (
	"context"
	"log/slog"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
)

// Lasting says that waiting does not set the position right: only people or consumers do.
func (p *PositionStatus) Lasting() bool {
	kind := groups.Kind(p.State)
	left := kind.Settled() && kind != groups.Right && p.State != pending
	return left || kind == groups.NoAnswer && p.Remedy != ""
}

// pending is what status calls groups.Moved: it has looked on, and moved nothing.
const pending = "pending"

// Groups looks at the groups alone. An error means that they are not known.
func (i *Inspection) Groups(ctx context.Context) ([]GroupStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	held, _, err := i.lookAtGroups(ctx) // before the ends, see picture
	if err != nil {
		return nil, err
	}
	p, err := i.look(ctx, func(string) bool { return true }, false)
	if err == nil {
		err = p.ledgerErr
	}
	if err != nil {
		return nil, err
	}
	list, spots := make([]GroupStatus, len(held)), i.spots(p)
	for j := range held {
		list[j], _ = i.groupStatus(ctx, &held[j], spots)
	}
	return list, ctx.Err()
}

// onlooker shows a flow's groups to an engine that waits for them.
type onlooker struct{ look *Inspection }

// Onlook lets an engine see the groups of flows between these clusters.
func Onlook(clusters map[string]kafka.Config, log *slog.Logger) func(context.Context, Config) (groups.Onlooker, error) {
	return func(ctx context.Context, flow Config) (groups.Onlooker, error) {
		look, err := Inspect(ctx, clusters, flow, log)
		if err != nil {
			return nil, err
		}
		return &onlooker{look}, nil
	}
}

// Close ends the look.
func (v *onlooker) Close() { v.look.Close() }

// Groups looks at the groups as they stand now.
func (v *onlooker) Groups(ctx context.Context) ([]groups.Seen, error) {
	list, err := v.look.Groups(ctx)
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
				Settled: p.State != pending && kind.Settled(), Why: p.Why,
			})
		}
	}
	return seen, nil
}

// groupStatus compares one group on both sides; settled says that waiting would
// not change its positions.
func (i *Inspection) groupStatus(ctx context.Context, held *groups.Held,
	spots map[chunk.Partition]*spot) (g GroupStatus, settled bool) {
	g = GroupStatus{Group: held.Group, Target: held.Target, State: held.State, Members: held.Members,
		Positions: []PositionStatus{}}
	if held.Err != nil {
		g.Error, g.Remedy = held.Err.Error(), chunk.Remedy(held.Err)
		return g, true // nothing but a person changes that
	}
	settled = true
	for j := range held.Positions {
		s := spots[held.Positions[j].Partition]
		if s == nil {
			at := &held.Positions[j]
			g.Nowhere = append(g.Nowhere, NowherePosition{at.Partition.Topic, at.Partition.Number, at.Source.Offset})
			continue
		}
		one, kind := i.positionStatus(ctx, held, &held.Positions[j], s)
		g.Positions = append(g.Positions, one)
		stands := kind != groups.UnreadDeleted || one.Target != nil && *one.Target == *one.Translation
		settled = settled && kind.Settled() && kind != groups.Moved && stands
	}
	return g, settled
}

func (i *Inspection) positionStatus(ctx context.Context, held *groups.Held, at *groups.Position,
	s *spot) (PositionStatus, groups.Kind) {
	from := offsets.Source(at.Source.Offset)
	one := PositionStatus{
		Topic: s.partition.Topic, Partition: s.partition.Number, TargetTopic: s.at.Topic,
		Source: from, SourceLag: max(int64(s.stable-from), 0),
		unused: groups.Ours(i.cfg.To+"->"+i.cfg.From, at.Source),
	}
	var position *offsets.Target
	if at.Target != nil {
		t := offsets.Target(at.Target.Offset)
		position, one.Target = &t, &t
		if s.targetThere {
			lag := max(int64(s.targetEarlyEnd-t), 0)
			one.TargetLag = &lag
		}
	}
	answer := i.translated(ctx, s, from, position)
	one.Rule = ruleCode(answer.Rule)
	if answer.Ready {
		one.Translation = &answer.exact
	}
	decision := at.Decision // the target's refusal, if there is one
	if decision.Kind == "" {
		held := at.Target
		if held != nil {
			own := i.groups.Own(*held)
			held = &own
		}
		decision = groups.Decide(i.cfg.Name(), at.Source, held, answer.Answer)
	}
	if held.Members > 0 && (decision.Write && decision.Kind != groups.UnreadDeleted ||
		decision.Kind == groups.ForeignCommit) {
		decision.Kind, decision.Why = groups.Active, "the group has active members on the target"
	}
	one.State, one.Why = string(decision.Kind), decision.Why
	if at.Target == nil || groups.Ours(i.cfg.Name(), *at.Target) { // else a consumer there has gone on by itself
		one.UnreadDeleted, one.UnreadDeletedOnBoth = answer.Deleted, answer.DeletedOnBoth
		if answer.Ready {
			one.Skips = i.skips(s, from, answer)
		}
	}
	switch decision.Kind {
	case groups.Right:
		one.Why = ""
	case groups.NotCopiedYet, groups.NoAnswer:
		one.Remedy = answer.Fix
		if stop := s.stop(); s.cut == nil && stop != nil {
			one.Why += "; the partition is stopped as " + stop.Kind
		}
	case groups.Moved:
		one.State, one.Why = pending, "the next sync moves it: "+decision.Why
	case groups.UnreadDeleted:
		one.Remedy = groups.DeletedRemedy(s.at.Topic)
	case groups.BeyondEnd:
		one.Remedy = groups.BeyondRemedy
	case groups.BeforeForeign:
		one.passes(s, answer)
	}
	return one, decision.Kind
}

// translated translates a position in a picture; Ready is false, with the reason,
// where that is not possible.
func (i *Inspection) translated(ctx context.Context, s *spot, at offsets.Source, position *offsets.Target) translated {
	standing, err := s.standing()
	if err == nil {
		var answer translated
		if answer, err = i.translator.translate(ctx, standing, at, position); err == nil {
			return answer
		}
	}
	return translated{Answer: groups.Answer{Why: err.Error()}}
}

// passes counts what lies between where a position is stopped and its translation.
func (one *PositionStatus) passes(s *spot, answer translated) {
	if answer.Foreign == nil {
		return
	}
	one.Foreign = &Range{int64(answer.Foreign.From), int64(answer.Foreign.To)}
	one.WouldReadAgain = int64(answer.exact - answer.Target)
	for _, f := range s.state.Map.Foreign() {
		if part := int64(min(f.To, answer.exact) - max(f.From, answer.Target)); part > 0 {
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
	case offsets.BeforeFirst:
		return "before_first"
	case offsets.AtEnd:
		return "at_end"
	case offsets.NotYet:
		return "not_yet"
	}
	return ""
}
