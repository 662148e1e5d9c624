package groups

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Held is a group as both clusters hold it, before any decision.
type Held struct {
	Group     string     // on the source
	Target    string     // its name on the target
	State     string     // on the target, as "Empty" or "Stable"; "" when the target has no such group or does not show it
	Members   int        // active on the target
	Positions []Position // sorted by partition; without a decision, except where the target gave an error
	Err       error      // why it could not be read
}

// Look reads what Sync reads, of all partitions, and writes nothing. Groups are
// sorted by name; selected groups without any position in a selected topic are left
// out. listed counts the source's groups: 0 may mean that a right is missing.
func (g *Groups) Look(ctx context.Context) (held []Held, listed int, err error) {
	listed, selected, err := g.followed(ctx)
	if err != nil {
		return nil, 0, err
	}
	groups, err := g.readSource(ctx, selected, nil)
	if err != nil {
		return nil, 0, err
	}
	if err := g.readTarget(ctx, g.target, groups); err != nil {
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
				g.trouble(p, "Describe", p.Err)
			}
		}
	}
	return held, listed, g.lookAtMembers(ctx, held)
}

// lookAtMembers fills in states and members on the target. Most groups are empty
// there, which the list tells already; only the others are described.
func (g *Groups) lookAtMembers(ctx context.Context, held []Held) error {
	admin := kadm.NewClient(g.target)
	list, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", g.cfg.Target.Explain(err))
	}
	var busy []string
	for i := range held {
		held[i].State = list[held[i].Target].State
		switch held[i].State {
		case "", "Empty", "Dead":
		default:
			busy = append(busy, held[i].Target)
		}
	}
	if len(busy) == 0 {
		return nil
	}
	classic, err := admin.DescribeGroups(ctx, busy...)
	if err != nil && len(classic) == 0 {
		return fmt.Errorf("describe groups: %w", g.cfg.Target.Explain(err))
	}
	members := map[string]int{}
	var newer []string // of the consumer protocol of KIP-848
	for _, name := range busy {
		switch group := classic[name]; {
		case errors.Is(group.Err, kerr.GroupIDNotFound) || group.State == "Dead":
			newer = append(newer, name)
		default:
			members[name] = len(group.Members)
		}
	}
	if len(newer) > 0 {
		described, err := admin.DescribeConsumerGroups(ctx, newer...)
		if err != nil && len(described) == 0 {
			return fmt.Errorf("describe groups: %w", g.cfg.Target.Explain(err))
		}
		for _, name := range newer {
			members[name] = len(described[name].Members)
		}
	}
	for i := range held {
		held[i].Members = members[held[i].Target]
	}
	return nil
}
