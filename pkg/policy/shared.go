package policy

import "fmt"

// Shared answers which topics of one target two flows would both fill, as far as their
// configurations tell: where both name the topic letter by letter. Patterns that could
// choose the same names need not, since each has its own source. The fault is the second
// flow's; configurations that Validate refuses are passed over.
func Shared(configs []Config) []Problem {
	type filled struct {
		flow int
		name string
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
				first[at] = filled{i, p.self.String()}
			case before.flow != i:
				found = append(found, Problem{i, fmt.Sprintf("topics[%d]", n), fmt.Sprintf(
					"flows[%d], %s, fills topic %s of %s too; one target topic is filled by one flow: leave it to one of them, "+
						"or use naming: prefix", before.flow, before.name, target, c.To)})
			}
		}
	}
	return found
}

// literal says whether a pattern matches nothing but the name that it spells.
func literal(text string) bool { return legalName.MatchString(unquoted(text)) }
