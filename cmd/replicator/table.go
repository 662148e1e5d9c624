package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
)

const (
	// tableWidth and tableHeight are what every answer fits into, unless all is asked for: a terminal as it comes.
	tableWidth  = 80
	tableHeight = 24
)

// flow prints one flow: what needs somebody first, then the tables.
func (p *printer) flow(s *inspect.FlowStatus) {
	p.heading(s)
	for _, n := range attention(s, false) {
		p.note(n.fact, n.remedy)
	}
	p.partitions(s)
	p.positions(s)
	p.leftOut(s.LeftOut)
}

// heading is the flow in a few words.
func (p *printer) heading(s *inspect.FlowStatus) {
	p.line("%s", wrap(fmt.Sprintf("flow %s  %s  at %s", s.Flow, headline(s), s.Taken.Format(time.RFC3339)), "    "))
}

// headline says how far the flow is.
func headline(s *inspect.FlowStatus) string {
	var parts []string
	behind := fmt.Sprintf("%d records behind", s.Behind)
	switch {
	case s.CaughtUp:
		parts = append(parts, "caught up")
	case len(s.Partitions) == 0:
		parts = append(parts, "NOTHING IS SELECTED")
	case s.EndsUnknown > 0:
		parts = append(parts, "at least "+behind, count(s.EndsUnknown, "partition")+" of UNKNOWN lag")
	default:
		parts = append(parts, behind)
	}
	if s.Stopped > 0 {
		parts = append(parts, fmt.Sprintf("%d STOPPED", s.Stopped))
	}
	if s.UnreadDeleted > 0 {
		parts = append(parts, fmt.Sprintf("%d UNREAD RECORDS DELETED ON THE TARGET", s.UnreadDeleted))
	}
	switch {
	case s.Replicas == nil:
		parts = append(parts, "replicas not known")
	case *s.Replicas == 0:
		parts = append(parts, "NO REPLICA RUNS")
	default:
		parts = append(parts, count(*s.Replicas, "replica"))
	}
	return strings.Join(parts, ", ")
}

// remark is a fact that an operator has to know, and what to do.
type remark struct{ fact, remedy string }

// attention is what an operator has to know or do; each: of every partition what happened there, not of topics.
func attention(s *inspect.FlowStatus, each bool) (list []remark) {
	note := func(fact, remedy string) { list = append(list, remark{fact, remedy}) }
	start := "start one with 'replicator run'"
	if noteProblems(s, true, note) { // first: what is said to do about others may not help before
		start = "see to what is said above, then " + start
	}
	closed := s.Closed()
	switch {
	case closed != nil:
		note("! "+closed.Error(), closed.Remedy())
	case s.Replicas != nil && *s.Replicas == 0:
		note("! nothing moves: no replica runs this flow", start)
	case s.Replicas != nil && len(s.Unowned) > 0:
		var shards []string
		for _, shard := range s.Unowned {
			shards = append(shards, fmt.Sprint(shard))
		}
		note(fmt.Sprintf("! %s of %d belong to no replica, and nothing of them moves: %s", count(len(s.Unowned), "shard"),
			s.Shards, few(shards)), "look at the logs of the replicas: "+hosts(s.Members))
	}
	if s.Shards == 0 && (s.Replicas == nil || *s.Replicas == 0) {
		note("! the flow has never run: there is no ledger topic "+s.Ledger+" on the target", "")
	}
	for _, same := range together(s.Partitions) {
		one, since := same[0], ""
		if one.StoppedSince != nil {
			since = " since " + one.StoppedSince.Format(time.RFC3339)
		}
		var numbers []string
		for _, p := range same {
			numbers = append(numbers, fmt.Sprint(p.Partition))
		}
		reason := one.Reason
		if slices.ContainsFunc(same, func(p *inspect.PartitionStatus) bool { return p.Reason != reason }) {
			reason += " (the others alike)"
		}
		note(fmt.Sprintf("! %s/%s %s%s: %s", one.Topic, few(numbers), word(one.Phase), since, reason), one.Remedy)
	}
	noteProblems(s, false, note)
	noteCutover(s, note)
	for _, warning := range s.Warnings {
		note("! "+warning.Error, warning.Remedy)
	}
	return append(list, histories(s, each)...)
}

