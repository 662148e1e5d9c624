package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/partition"
)

// showFlows prints flows so that they fit a terminal: each in full where that is short,
// else what it comes to, what needs somebody, and the topics that are worst.
func showFlows(w io.Writer, seen []*inspect.FlowStatus) error {
	p := &printer{w: w}
	height := tableHeight - 1 // for the prompt
	if len(seen) > 1 {
		for _, s := range seen {
			p.heading(s)
		}
		p.line("")
		height -= 2*len(seen) + 1
	}
	each := max(height/max(len(seen), 1), 8)
	for i, s := range seen {
		if i > 0 {
			p.line("")
		}
		if text := rendered(func(p *printer) { p.flow(s) }); lines(text) <= each {
			_, err := io.WriteString(w, text)
			p.err = cmp.Or(p.err, err)
			continue
		}
		p.short(s, each)
	}
	return p.err
}

// rendered is what a printer prints.
func rendered(print func(*printer)) string {
	var out bytes.Buffer
	print(&printer{w: &out})
	return out.String()
}

func lines(text string) int { return strings.Count(text, "\n") }

// short prints a flow in about so many lines.
func (p *printer) short(s *inspect.FlowStatus, height int) {
	heading := rendered(func(p *printer) { p.heading(s) })
	groups := rendered(func(p *printer) {
		p.groupsInShort(s)
		p.leftOutInShort(s.LeftOut)
	})
	left := height - lines(heading) - lines(groups) - 1 // the last line says how to see more
	fmt.Fprint(p.w, heading)
	remarks := attention(s, false)
	room := left * 2 / 3
	for i, r := range remarks {
		text := rendered(func(p *printer) { p.note(r.fact, r.remedy) })
		if i > 0 && lines(text) > room {
			p.line("! and %d more like these: --all shows them", len(remarks)-i)
			left--
			break
		}
		fmt.Fprint(p.w, text)
		room -= lines(text)
		left -= lines(text)
	}
	p.topicsInShort(s, max(left, 4))
	fmt.Fprint(p.w, groups)
	p.line("more: status --behind, --topic NAME, or --all")
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
func (p *printer) topicsInShort(s *inspect.FlowStatus, height int) {
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
	p.table(rows, nil)
	if rest := list[len(shown):]; len(rest) > 0 {
		var behind int64
		bad := 0
		for _, t := range rest {
			behind += t.behind
			if t.badness() > 0 {
				bad++
			}
		}
		text := fmt.Sprintf("and %s, %d records behind", count(len(rest), "topic"), behind)
		if bad > 0 {
			text += fmt.Sprintf(", %d of them not copied in full", bad)
		}
		p.line("%s", text)
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
func (p *printer) leftOutInShort(list []inspect.LeftOut) {
	by := map[string]int{}
	for _, l := range list {
		by[l.Kind]++
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, count(by[kind], kind))
	}
	if len(parts) > 0 {
		p.line("left out by rules that --all names: %s", strings.Join(parts, ", "))
	}
}

// groupsInShort prints how many groups there are, and names those that do not stand right.
func (p *printer) groupsInShort(s *inspect.FlowStatus) {
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
			if state := stateOf(&g.Positions[j]); state != "right" {
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
	p.line("%s, %d stand right in every partition", count(len(s.Groups), "group"), right)
	for _, state := range slices.Sorted(maps.Keys(inState)) {
		line := fmt.Sprintf("  %s: %d: %s", state, len(inState[state]), few(inState[state]))
		p.line("%s", shorten(line, tableWidth))
	}
}
