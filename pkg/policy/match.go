package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The kinds of names.
const (
	Topics = "topic"
	Groups = "group"
	// SharedGroups are groups; their patterns are listed in shared_groups.
	SharedGroups = "shared_group"
)

// Candidate is a name that a pattern may mean.
type Candidate struct {
	Name string // as the pattern is compared with it
	Full string // as its cluster shows it
	Why  string // why it is not chosen even where the pattern matches it; "": it is
}

// Match is what one pattern comes to among the names that a cluster shows.
type Match struct {
	Where   string // the flag, or the key of the flow: --groups, topics[1]
	Pattern string
	Kind    string      // topic or group
	Cluster string      // whose names they are
	Chosen  []string    // what it chooses
	LeftOut []Candidate // what it matches, and something else leaves out
	Near    []string    // where it chooses nothing: names that look like it
	// Glob is the pattern that was meant, where a * looks like a shell's and would choose more; else "".
	Glob string
}

// Nothing says that the pattern chooses nothing.
func (m *Match) Nothing() bool { return len(m.Chosen) == 0 }

func (m *Match) Error() string {
	text := fmt.Sprintf("%s %q matches no %s of %s", m.Where, m.Pattern, m.Kind, m.Cluster)
	if n := len(m.LeftOut); n > 0 {
		first := m.LeftOut[0]
		text = fmt.Sprintf("%s %q chooses no %s of %s: it matches %s, which is left out: %s", m.Where, m.Pattern, m.Kind,
			m.Cluster, first.Full, first.Why)
		if n > 1 {
			text += fmt.Sprintf(" (and %d more)", n-1)
		}
	}
	return text
}

// Remedy tells what may have been meant.
func (m *Match) Remedy() string {
	switch {
	case m.Glob != "" && len(m.LeftOut) == 0:
		return m.Hint()
	case len(m.Near) > 0:
		return fmt.Sprintf("did you mean %s?", strings.Join(m.Near, " or "))
	case len(m.LeftOut) > 0:
		return "see 'replicator check --connect' for what is left out and why"
	}
	return fmt.Sprintf("look at the spelling; patterns match whole names, and a %s that the program's user may not "+
		"Describe is hidden from it", m.Kind)
}

// Hint says what a * does, where it looks like a shell's; else "".
func (m *Match) Hint() string {
	if m.Glob == "" {
		return ""
	}
	return fmt.Sprintf("patterns are regular expressions: in %q the * only repeats the character before it; did you "+
		"mean %q?", m.Pattern, m.Glob)
}

// MatchPattern compares a pattern that compiles with all names that it may mean.
func MatchPattern(where, kind, cluster, text string, names []Candidate) *Match {
	re := anchored(text)
	m := &Match{Where: where, Pattern: text, Kind: kind, Cluster: cluster}
	var others []Candidate
	for _, c := range names {
		switch {
		case !re.MatchString(c.Name):
			if c.Why == "" {
				others = append(others, c)
			}
		case c.Why != "":
			m.LeftOut = append(m.LeftOut, c)
		default:
			m.Chosen = append(m.Chosen, c.Full)
		}
	}
	slices.Sort(m.Chosen)
	slices.SortFunc(m.LeftOut, func(a, b Candidate) int { return cmp.Compare(a.Full, b.Full) })
	if glob := globbed(text); glob != text {
		meant, err := regexp.Compile(`^(?:` + glob + `)$`)
		if err == nil && slices.ContainsFunc(others, func(c Candidate) bool { return meant.MatchString(c.Name) }) {
			m.Glob = glob
		}
	}
	if m.Nothing() && len(m.LeftOut) == 0 {
		m.Near = near(text, others)
	}
	return m
}

// everything is what a pattern is that makes no claim about any name.
var everything = map[string]bool{".*": true, ".+": true, "": true}

// TopicMatches says what each of the flow's patterns comes to among a cluster's topics.
func (p *Policy) TopicMatches(names []string) []*Match {
	return p.topics.matches(p.self.From, p.candidates(names, func(name string) Verdict {
		_, v := p.Topic(name)
		return v
	}))
}

