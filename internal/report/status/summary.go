package status

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/partition"
)

// Show prints flows so that they fit a terminal: each in full where that is short,
// else what it comes to, what needs somebody, and the topics that are worst.
func Show(w io.Writer, seen []*inspect.FlowStatus) error {
	p := terminal.NewPrinter(w)
	height := terminal.Height - 1 // for the prompt
	if len(seen) > 1 {
		for _, s := range seen {
			heading(p, s)
		}
		p.Line("")
		height -= 2*len(seen) + 1
	}
	each := max(height/max(len(seen), 1), 8)
	for i, s := range seen {
		if i > 0 {
			p.Line("")
		}
		if text := terminal.Rendered(func(p *terminal.Printer) { flow(p, s) }); terminal.Lines(text) <= each {
			p.Text(text)
			continue
		}
		short(p, s, each)
	}
	return p.Err()
}

// short prints a flow in about so many lines.
func short(p *terminal.Printer, s *inspect.FlowStatus, height int) {
	heading := terminal.Rendered(func(p *terminal.Printer) { heading(p, s) })
	groups := terminal.Rendered(func(p *terminal.Printer) {
		groupsInShort(p, s)
		leftOutInShort(p, s.LeftOut)
	})
	left := height - terminal.Lines(heading) - terminal.Lines(groups) - 1 // the last line says how to see more
	p.Text(heading)
	remarks := attention(s, false)
	room := left * 2 / 3
	for i, r := range remarks {
		text := terminal.Rendered(func(p *terminal.Printer) { p.Note(r.fact, r.remedy) })
		if i > 0 && terminal.Lines(text) > room {
			p.Line("! and %d more like these: --all shows them", len(remarks)-i)
			left--
			break
		}
		p.Text(text)
		room -= terminal.Lines(text)
		left -= terminal.Lines(text)
	}
	topicsInShort(p, s, max(left, 4))
	p.Text(groups)
	p.Line("more: status --behind, --topic NAME, or --all")
}

// topicTotal is what the partitions of a topic come to.
type topicTotal struct {
	name                string
	partitions, unknown int
	behind              int64
	phases              map[partition.Phase]int
}

// badness orders topics: what is stopped first, then what is not known.
func (t *topicTotal) badness() int {
	free := t.phases[partition.PhaseCopying] + t.phases[partition.PhaseIdle]
	switch {
	case t.phases[partition.PhaseStopped] > 0:
		return 3
	case t.unknown > 0:
		return 2
	case free < t.partitions:
		return 1
	}
	return 0
}

// topicsInShort prints a line a topic, the worst first, in at most so many.
func topicsInShort(p *terminal.Printer, s *inspect.FlowStatus, height int) {
	totals := map[string]*topicTotal{}
	for i := range s.Partitions {
		one := &s.Partitions[i]
		t := totals[one.Topic]
		if t == nil {
			t = &topicTotal{name: one.Topic, phases: map[partition.Phase]int{}}
			totals[one.Topic] = t
		}
		t.partitions++
		t.behind += one.Behind
		t.phases[one.Phase]++
		if one.EndsUnknown {
			t.unknown++
		}
	}
	list := slices.SortedFunc(maps.Values(totals), func(a, b *topicTotal) int {
		return cmp.Or(cmp.Compare(b.badness(), a.badness()), cmp.Compare(b.behind, a.behind), cmp.Compare(a.name, b.name))
	})
	rows := [][]string{{"TOPIC", "PARTITIONS", "BEHIND", "STATE"}}
	shown := list
	if len(list) > height-1 {
		shown = list[:max(height-2, 1)]
	}
	for _, t := range shown {
		behind := fmt.Sprint(t.behind)
		if t.unknown > 0 {
			behind += "+?"
		}
		rows = append(rows, []string{t.name, fmt.Sprint(t.partitions), behind, phasesOf(t)})
	}
	p.Table(rows, nil)
	if rest := list[len(shown):]; len(rest) > 0 {
		var behind int64
		bad := 0
		for _, t := range rest {
			behind += t.behind
			if t.badness() > 0 {
				bad++
			}
		}
		text := fmt.Sprintf("and %s, %d records behind", terminal.Count(len(rest), "topic"), behind)
		if bad > 0 {
			text += fmt.Sprintf(", %d of them not copied in full", bad)
		}
		p.Line("%s", text)
	}
}

// phasesOf says in which states a topic's partitions are, the commonest first.
func phasesOf(t *topicTotal) string {
	phases := slices.SortedFunc(maps.Keys(t.phases), func(a, b partition.Phase) int {
		return cmp.Or(cmp.Compare(t.phases[b], t.phases[a]), cmp.Compare(a, b))
	})
	if len(phases) == 1 {
		return word(phases[0])
	}
	var parts []string
	for _, phase := range phases {
		parts = append(parts, fmt.Sprintf("%d %s", t.phases[phase], word(phase)))
	}
	return strings.Join(parts, ", ")
}

// leftOutInShort counts what a rule leaves out.
func leftOutInShort(p *terminal.Printer, list []inspect.LeftOut) {
	by := map[string]int{}
	for _, l := range list {
		by[l.Kind]++
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, terminal.Count(by[kind], kind))
	}
	if len(parts) > 0 {
		p.Line("left out by rules that --all names: %s", strings.Join(parts, ", "))
	}
}

// groupsInShort prints how many groups there are, and names those that do not stand right.
func groupsInShort(p *terminal.Printer, s *inspect.FlowStatus) {
	if len(s.Groups) == 0 {
		return
	}
	right := 0
	inState := map[string][]string{}
	for i := range s.Groups {
		g := &s.Groups[i]
		states := map[string]bool{}
		if g.Error != "" {
			states["cannot be read"] = true
		}
		for j := range g.Positions {
			if state := g.Positions[j].Standing(); state != "right" {
				states[state] = true
			}
		}
		if len(states) == 0 {
			right++
		}
		for state := range states {
			inState[state] = append(inState[state], g.Group)
		}
	}
	p.Line("%s, %d stand right in every partition", terminal.Count(len(s.Groups), "group"), right)
	for _, state := range slices.Sorted(maps.Keys(inState)) {
		line := fmt.Sprintf("  %s: %d: %s", state, len(inState[state]), terminal.Few(inState[state]))
		p.Line("%s", terminal.Shorten(line, terminal.Width))
	}
}
