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
	Chosen   bool   // the flow's patterns choose it
	Share    bool   // a share group (KIP-932)
	Selected bool   // it follows: it is chosen, and of a kind that can
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
		one := Named{Name: name, Target: target, Commits: true, Chosen: v.Selected, Selected: v.Selected,
			Builtin: v.Builtin && !v.Kept, Why: v.Why}
		switch kind := groups[name].ProtocolType; kind {
		case "", "consumer", "streams": // without a protocol: commits by consumers that assign by hand
		case "share":
			one.Commits, one.Selected, one.Share, one.Why = false, false, true, WhyShare
		default: // Connect's workers
			one.Commits, one.Selected = false, false
			one.Why = fmt.Sprintf("a group of the protocol %q, which commits no offsets", kind)
		}
		list = append(list, one)
	}
	return list, nil
}

// patterns says, of the first list, which pattern of the flow chooses nothing, and
// which groups a built-in rule leaves out.
func (r *reported) patterns(chosen *policy.Policy, groups []Named) {
	if r.names {
		return
	}
	r.names = true
	var names []string
	hidden := map[string][]string{}
	for _, g := range groups {
		if g.Commits {
			names = append(names, g.Name)
		}
		if g.Commits && g.Builtin || g.Share && g.Chosen {
			hidden[g.Why] = append(hidden[g.Why], g.Name)
		}
	}
	for _, m := range chosen.GroupMatches(names) {
		switch {
		case m.Nothing():
			r.log.Warn("pattern chooses nothing", "pattern", m.Pattern, "why", m.Error(), "remedy", m.Remedy())
		case m.Hint() != "":
			r.log.Warn("pattern looks like a glob", "pattern", m.Pattern, "remedy", m.Hint())
		}
	}
	const most = 8
	for _, why := range slices.Sorted(maps.Keys(hidden)) {
		names := hidden[why]
		r.log.Info("groups are left out", "groups", len(names), "first",
			strings.Join(names[:min(len(names), most)], ","), "why", why)
	}
}

// WhyShare is why a share group does not follow: its brokers keep which records were
// delivered and acknowledged, one by one, and no offset up to which all was read.
const WhyShare = "a share group (KIP-932): it has no position that could follow; on the target it begins where its " +
	"share.auto.offset.reset there says"

// shares counts the share groups that the flow's patterns choose.
func shares(list []Named) (n int) {
	for _, g := range list {
		if g.Share && g.Chosen {
			n++
		}
	}
	return n
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
