package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// emptyPattern is a pattern that chooses nothing where an answer was asked for: the
// answer would be about nothing.
type emptyPattern struct {
	*policy.Match
	why error // what else is known of it; nil: nothing
}

func (e emptyPattern) Error() string {
	if e.why != nil {
		return e.why.Error()
	}
	return e.Match.Error()
}

// Remedy tells what may have been meant.
func (e emptyPattern) Remedy() string {
	switch {
	case e.why == nil:
		return e.Match.Remedy()
	case len(e.Near) > 0:
		return e.Match.Remedy() + " " + chunk.Remedy(e.why)
	}
	return chunk.Remedy(e.why)
}

// emptyFlow is a flow that selects nothing, where an answer was asked for.
type emptyFlow struct{ *inspect.Matches }

func (e emptyFlow) Error() string {
	return fmt.Sprintf("flow %s selects no topic of %s, which shows %s", e.Flow, e.From, terminal.Count(e.Shown, "topic"))
}

// Remedy tells what to look at.
func (e emptyFlow) Remedy() string { return replicate.NothingSelected }

// claims are the patterns that a verb goes by.
type claims struct {
	given []inspect.Pattern // by flags
	kinds []string          // of which the file's patterns have to choose something
	// partial: not all flows could be looked at, so that what chooses nothing may choose something there.
	partial bool
	moves   bool // applications are moved: share groups among them begin anew
	kept    bool // topics that are gone from the source count, if the ledger keeps what the flow has set
}

// given is a flag's pattern, none for "".
func given(where, kind, text string) []inspect.Pattern {
	if text == "" {
		return nil
	}
	return []inspect.Pattern{{Where: where, Kind: kind, Text: text}}
}

// claimsOfGroups are those of a verb that is about groups: by --groups, else by the file.
func claimsOfGroups(pattern string) claims {
	if pattern == "" {
		return claims{kinds: []string{policy.Topics, policy.Groups}}
	}
	return claims{given: given("--groups", policy.Groups, pattern), kinds: []string{policy.Topics}}
}

// hold looks whether the patterns choose something on the clusters, before a verb
// answers by them: a flag's in one of the flows, the file's each. The error is all that
// do not. It answers the flows that there is something to say about: not those in which a
// flag's pattern chooses nothing. One that cannot be looked at stays: the verb says why.
func (c claims) hold(cmd *cobra.Command, clusters map[string]kafka.Config,
	flows []settings.Config) ([]settings.Config, error) {
	var seen []*inspect.Matches
	var rest []settings.Config
	var away obstacles
	for _, flow := range flows {
		m, err := c.match(cmd.Context(), clusters, flow)
		if err != nil {
			away, rest = append(away, err), append(rest, flow)
			continue
		}
		seen = append(seen, m)
		if !slices.ContainsFunc(m.Given, (*policy.Match).Nothing) {
			rest = append(rest, flow)
		}
	}
	if len(seen) == 0 && len(away) > 0 {
		return nil, away
	}
	for _, m := range seen {
		if n := len(m.Shares); c.moves && n > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: %s\n  each is %s\n", terminal.Count(n, "share group"),
				terminal.Few(m.Shares),
				groups.WhyShare)
		}
	}
	c.partial = len(away) > 0
	err := c.judge(cmd.ErrOrStderr(), seen)
	for _, m := range seen {
		if i := slices.IndexFunc(m.Given, (*policy.Match).Nothing); i >= 0 && err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "flow %s is left out: %s\n", m.Flow, m.Given[i].Error())
		}
	}
	return rest, err
}

func (c claims) match(ctx context.Context, clusters map[string]kafka.Config,
	flow settings.Config) (*inspect.Matches, error) {
	look, err := snapshot.Open(ctx, clusters, flow, nil)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	var gone []string
	if c.kept {
		if gone, err = targettopics.KeptTopics(ctx, look); err != nil {
			return nil, err
		}
	}
	return inspect.MatchNames(ctx, look, c.given, gone...)
}

// judge says what is wrong with patterns, by flow.
func (c claims) judge(warn io.Writer, seen []*inspect.Matches) error {
	var empty obstacles
	for n := range c.given {
		var nothing obstacles
		for _, m := range seen {
			if m.Given[n].Nothing() {
				nothing = append(nothing, emptyPattern{Match: m.Given[n]})
			}
			hint(warn, m.Given[n])
		}
		if len(nothing) == len(seen) && !c.partial {
			empty = append(empty, nothing...)
		}
	}
	for _, m := range seen {
		if m.Topics == 0 && slices.Contains(c.kinds, policy.Topics) {
			empty = append(empty, emptyFlow{m})
		}
		for _, one := range m.File {
			if one.Nothing() && slices.Contains(c.kinds, one.Kind) {
				empty = append(empty, emptyPattern{Match: one})
				continue
			}
			warnOf(warn, one)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	return empty
}

// warnOf says what is odd about one of the file's patterns.
func warnOf(w io.Writer, m *policy.Match) {
	if !m.Nothing() {
		hint(w, m)
		return
	}
	fmt.Fprintf(w, "warning: %s\n  %s\n", m.Error(), m.Remedy())
}

func hint(w io.Writer, m *policy.Match) {
	if text := m.Hint(); text != "" && !m.Nothing() {
		fmt.Fprintf(w, "warning: %s %q: %s\n", m.Where, m.Pattern, text)
	}
}
