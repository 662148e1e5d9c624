package terminal

import (
	"fmt"
	"strings"
)

const (
	// Width and Height are what every answer fits into, unless all is asked for: a terminal as it comes.
	Width  = 80
	Height = 24
)

// Shorten cuts the middle out of a long name: the beginning tells the team, the end
// the partition.
func Shorten(name string, width int) string {
	runes := []rune(name)
	if len(runes) <= width {
		return name
	}
	end := (width - 1) / 2
	return string(runes[:width-1-end]) + "…" + string(runes[len(runes)-end:])
}

// Wrap breaks a line between words; what follows is indented.
func Wrap(text, indent string) string {
	var b strings.Builder
	length := 0
	for i, word := range strings.SplitAfter(text, " ") {
		n := len([]rune(strings.TrimRight(word, " ")))
		if i > 0 && length+n > Width {
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

// OrDash prints a number, or a dash for nil.
func OrDash[N ~int64](n *N) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(int64(*n))
}

// Count is a number of things, as "1 topic" or "2 topics".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Few names some, and counts the others.
func Few(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// OrWord is s, or the word where there is none.
func OrWord(s, word string) string {
	if s == "" {
		return word
	}
	return s
}