// GroupMatches is the same for groups.
func (p *Policy) GroupMatches(names []string) []*Match {
	candidates := p.candidates(names, func(name string) Verdict {
		_, v := p.Group(name)
		return v
	})
	list := p.groups.matches(p.self.From, candidates)
	for _, m := range p.shared.matches(p.self.From, candidates) {
		m.Kind = Groups
		list = append(list, m)
	}
	return list
}

// candidates are names of the source with what the flow makes of them; names that are
// not ours are none.
func (p *Policy) candidates(names []string, judge func(string) Verdict) []Candidate {
	var list []Candidate
	for _, name := range names {
		logical, _, ours := p.ours(name)
		if !ours {
			continue
		}
		c := Candidate{Name: logical, Full: name}
		if v := judge(name); !v.Selected && !v.Blocked { // what is blocked is reported by itself
			c.Why = v.Why
		}
		list = append(list, c)
	}
	return list
}

// matches compares each pattern that makes a claim.
func (s *selection) matches(cluster string, names []Candidate) []*Match {
	var list []*Match
	for i, p := range s.include {
		if !everything[p.text] {
			list = append(list, MatchPattern(fmt.Sprintf("%ss[%d]", s.kind, i), s.kind, cluster, p.text, s.without(p, names)))
		}
	}
	return list
}

// without gives the names as one pattern alone sees them: that another one chooses a
// name is no reason to leave it out.
func (s *selection) without(p pattern, names []Candidate) []Candidate {
	list := slices.Clone(names)
	for i := range list {
		if c := &list[i]; c.Why != "" && !p.re.MatchString(c.Name) {
			c.Why = "" // another pattern might have meant it: it is near
		}
	}
	return list
}

// globbed is what a pattern means to somebody who thinks of a shell's: each * that
// repeats a character of a name becomes ".*".
func globbed(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if text[i] == '*' && (i == 0 || isNameByte(text[i-1]) && (i < 2 || text[i-2] != '\\')) {
			b.WriteByte('.')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// mostNear bounds how many names are offered.
const mostNear = 3

// near finds names that differ from a pattern's letters by little; what a wildcard at
// either end stands for does not count.
func near(text string, names []Candidate) []string {
	open, tail := strings.HasPrefix(text, ".*"), strings.HasSuffix(text, ".*") || strings.HasSuffix(text, ".+")
	letters := lettersOf(text)
	if len(letters) < 2 {
		return nil
	}
	type close struct {
		name     string
		distance int
	}
	var list []close
	for _, c := range names {
		if d := distance(letters, c.Name, open, tail); d <= 1+len(letters)/5 {
			list = append(list, close{c.Full, d})
		}
	}
	slices.SortFunc(list, func(a, b close) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var found []string
	for _, c := range list[:min(len(list), mostNear)] {
		found = append(found, c.name)
	}
	return found
}

// lettersOf is what a pattern spells, without its wildcards and escapes.
func lettersOf(text string) string {
	text = strings.NewReplacer(`.*`, "", `.+`, "", `\`, "", `*`, "", `^`, "", `$`, "").Replace(text)
	return strings.ToLower(strings.Trim(text, "()"))
}

// distance counts the letters to be put in, taken out, changed or swapped with their
// neighbour to get from a to b; open and tail: what b has more at that end is free.
func distance(a, b string, open, tail bool) int {
	b = strings.ToLower(b)
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
		for j := range b {
			switch {
			case i > 0:
				cost := 1
				if a[i-1] == b[j] {
					cost = 0
				}
				rows[i][j+1] = min(rows[i-1][j]+cost, rows[i-1][j+1]+1, rows[i][j]+1)
				if i > 1 && j > 0 && a[i-1] == b[j-1] && a[i-2] == b[j] {
					rows[i][j+1] = min(rows[i][j+1], rows[i-2][j-1]+1)
				}
			case !open:
				rows[i][j+1] = j + 1
			}
		}
	}
	last := rows[len(a)]
	if tail {
		return slices.Min(last)
	}
	return last[len(b)]
}

// NothingSelected is what to look at where a flow selects no topic.
const NothingSelected = "look at topics and exclude_topics, and whether this is the right cluster; topics that the " +
	"program's user may not Describe are hidden from it"
