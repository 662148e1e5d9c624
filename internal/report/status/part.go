package status

import (
	"io"
	"regexp"
	"slices"

	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
)

// ShowAll prints flows with all that is left of them; each: of every partition what happened there, not of topics.
func ShowAll(w io.Writer, seen []*inspect.FlowStatus, part *Part, each bool) error {
	p := terminal.NewPrinter(w)
	for i, status := range seen {
		if i > 0 {
			p.Line("")
		}
		heading(p, status)
		for _, n := range attention(status, each) {
			p.Note(n.fact, n.remedy)
		}
		switch {
		case len(status.Partitions) == 0 && part.Behind:
			p.Line("no partition is behind, stopped or waiting")
		case len(status.Partitions) == 0 && part.Topics != nil:
			p.Line("no topic of this flow matches")
		default:
			partitions(p, status)
		}
		positions(p, status)
		report.LeftOut(p, status.LeftOut)
	}
	return p.Err()
}

// Part is which part of the flows is shown; the zero Part is all.
type Part struct {
	Topics *regexp.Regexp // by their whole names on the source; nil: all
	Behind bool           // only what is behind, stopped, or does not stand right
}

// Some says whether anything may be left out.
func (n *Part) Some() bool { return n.Behind || n.Topics != nil }

// Of leaves out what is not to be shown.
func (n *Part) Of(seen []*inspect.FlowStatus) []*inspect.FlowStatus {
	if !n.Some() {
		return seen
	}
	part := make([]*inspect.FlowStatus, len(seen))
	for i, s := range seen {
		one := *s
		one.Partitions = slices.DeleteFunc(slices.Clone(s.Partitions), func(p inspect.PartitionStatus) bool {
			return n.Topics != nil && !n.Topics.MatchString(p.Topic) ||
				n.Behind && p.Phase.Free() && p.Behind == 0 && !p.EndsUnknown
		})
		one.Groups = n.groups(s.Groups)
		part[i] = &one
	}
	return part
}

// groups leaves out positions, and groups of which none is left.
func (n *Part) groups(all []inspect.GroupStatus) []inspect.GroupStatus {
	list := []inspect.GroupStatus{}
	for _, g := range all {
		g.Positions = slices.DeleteFunc(slices.Clone(g.Positions), func(p inspect.PositionStatus) bool {
			return n.Topics != nil && !n.Topics.MatchString(p.Topic) || n.Behind && p.Standing() == "right"
		})
		if len(g.Positions) > 0 || g.Error != "" {
			list = append(list, g)
		}
	}
	return list
}