// noteProblems notes those that last, or the others, and says whether there is any.
func noteProblems(s *inspect.FlowStatus, lasting bool, note func(fact, remedy string)) (any bool) {
	for _, problem := range s.Problems {
		if problem.Lasting == lasting {
			note("! "+problem.Error, problem.Remedy)
			any = true
		}
	}
	return any
}

// hosts are where the replicas are, each once.
func hosts(members []snapshot.Replica) string {
	var list []string
	for _, m := range members {
		list = append(list, m.Host)
	}
	slices.Sort(list)
	return few(slices.Compact(list))
}

// together groups the partitions of a topic that have one reason not to be copied, but for
// partitions and offsets in it.
func together(partitions []inspect.PartitionStatus) [][]*inspect.PartitionStatus {
	var groups [][]*inspect.PartitionStatus
	for i := range partitions {
		one := &partitions[i]
		if one.Reason == "" {
			continue
		}
		alike := func(same []*inspect.PartitionStatus) bool {
			first := same[0]
			return first.Topic == one.Topic && first.Phase == one.Phase && first.Remedy == one.Remedy &&
				(one.Remedy != "" || first.Reason == one.Reason)
		}
		if n := slices.IndexFunc(groups, alike); n >= 0 {
			groups[n] = append(groups[n], one)
			continue
		}
		groups = append(groups, []*inspect.PartitionStatus{one})
	}
	return groups
}

// note prints a fact and its remedy, wrapped.
func (p *printer) note(fact, remedy string) {
	p.line("%s", wrap(fact, "    "))
	if remedy != "" {
		p.line("%s", wrap("    remedy: "+remedy, "    "))
	}
}

// word is a phase as people say it.
func word(phase partition.Phase) string { return strings.ReplaceAll(string(phase), "_", " ") }

// partitions prints the table of partitions. Numbers are not grouped by thousands:
// they are to be pasted into other commands.
func (p *printer) partitions(s *inspect.FlowStatus) {
	if len(s.Partitions) == 0 {
		p.line("no partition of the source is selected")
		return
	}
	rows := [][]string{{"PARTITION", "SOURCE END", "PROGRESS", "BEHIND", "TARGET END", "STATE"}}
	for i := range s.Partitions {
		one := &s.Partitions[i]
		end, behind := fmt.Sprint(one.SourceEnd), fmt.Sprint(one.Behind)
		if one.EndsUnknown {
			end, behind = "?", "?"
		}
		rows = append(rows, []string{
			fmt.Sprintf("%s/%d", one.Topic, one.Partition), end, orDash(one.Progress), behind, orDash(one.TargetEnd),
			word(one.Phase),
		})
	}
	p.table(rows, nil, 4, 1)
}

// positions prints the table of groups.
func (p *printer) positions(s *inspect.FlowStatus) {
	if len(s.Groups) == 0 {
		return
	}
	rows := [][]string{{"GROUP", "SOURCE", "LAG", "TRANSLATION", "RULE", "TARGET", "LAG", "STATE"}}
	notes := map[int]string{} // by the row that they stand below
	for i := range s.Groups {
		g := &s.Groups[i]
		name := renamed(g.Group, g.Target)
		if g.Members > 0 {
			name += fmt.Sprintf(" (%s on the target)", count(g.Members, "member"))
		}
		rows = append(rows, []string{name})
		if g.Error != "" {
			notes[len(rows)-1] = "! " + g.Error
			if g.Remedy != "" {
				notes[len(rows)-1] += "\nremedy: " + g.Remedy
			}
		}
		var nowhere []string
		for _, at := range g.Nowhere {
			nowhere = append(nowhere, fmt.Sprintf("%s/%d at %d", at.Topic, at.Partition, at.Source))
		}
		if len(nowhere) > 0 {
			notes[len(rows)-1] += "\nthe source has no such partition, so nothing is carried over: " + few(nowhere)
		}
		said := ""
		for j := range g.Positions {
			one := &g.Positions[j]
			rows = append(rows, []string{
				fmt.Sprintf("  %s/%d", one.Topic, one.Partition), fmt.Sprint(one.Source), fmt.Sprint(one.SourceLag),
				orDash(one.Translation), orWord(one.Rule, "-"), orDash(one.Target), orDash(one.TargetLag),
				stateOf(one),
			})
			if why := reason(one); why != said && why != "" {
				notes[len(rows)-1] = why
				said = why
			}
		}
	}
	p.line("")
	p.table(rows, notes, 4, 3, 2)
}

