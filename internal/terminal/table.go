package terminal

import (
	"fmt"
	"slices"
	"strings"
)

// Table prints rows below their heads, the first column cut so that all fits; where that
// is not enough, columns are left out, in that order. A row of one cell is a heading. Words
// stand left, numbers right.
func (p *Printer) Table(rows [][]string, notes map[int]string, dispensable ...int) {
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
		if used+min(widths[0], leastName) <= Width {
			break
		}
		out[column] = true
		used -= widths[column] + 2
	}
	widths[0] = max(min(widths[0], Width-used), 10)
	for n, row := range rows {
		cells := []string{fmt.Sprintf("%-*s", widths[0], Shorten(row[0], widths[0]))}
		if len(row) == 1 {
			cells[0] = Shorten(row[0], Width)
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
		p.Line("%s", strings.TrimRight(strings.Join(cells, "  "), " "))
		for _, note := range strings.Split(notes[n], "\n") {
			if note != "" {
				p.Wrapped("      ", "%s", "      "+note)
			}
		}
	}
}

// leastName is how much of a name a table shows before it leaves out a column for it.
const leastName = 20

// isWords says which columns do not hold numbers.
func isWords(head string) bool { return slices.Contains([]string{"STATE", "RULE"}, head) }
