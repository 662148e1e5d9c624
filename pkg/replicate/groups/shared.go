package groups

import (
	"context"
	"slices"

	"replicator/pkg/offsets"
)

// Rule is how one group's positions are decided about.
type Rule struct {
	Flow     string   // whose marks are ours
	Opposite []string // names of the flows in the opposite direction; their marks are not ours
	// Shared: the group is one application, which runs on one side at a time. On both sides its position means that it
	// has read, on either side, all that stands before it. So both count together, and what a consumer has committed on
	// the target only moves forwards, over what the group has read on the source.
	Shared bool
}

// RuleOf is the rule for a group of the source.
func (g *Groups) RuleOf(group string) Rule {
	rule := Rule{Flow: g.cfg.Flow, Shared: g.cfg.Policy.Shared(group)}
	if names := g.opposite.Load(); names != nil {
		rule.Opposite = *names
	}
	return rule
}

// Place is where a group stands on the target that has committed that there, and source on the source. A shared one has
// read what is before its position there, unless that is ours and was derived from one that was set back since. Where
// the position on the source follows it in turn, nobody has set that back: the source was lost, its log is another one,
// and what the group has read, shared or not, is told by the position on the target.
func (r Rule) Place(source Committed, target *Committed) Place {
	if target == nil {
		return Place{}
	}
	at := offsets.Target(target.Offset)
	_, follows := r.follows(source)
	return Place{At: &at, Read: follows || r.Shared && !r.behind(source, *target)}
}

// behind says that a position of ours on the target was derived from one on the source that is higher than today's:
// somebody has set that back, or its log is another one.
func (r Rule) behind(source, target Committed) bool {
	mark, _ := ParseMark(target.Metadata)
	return Ours(r.Flow, target) && source.Offset < int64(mark.Source)
}

// Decide says what to do about a position, as [Decide] does for a group that is not shared.
func (r Rule) Decide(source Committed, target *Committed, a Answer) Decision {
	if !r.Shared || target == nil || Ours(r.Flow, *target) {
		d := Decide(r.Flow, source, target, a)
		if r.Shared && d.Kind == InSync && r.behind(source, *target) {
			d.Write, d.Kind, d.Why = true, Moved, "it was derived from a log of the source that is gone"
		}
		return d
	}
	d := Decide(r.Flow, source, nil, a)
	switch {
	case r.void(source, target):
		return Decision{Kind: InSync, Why: "it was set back on the target, which the position on the source still follows"}
	case !a.Ready || d.Kind == BeyondEnd || d.Kind == NoAnswer:
		d.Write = d.Write && a.Reached.Passes > 0
		return d
	case a.Passes == 0: // to pass a marker is no reason to put a mark in the place of what a consumer has committed
		return Decision{Kind: InSync, Rule: a.Rule, Why: "the group has read nothing on the source that comes next there"}
	}
	d.Why = "the group has read on the source what comes next on the target"
	return d
}

// UsedOnTarget is the decision about all positions of a shared group that has members on the target.
func UsedOnTarget(onSource int) Decision {
	if onSource > 0 {
		return Decision{Kind: OnBothSides, Why: "a shared group runs on one side at a time, and this one has members on both"}
	}
	return Decision{Kind: InSync, Why: "the group is used on the target"}
}

// countMembers fills in which shared groups have members.
func (g *Groups) countMembers(ctx context.Context, groups []group) error {
	var names, there []string
	for i := range groups {
		if groups[i].rule.Shared {
			names, there = append(names, groups[i].name), append(there, groups[i].target)
		}
	}
	if len(names) == 0 {
		return nil
	}
	source, err := present(ctx, g.source, g.cfg.Source, names)
	if err != nil {
		return err
	}
	target, err := present(ctx, g.target.client, g.cfg.Target, there)
	if err != nil {
		return err
	}
	for i := range groups {
		one := &groups[i]
		one.onSource, one.onTarget = source[one.name].Members, target[one.target].Members
	}
	return nil
}

// Asks says whether the decision about a position needs its translation.
func (r Rule) Asks(target *Committed) bool { return r.Shared || target == nil || Ours(r.Flow, *target) }

// void says that the source's position follows one on the target that a consumer has set back since: it will be set
// back as well.
func (r Rule) void(source Committed, target *Committed) bool {
	mark, is := r.follows(source)
	return is && target.Offset < int64(mark.Source)
}

// follows says whether the opposite flow has put the position on the source where it stands, and from where on the
// target: what is source for that flow.
func (r Rule) follows(source Committed) (Mark, bool) {
	mark, ok := ParseMark(source.Metadata)
	is := ok && int64(mark.Target) == source.Offset &&
		slices.ContainsFunc(r.Opposite, func(flow string) bool { return shortFlow(flow) == mark.Flow })
	return mark, is
}

// Side is where a shared group lives.
type Side string

// The sides, as far as members and commits tell.
const (
	OnSource   Side = "source"
	OnTarget   Side = "target"
	OnBoth     Side = "both"    // members on both, which is against what shared means
	OnSomeSide Side = "unknown" // without members, and no commit tells where it was last
)

// SideOf says where a group lives that has so many members on either side.
func (r Rule) SideOf(onSource, onTarget int, positions []Position) Side {
	switch {
	case onSource > 0 && onTarget > 0:
		return OnBoth
	case onSource > 0:
		return OnSource
	case onTarget > 0:
		return OnTarget
	}
	source, target := false, false // who has committed last: not one of the flows
	for i := range positions {
		p := &positions[i]
		_, follows := r.follows(p.Source)
		ours := p.Target == nil || Ours(r.Flow, *p.Target)
		source = source || !follows && ours
		target = target || follows && !ours
	}
	switch {
	case source && !target:
		return OnSource
	case target && !source:
		return OnTarget
	}
	return OnSomeSide
}
