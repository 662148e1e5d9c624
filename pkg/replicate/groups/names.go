package groups

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/policy"
)

// Named is a group of the source, and what the policy makes of it.
type Named struct {
	Name     string // on the source
	Target   string // its name on the target
	Commits  bool   // it is of a kind that commits offsets
	Selected bool
	Builtin  bool   // the patterns choose it, and a built-in rule leaves it out that a pattern could override
	Why      string // which rule decided
}

// Names lists all groups that the source shows, by name.
func (g *Groups) Names(ctx context.Context) ([]Named, error) {
	groups, err := kadm.NewClient(g.source).ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", g.cfg.Source.Explain(err))
	}
	var list []Named
	for _, name := range groups.Groups() {
		target, v := g.cfg.Policy.Group(name)
		one := Named{Name: name, Target: target, Commits: true, Selected: v.Selected, Builtin: v.Builtin && !v.Kept,
			Why: v.Why}
		switch kind := groups[name].ProtocolType; kind {
		case "", "consumer": // without a protocol: commits by consumers that assign by hand
		default: // Connect's workers, share groups
			one.Commits, one.Selected = false, false
			one.Why = fmt.Sprintf("a group of the protocol %q, which commits no offsets", kind)
		}
		list = append(list, one)
	}
	return list, nil
}

// patterns says, of the first list, which pattern of the flow chooses nothing, and
// which groups a built-in rule leaves out.
func (t *told) patterns(chosen *policy.Policy, groups []Named) {
	if t.names {
		return
	}
	t.names = true
	var names []string
	hidden := map[string][]string{}
	for _, g := range groups {
		if g.Commits {
			names = append(names, g.Name)
		}
		if g.Commits && g.Builtin {
			hidden[g.Why] = append(hidden[g.Why], g.Name)
		}
	}
	for _, m := range chosen.GroupMatches(names) {
		switch {
		case m.Nothing():
			t.log.Warn("pattern chooses nothing", "pattern", m.Pattern, "why", m.Error(), "remedy", m.Remedy())
		case m.Hint() != "":
			t.log.Warn("pattern looks like a glob", "pattern", m.Pattern, "remedy", m.Hint())
		}
	}
	const most = 8
	for _, why := range slices.Sorted(maps.Keys(hidden)) {
		names := hidden[why]
		t.log.Info("groups are left out", "groups", len(names), "first",
			strings.Join(names[:min(len(names), most)], ","), "why", why)
	}
}

// commits are those of a list that commit offsets, and of them the selected ones.
func commits(list []Named) (listed int, selected []group) {
	list = slices.DeleteFunc(slices.Clone(list), func(n Named) bool { return !n.Commits })
	for _, n := range list {
		if n.Selected {
			selected = append(selected, group{name: n.Name, target: n.Target})
		}
	}
	return len(list), selected
}
