package policy

import (
	"fmt"
	"slices"
)

// Shared answers which topics of one target two flows would both fill, as far as their
// configurations tell: where both name the topic letter by letter. Patterns that could
// choose the same names need not, since each has its own source; nor do flows that each have one in the opposite
// direction: what such flows bring may meet. The fault is the second
// flow's; configurations that Validate refuses are passed over.
func Shared(configs []Config) []Problem {
	type filled struct {
		flow int
		Flow
	}
	var found []Problem
	first := map[visit]filled{} // by target cluster and topic
	for i, c := range configs {
		p, err := New(c)
		if err != nil {
			continue
		}
		for n, text := range c.Topics {
			target, verdict := p.Topic(c.SourcePrefix + unquoted(text))
			if !literal(text) || !verdict.Selected {
				continue
			}
			at := visit{c.To, target}
			before, taken := first[at]
			switch {
			case !taken:
				first[at] = filled{i, p.self}
			case before.flow != i && (before.LeavesOut == Nothing || p.self.LeavesOut == Nothing || !paired(configs, p.self) ||
				!paired(configs, before.Flow)):
				found = append(found, Problem{i, fmt.Sprintf("topics[%d]", n), fmt.Sprintf(
					"flows[%d], %s, fills topic %s of %s too; one target topic is filled by one flow: leave it to one of them, "+
						"or use naming: prefix", before.flow, before.Flow, target, c.To)})
			}
		}
	}
	return found
}

// paired says whether a flow in the opposite direction is there, which leaves out what this one brings.
func paired(configs []Config, f Flow) bool {
	return slices.ContainsFunc(configs, func(c Config) bool { return c.Opposite(f) && c.LeavesOut != Nothing })
}

// literal says whether a pattern matches nothing but the name that it spells.
func literal(text string) bool { return legalName.MatchString(unquoted(text)) }
