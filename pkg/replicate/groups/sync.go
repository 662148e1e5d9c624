package groups

import (
	"context"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// Report is what one round did.
type Report struct {
	Listed    int          // groups on the source
	Selected  int          // of them, those that the policy selects
	Shares    int          // share groups that the policy selects, beside them: nothing of theirs can follow
	Positions []Position   // of the selected groups, each with what was decided about it
	Failed    []Failure    // groups whose positions could not be read
	Kinds     map[Kind]int // how many Positions and Failed of each kind
}

// Settled says that another round would change nothing while the clusters stay as
// they are.
func (r *Report) Settled() bool {
	for kind, n := range r.Kinds {
		if n > 0 && !kind.Settled() {
			return false
		}
	}
	return true
}

// Sync makes one round: it reads what the selected groups have committed on the
// source in the partitions that are mine, then calls ends with those partitions
// (sorted, each once; not at all without any), then reads what the target holds,
// translates, and writes what differs. The target is read after ends, as late as
// possible before the writing. Positions of the report are sorted by group and
// partition. An error means that a cluster could not be asked, or is what ends gave;
// trouble with one group is in the report instead.
func (g *Groups) Sync(ctx context.Context, mine func(chunk.Partition) bool,
	ends func(context.Context, []chunk.Partition) error, translate Translator) (Report, error) {
	list, listed, selected, err := g.followed(ctx)
	if err != nil {
		return Report{}, err
	}
	g.reported.listed(listed)
	g.reported.patterns(g.cfg.Policy, list)
	groups, err := g.readSource(ctx, selected, mine)
	if err != nil {
		return Report{}, err
	}
	if concerned := partitions(groups); len(concerned) > 0 {
		if err := ends(ctx, concerned); err != nil {
			return Report{}, fmt.Errorf("find the target's ends: %w", err)
		}
	}
	if err := g.countMembers(ctx, groups); err != nil {
		return Report{}, err
	}
	looked := time.Now()
	if err := g.target.read(ctx, g.target.client, groups); err != nil {
		return Report{}, err
	}
	g.move(ctx, groups, looked, translate)
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	report := summarise(groups)
	report.Listed, report.Selected, report.Shares = listed, len(selected), shares(list)
	g.reported.round(groups)
	return report, nil
}

// partitions are those in which the groups have positions.
func partitions(groups []group) []chunk.Partition {
	seen := map[chunk.Partition]bool{}
	var list []chunk.Partition
	for i := range groups {
		for j := range groups[i].positions {
			if p := groups[i].positions[j].Partition; !seen[p] {
				seen[p] = true
				list = append(list, p)
			}
		}
	}
	slices.SortFunc(list, chunk.Partition.Compare)
	return list
}

// move decides about every position and writes group by group.
func (g *Groups) move(ctx context.Context, groups []group, looked time.Time, translate Translator) {
	pool := newPool(ctx, g.target, looked)
	for i := range groups {
		one := &groups[i]
		if one.failure != nil || ctx.Err() != nil {
			continue
		}
		writes := 0
		for j := range one.positions {
			g.decide(one, &one.positions[j], translate)
			if one.positions[j].Decision.Write {
				writes++
			}
		}
		if writes > 0 {
			pool.give(one)
		}
	}
	pool.wait()
}

// decide fills in the decision about one position that was read on both sides.
func (g *Groups) decide(one *group, p *Position, translate Translator) {
	switch {
	case p.Err != nil:
		g.target.trouble(p, "Describe", p.Err)
		return
	case one.onTarget > 0:
		p.Decision = UsedOnTarget(one.onSource)
		return
	}
	var a Answer
	if one.rule.Asks(p.Target) {
		a = translate(p.Partition, offsets.Source(p.Source.Offset), one.rule.Place(p.Source, p.Target))
	}
	p.Decision = one.rule.Decide(p.Source, p.Target, a)
}

// summarise makes a report of a round's groups.
func summarise(groups []group) Report {
	r := Report{Kinds: map[Kind]int{}}
	n := 0
	for i := range groups {
		n += len(groups[i].positions)
	}
	r.Positions = make([]Position, 0, n)
	for i := range groups {
		if f := groups[i].failure; f != nil {
			r.Failed = append(r.Failed, *f)
			r.Kinds[f.Kind]++
			continue
		}
		for j := range groups[i].positions {
			r.Kinds[groups[i].positions[j].Decision.Kind]++
		}
		r.Positions = append(r.Positions, groups[i].positions...)
	}
	return r
}
