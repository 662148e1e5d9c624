package config

import (
	"fmt"
	"strings"
)

// findings gathers problems instead of stopping at the first.
type findings struct {
	problems []Problem
	places   map[string]int              // line by path
	faulty   map[string]bool             // paths with a problem: what follows from one is not told
	mask     func(message string) string // hides what no message may show
}

// bad reports a problem at a path, with the line of the nearest enclosing key
// that the file has.
func (f *findings) bad(path, format string, args ...any) {
	if f.faulty[path] {
		return
	}
	f.faulty[path] = true
	message := f.mask(fmt.Sprintf(format, args...))
	f.problems = append(f.problems, Problem{Line: f.line(path), Path: path, Message: message})
}

func (f *findings) line(path string) int {
	for path != "" {
		if line, ok := f.places[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return f.places[""]
}
