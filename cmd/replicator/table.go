package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/replicate"
)

// tableWidth is what every table fits into.
const tableWidth = 120

// flow prints one flow: what needs somebody first, then the tables.
func (p *printer) flow(s *replicate.FlowStatus) {
	p.line("flow %s  %s  at %s", s.Flow, headline(s), s.Taken.Format(time.RFC3339))
	p.attention(s)
	p.partitions(s)
	p.positions(s)
	p.leftOut(s.LeftOut)
}

// headline is the flow in a few words.
func headline(s *replicate.FlowStatus) string {
	var parts []string
	switch {
	case s.CaughtUp:
		parts = append(parts, "caught up")
	case s.Behind == 0:
		parts = append(parts, "0 records behind")
	default:
		parts = append(parts, fmt.Sprintf("%d records behind", s.Behind))
	}
	if s.Stopped > 0 {
		parts = append(parts, fmt.Sprintf("%d STOPPED", s.Stopped))
	}
	if s.UnreadDeleted > 0 {
		parts = append(parts, fmt.Sprintf("%d UNREAD RECORDS DELETED ON THE TARGET", s.UnreadDeleted))
	}
	switch {
	case s.Replicas == nil:
	case *s.Replicas == 0:
		parts = append(parts, "NO REPLICA RUNS")
	default:
		parts = append(parts, count(*s.Replicas, "replica"))
	}
	return strings.Join(parts, ", ")
}

// attention prints what an operator has to know or do.
func (p *printer) attention(s *replicate.FlowStatus) {
	if s.Replicas != nil && *s.Replicas == 0 {
		p.note("! nothing moves: no replica runs this flow", "start one with 'replicator run'")
	}
	if s.Shards == 0 {
		p.note("! the flow has never run: there is no ledger topic "+s.Ledger+" on the target", "")
	}
	for _, problem := range s.Problems {
		p.note("! "+problem.Error, problem.Remedy)
	}
	for _, warning := range s.Warnings {
		p.note("! "+warning.Error, warning.Remedy)
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
		p.note(fmt.Sprintf("! %s/%s %s%s: %s", one.Topic, few(numbers), word(one.Phase), since, one.Reason), one.Remedy)
	}
	for i := range s.Partitions {
		one := &s.Partitions[i]
		if h := one.Holes; h != nil {
			p.note(fmt.Sprintf("! %s/%d has %s: at most %d records were deleted on the source before they were copied, "+
				"the last at [%d,%d)", one.Topic, one.Partition, count(int(h.Count), "hole"), h.Offsets,
				h.Last.From, h.Last.To), "")
		}
		if c := one.Cuts; c != nil && !c.Open() {
			p.note(fmt.Sprintf("! %s/%d: the source lost up to %d records after they were copied (%s, the last at [%d,%d)); "+
				"they are on the target alone, and copying went on at offset %d on %s as ordered", one.Topic, one.Partition,
				c.Offsets, count(int(c.Count), "cut"), c.At, c.Copied, *c.Resumed, c.Decided.Format(time.RFC3339)), "")
		}
		for _, f := range one.Foreign {
			p.note(fmt.Sprintf("! %s/%d holds records of somebody else on the target at [%d,%d)", one.TargetTopic,
				one.Partition, f.From, f.To), "find out who writes there; groups stop before these records")
		}
		if one.SourceOpen > 0 {
			p.note(fmt.Sprintf("  %s/%d: a transaction is open on the source; %d offsets behind it wait for its end",
				one.Topic, one.Partition, one.SourceOpen), "")
		}
	}
}

// together groups the partitions of a topic that have one reason not to be copied.
func together(partitions []replicate.PartitionStatus) [][]*replicate.PartitionStatus {
	var groups [][]*replicate.PartitionStatus
	for i := range partitions {
		one := &partitions[i]
		if one.Reason == "" {
			continue
		}
		if n := len(groups) - 1; n >= 0 && groups[n][0].Topic == one.Topic && groups[n][0].Reason == one.Reason {
			groups[n] = append(groups[n], one)
			continue
		}
		groups = append(groups, []*replicate.PartitionStatus{one})
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
func word(phase replicate.Phase) string { return strings.ReplaceAll(string(phase), "_", " ") }

// partitions prints the table of partitions. Numbers are not grouped by thousands:
// they are to be pasted into other commands.
func (p *printer) partitions(s *replicate.FlowStatus) {
	if len(s.Partitions) == 0 {
		p.line("no partition of the source is selected")
		return
	}
	rows := [][]string{{"PARTITION", "SOURCE END", "PROGRESS", "BEHIND", "TARGET END", "STATE"}}
	for i := range s.Partitions {
		one := &s.Partitions[i]
		rows = append(rows, []string{
			fmt.Sprintf("%s/%d", one.Topic, one.Partition), fmt.Sprint(one.SourceEnd), orDash(one.Progress),
			fmt.Sprint(one.Behind), orDash(one.TargetEnd), word(one.Phase),
		})
	}
	p.table(rows, nil)
}

// positions prints the table of groups.
func (p *printer) positions(s *replicate.FlowStatus) {
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
		said := ""
		for j := range g.Positions {
			one := &g.Positions[j]
			rows = append(rows, []string{
				fmt.Sprintf("  %s/%d", one.Topic, one.Partition), fmt.Sprint(one.Source), fmt.Sprint(one.SourceLag),
				orDash(one.Translation), orWord(one.Rule, "-"), orDash(one.Target), orDash(one.TargetLag),
				strings.ReplaceAll(one.State, "_", " "),
			})
			if why := reason(one); why != said && why != "" {
				notes[len(rows)-1] = why
				said = why
			}
		}
	}
	p.line("")
	p.table(rows, notes)
}

// reason says why a position does not stand right.
func reason(one *replicate.PositionStatus) string {
	why := one.Why
	if n := one.UnreadDeletedOnBoth; n > 0 {
		also := fmt.Sprintf("%d records that the group has not read were deleted on both sides: the source has lost "+
			"them too", n)
		why = strings.TrimPrefix(why+"; "+also, "; ")
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

// table prints rows below their heads, the first column cut so that all fits. A row
// of one cell is a heading. Words stand left, numbers right.
func (p *printer) table(rows [][]string, notes map[int]string) {
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
	widths[0] = max(min(widths[0], tableWidth-used), 12)
	for n, row := range rows {
		cells := []string{fmt.Sprintf("%-*s", widths[0], shorten(row[0], widths[0]))}
		if len(row) == 1 {
			cells[0] = shorten(row[0], tableWidth)
		}
		for i, cell := range row[1:] {
			if isWords(rows[0][i+1]) {
				cells = append(cells, fmt.Sprintf("%-*s", widths[i+1], cell))
			} else {
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