// stateOf is a position's state as people say it: right is only what passes nothing by.
func stateOf(one *inspect.PositionStatus) string {
	if one.State == string(groups.Right) && one.Skips != nil {
		return "skips records"
	}
	return strings.ReplaceAll(one.State, "_", " ")
}

// reason says why a position does not stand right.
func reason(one *inspect.PositionStatus) string {
	why := one.Why
	if n := one.UnreadDeletedOnBoth; n > 0 {
		also := fmt.Sprintf("%d records that the group has not read were deleted on both sides: the source has lost "+
			"them too", n)
		why = strings.TrimPrefix(why+"; "+also, "; ")
	}
	if one.Skips != nil {
		why = strings.TrimPrefix(why+"; "+one.Skips.Why, "; ")
	}
	if one.Remedy != "" {
		why += "\nremedy: " + one.Remedy
	}
	if one.Foreign == nil {
		return why
	}
	return fmt.Sprintf("%s: it stops before [%d,%d); it would read at most %d records again there, and skip at most %d "+
		"of somebody else's if it were moved on", one.Why, one.Foreign.From, one.Foreign.To,
		one.WouldReadAgain, one.WouldSkip)
}

// orDash prints a number, or a dash for nil.
func orDash[N ~int64](n *N) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(int64(*n))
}

// table prints rows below their heads, the first column cut so that all fits; where that
// is not enough, columns are left out, in that order. A row of one cell is a heading. Words
// stand left, numbers right.
func (p *printer) table(rows [][]string, notes map[int]string, dispensable ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		if len(row) == 1 {
			continue
		}
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	used := 0
	for _, w := range widths[1:] {
		used += w + 2
	}
	out := map[int]bool{}
	for _, column := range dispensable {
		if used+min(widths[0], leastName) <= tableWidth {
			break
		}
		out[column] = true
		used -= widths[column] + 2
	}
	widths[0] = max(min(widths[0], tableWidth-used), 10)
	for n, row := range rows {
		cells := []string{fmt.Sprintf("%-*s", widths[0], shorten(row[0], widths[0]))}
		if len(row) == 1 {
			cells[0] = shorten(row[0], tableWidth)
		}
		for i, cell := range row[1:] {
			switch {
			case out[i+1]:
			case isWords(rows[0][i+1]):
				cells = append(cells, fmt.Sprintf("%-*s", widths[i+1], cell))
			default:
				cells = append(cells, fmt.Sprintf("%*s", widths[i+1], cell))
			}
		}
		p.line("%s", strings.TrimRight(strings.Join(cells, "  "), " "))
		for _, note := range strings.Split(notes[n], "\n") {
			if note != "" {
				p.line("%s", wrap("      "+note, "      "))
			}
		}
	}
}

// leastName is how much of a name a table shows before it leaves out a column for it.
const leastName = 20

// isWords says which columns do not hold numbers.
func isWords(head string) bool { return slices.Contains([]string{"STATE", "RULE"}, head) }

// shorten cuts the middle out of a long name: the beginning tells the team, the end
// the partition.
func shorten(name string, width int) string {
	runes := []rune(name)
	if len(runes) <= width {
		return name
	}
	end := (width - 1) / 2
	return string(runes[:width-1-end]) + "…" + string(runes[len(runes)-end:])
}

// wrap breaks a line between words; what follows is indented.
func wrap(text, indent string) string {
	var b strings.Builder
	length := 0
	for i, word := range strings.SplitAfter(text, " ") {
		n := len([]rune(strings.TrimRight(word, " ")))
		if i > 0 && length+n > tableWidth {
			b.WriteString("\n" + indent)
			length = len(indent)
		}
		b.WriteString(word)
		length += len([]rune(word))
	}
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
