package inspect

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// Pattern is one that an operator has given with a command.
type Pattern struct {
	Where string // the flag
	Kind  string // policy.Topics or policy.Groups
	Text  string // it compiles
}

// Matches is what patterns come to among the names that the source shows now.
type Matches struct {
	Given []*policy.Match // those of the command, in their order
	File  []*policy.Match // those of the flow that make a claim
	// Shares are the share groups that the flow's patterns choose, by name: they have no position that could follow.
	Shares []string
	// Flow selects so many Topics of those that the cluster From shows.
	Flow, From    string
	Topics, Shown int
}

// MatchNames compares the patterns of a command, and those of the flow, with the names on
// the source. A pattern of a command chooses among what the flow selects, by whole
// names on the source; groups without a position in a selected topic are left out. Topics that the
// source does not have any more may be named as well.
func MatchNames(ctx context.Context, v *snapshot.Viewer, given []Pattern, gone ...string) (*Matches, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	seen, err := kafka.Describe(ctx, v.SourceClient, v.SourceCluster, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range gone {
		if _, there := seen.Topics[name]; !there {
			seen.Topics[name] = kafka.TopicDescription{}
		}
	}
	names, err := v.Groups.Names(ctx)
	if err != nil {
		return nil, err
	}
	m := &Matches{File: FileMatches(v, seen, names), Flow: v.Flow.Name(), From: v.Flow.From, Shown: len(seen.Topics)}
	for _, g := range names {
		if g.Share && g.Chosen {
			m.Shares = append(m.Shares, g.Name)
		}
	}
	candidates := map[string][]policy.Candidate{policy.Topics: topicCandidates(v, seen)}
	for _, c := range candidates[policy.Topics] {
		if c.Why == "" {
			m.Topics++
		}
	}
	if slices.ContainsFunc(given, func(p Pattern) bool { return p.Kind == policy.Groups }) {
		if candidates[policy.Groups], err = groupCandidates(ctx, v, names); err != nil {
			return nil, err
		}
	}
	for _, p := range given {
		m.Given = append(m.Given, policy.MatchPattern(p.Where, p.Kind, v.Flow.From, p.Text, candidates[p.Kind]))
	}
	return m, nil
}

// FileMatches compares the flow's own patterns.
func FileMatches(v *snapshot.Viewer, seen *kafka.Description, names []groups.Named) []*policy.Match {
	var topics, committing []string
	for name := range seen.Topics {
		topics = append(topics, name)
	}
	for _, g := range names {
		if g.Commits {
			committing = append(committing, g.Name)
		}
	}
	slices.Sort(topics)
	return append(v.Policy.TopicMatches(topics), v.Policy.GroupMatches(committing)...)
}

func topicCandidates(v *snapshot.Viewer, seen *kafka.Description) []policy.Candidate {
	var list []policy.Candidate
	for name := range seen.Topics {
		c := policy.Candidate{Name: name, Full: name}
		if _, v := v.Policy.Topic(name); !v.Selected && !v.Blocked {
			c.Why = v.Why
		}
		list = append(list, c)
	}
	return list
}

func groupCandidates(ctx context.Context, v *snapshot.Viewer, names []groups.Named) ([]policy.Candidate, error) {
	held, _, err := v.ReadGroups(ctx)
	if err != nil {
		return nil, err
	}
	stands := map[string]bool{}
	for j := range held {
		stands[held[j].Group] = true
	}
	var list []policy.Candidate
	for _, g := range names {
		c := policy.Candidate{Name: g.Name, Full: g.Name}
		switch {
		case !g.Selected:
			c.Why = g.Why
		case !stands[g.Name]:
			c.Why = NoPosition
		}
		list = append(list, c)
	}
	return list, nil
}

// NoPosition is why nothing follows of a group that the flow selects.
const NoPosition = "it has committed no position in a topic that the flow selects"

// LeftOut is a topic or group that the flow's patterns choose and that does not follow.
type LeftOut struct {
	Kind string `json:"kind"` // topic or group
	Name string `json:"name"` // on the source
	Why  string `json:"why"`  // the rule, or what is missing
}

// LeftOutNames lists what the patterns choose and a rule leaves out, by kind and name. What
// Kafka and the program keep for themselves is not worth a line.
func LeftOutNames(v *snapshot.Viewer, seen *kafka.Description, names []groups.Named, held []groups.Held) []LeftOut {
	list := []LeftOut{}
	for name := range seen.Topics {
		if _, v := v.Policy.Topic(name); v.Builtin && !v.Kept {
			list = append(list, LeftOut{policy.Topics, name, v.Why})
		}
	}
	list = append(list, LeftOutGroups(v, names, held)...)
	slices.SortFunc(list, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Name, b.Name)) // topics first
	})
	return list
}

// LeftOutGroups are the groups among these, of which those with a position are held.
func LeftOutGroups(v *snapshot.Viewer, names []groups.Named, held []groups.Held) (list []LeftOut) {
	stands := map[string]bool{}
	for j := range held {
		stands[held[j].Group] = true
	}
	for _, g := range names {
		_, v := v.Policy.Group(g.Name)
		switch {
		case v.Builtin && !v.Kept:
			list = append(list, LeftOut{policy.Groups, g.Name, v.Why})
		case v.Selected && !g.Commits:
			list = append(list, LeftOut{policy.Groups, g.Name, g.Why})
		case v.Selected && !stands[g.Name]:
			list = append(list, LeftOut{policy.Groups, g.Name, NoPosition})
		}
	}
	return list
}

// NotCompared lists the topics that the ledger has a map of and that are not in the snapshot, among those wanted; nil:
// all.
func NotCompared(v *snapshot.Viewer, snap *snapshot.Snapshot, wanted func(topic string) bool) []LeftOut {
	known := map[string]bool{}
	for b := range snap.Books {
		for _, k := range snap.Books[b].Keys() {
			if state := snap.Books[b].State(k); state != nil && state.Start != ledger.NotStarted {
				known[k.Partition.Topic] = true
			}
		}
	}
	list := []LeftOut{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		_, v := v.Policy.Topic(name)
		switch {
		case wanted != nil && !wanted(name) || slices.Contains(snap.Topics, name) || snap.Hidden[name] != nil ||
			v.Builtin && !v.Kept: // filtered, compared, among the problems, or named as left out
			continue
		case v.Selected || v.Blocked:
			v.Why = "the source does not show it any more"
		}
		list = append(list, LeftOut{policy.Topics, name, "copied before, as the ledger says, and not compared: " + v.Why})
	}
	return list
}

// statusNames adds what becomes of patterns, and of names that do not follow.
func statusNames(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, status *FlowStatus) error {
	status.Warnings = []ProblemStatus{}
	var names []groups.Named
	err := snap.HeldErr
	if err == nil {
		names, err = v.Groups.Names(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	status.LeftOut = LeftOutNames(v, snap.Source, names, snap.Held)
	for _, m := range FileMatches(v, snap.Source, names) {
		if m.Nothing() && (m.Kind == policy.Topics || err == nil) {
			status.Warnings = append(status.Warnings, ProblemStatusOf(m))
		}
	}
	return nil
}
