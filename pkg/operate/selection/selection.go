package selection

import (
	"context"
	"fmt"
	"slices"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// EmptyPatternError is a pattern that chooses nothing where an answer was asked for: the
// answer would be about nothing.
type EmptyPatternError struct {
	*policy.Match
	Why error // what else is known of it; nil: nothing
}

func (e EmptyPatternError) Error() string {
	if e.Why != nil {
		return e.Why.Error()
	}
	return e.Match.Error()
}

// Remedy tells what may have been meant.
func (e EmptyPatternError) Remedy() string {
	switch {
	case e.Why == nil:
		return e.Match.Remedy()
	case len(e.Near) > 0:
		return e.Match.Remedy() + " " + chunk.Remedy(e.Why)
	}
	return chunk.Remedy(e.Why)
}

// EmptyFlowError is a flow that selects nothing, where an answer was asked for.
type EmptyFlowError struct{ *inspect.Matches }

func (e EmptyFlowError) Error() string {
	topics := "topics"
	if e.Shown == 1 {
		topics = "topic"
	}
	return fmt.Sprintf("flow %s selects no topic of %s, which shows %d %s", e.Flow, e.From, e.Shown, topics)
}

// Remedy tells what to look at.
func (e EmptyFlowError) Remedy() string { return policy.NothingSelected }

// Claims are the patterns that a verb goes by.
type Claims struct {
	Given []inspect.Pattern // by flags
	Kinds []string          // of which the file's patterns have to choose something
	Moves bool              // applications are moved: share groups among them begin anew
	// Tolerant: the verb tells by itself of a source that does not answer; patterns cannot be held against names then.
	Tolerant bool
	// Gone answers topics that are gone from the source and count all the same; nil: none does.
	Gone func(context.Context, *snapshot.Viewer) ([]string, error)
}

// Given is a flag's pattern, none for "".
func Given(where, kind, text string) []inspect.Pattern {
	if text == "" {
		return nil
	}
	return []inspect.Pattern{{Where: where, Kind: kind, Text: text}}
}

// OfGroups are those of a verb that is about groups: by --groups, else by the file.
func OfGroups(pattern string) Claims {
	if pattern == "" {
		return Claims{Kinds: []string{policy.Topics, policy.Groups}}
	}
	return Claims{Given: Given("--groups", policy.Groups, pattern), Kinds: []string{policy.Topics}}
}

// Held is what claims come to on the clusters.
type Held struct {
	// Flows are those that there is something to say about: not those in which a flag's pattern chooses nothing. One
	// that could not be looked at stays: the verb says why.
	Flows    []settings.Config
	Seen     []*inspect.Matches // of the flows that could be looked at
	Warnings []string           // what is odd about patterns, and which flows are left out
	Problems []error            // patterns that choose nothing; or why no flow could be looked at
}

// Hold looks whether the patterns choose something on the clusters, before a verb
// answers by them: a flag's in one of the flows, the file's each.
func (c Claims) Hold(ctx context.Context, clusters map[string]kafka.Config, flows []settings.Config) Held {
	var held Held
	var away []error
	for _, flow := range flows {
		m, err := c.match(ctx, clusters, flow)
		if err != nil {
			away, held.Flows = append(away, err), append(held.Flows, flow)
			continue
		}
		held.Seen = append(held.Seen, m)
		if !slices.ContainsFunc(m.Given, (*policy.Match).Nothing) {
			held.Flows = append(held.Flows, flow)
		}
	}
	if len(held.Seen) == 0 && len(away) > 0 {
		if !c.Tolerant {
			held.Problems = away
		}
		return held
	}
	held.Warnings, held.Problems = c.judge(held.Seen, len(away) > 0)
	for _, m := range held.Seen {
		if i := slices.IndexFunc(m.Given, (*policy.Match).Nothing); i >= 0 && len(held.Problems) == 0 {
			held.Warnings = append(held.Warnings, fmt.Sprintf("flow %s is left out: %s", m.Flow, m.Given[i].Error()))
		}
	}
	return held
}

func (c Claims) match(ctx context.Context, clusters map[string]kafka.Config,
	flow settings.Config) (*inspect.Matches, error) {
	open := snapshot.Open
	if c.Tolerant {
		open = snapshot.OpenTolerant
	}
	v, err := open(ctx, clusters, flow, nil)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	if v.Away != nil {
		return nil, v.Away
	}
	var gone []string
	if c.Gone != nil {
		if gone, err = c.Gone(ctx, v); err != nil {
			return nil, err
		}
	}
	return inspect.MatchNames(ctx, v, c.Given, gone...)
}

// Judge says what is odd, and what is wrong, with the patterns in the one flow that there is.
func (c Claims) Judge(seen *inspect.Matches) (warnings []string, problems []error) {
	return c.judge([]*inspect.Matches{seen}, false)
}

// judge goes by flow. Partial: not all flows could be looked at, so that what chooses nothing here may choose something
// there.
func (c Claims) judge(seen []*inspect.Matches, partial bool) (warnings []string, problems []error) {
	for n := range c.Given {
		var nothing []error
		for _, m := range seen {
			if m.Given[n].Nothing() {
				nothing = append(nothing, EmptyPatternError{Match: m.Given[n]})
			}
			warnings = append(warnings, hint(m.Given[n])...)
		}
		if len(nothing) == len(seen) && !partial {
			problems = append(problems, nothing...)
		}
	}
	for _, m := range seen {
		if m.Topics == 0 && slices.Contains(c.Kinds, policy.Topics) {
			problems = append(problems, EmptyFlowError{m})
		}
		for _, one := range m.File {
			switch {
			case !one.Nothing():
				warnings = append(warnings, hint(one)...)
			case slices.Contains(c.Kinds, one.Kind):
				problems = append(problems, EmptyPatternError{Match: one})
			default:
				warnings = append(warnings, fmt.Sprintf("warning: %s\n  %s", one.Error(), one.Remedy()))
			}
		}
	}
	return warnings, problems
}

// hint is what is odd about a pattern that chooses something, if anything is.
func hint(m *policy.Match) []string {
	if text := m.Hint(); text != "" && !m.Nothing() {
		return []string{fmt.Sprintf("warning: %s %q: %s", m.Where, m.Pattern, text)}
	}
	return nil
}
