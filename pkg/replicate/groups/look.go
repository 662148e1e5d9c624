package groups

import "context"

// Held is a group as both clusters hold it, before any decision.
type Held struct {
	Group   string // on the source
	Target  string // its name on the target
	State   string // on the target, as "Empty" or "Stable"; "" when the target has no such group or does not show it
	Members int    // active on the target
	// Of a shared group: how many members it has on the source, and on which side it lives. Side is "" for others.
	SourceMembers int
	Side          Side
	Positions     []Position // sorted by partition; without a decision, except where the target gave an error
	Err           error      // why it could not be read
}

// Look reads what Sync reads, of all partitions, and writes nothing. Groups are
// sorted by name; selected groups without any position in a selected topic are left
// out. listed counts the source's groups: 0 may mean that a right is missing.
func (g *Groups) Look(ctx context.Context) (held []Held, listed int, err error) {
	_, listed, selected, err := g.followed(ctx)
	if err != nil {
		return nil, 0, err
	}
	groups, err := g.readSource(ctx, selected, nil)
	if err != nil {
		return nil, 0, err
	}
	if err := g.target.read(ctx, g.target.client, groups); err != nil {
		return nil, 0, err
	}
	held = make([]Held, len(groups))
	for i := range groups {
		held[i] = Held{Group: groups[i].name, Target: groups[i].target, Positions: groups[i].positions}
		if f := groups[i].failure; f != nil {
			held[i].Err, held[i].Positions = f.Err, nil
		}
		for j := range held[i].Positions {
			if p := &held[i].Positions[j]; p.Err != nil {
				g.target.trouble(p, "Describe", p.Err)
			}
		}
	}
	return held, listed, g.lookAtMembers(ctx, held)
}

// lookAtMembers fills in states and members on the target.
func (g *Groups) lookAtMembers(ctx context.Context, held []Held) error {
	names := make([]string, len(held))
	for i := range held {
		names[i] = held[i].Target
	}
	seen, err := present(ctx, g.target.client, g.cfg.Target, names)
	if err != nil {
		return err
	}
	for i := range held {
		held[i].State, held[i].Members = seen[held[i].Target].State, seen[held[i].Target].Members
	}
	return g.findSides(ctx, held)
}

// findSides fills in where the shared groups live.
func (g *Groups) findSides(ctx context.Context, held []Held) error {
	var shared []*Held
	var names []string
	for i := range held {
		if g.RuleOf(held[i].Group).Shared {
			shared, names = append(shared, &held[i]), append(names, held[i].Group)
		}
	}
	if len(names) == 0 {
		return nil
	}
	seen, err := g.OnSource(ctx, names)
	if err != nil {
		return err
	}
	for _, h := range shared {
		h.SourceMembers = seen[h.Group].Members
		h.Side = g.RuleOf(h.Group).SideOf(h.SourceMembers, h.Members, h.Positions)
	}
	return nil
}
