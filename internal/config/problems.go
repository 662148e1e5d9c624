package config

import (
	"fmt"
	"strings"
)

// Problem is one fault of a configuration.
type Problem struct {
	Line    int    // from 1; 0 where no line can be named
	Path    string // as flows[0].topics[1]; "" for the file as a whole
	Message string // what was got, what is accepted
}

// Problems are all faults of a configuration, by line.
type Problems struct {
	File string
	List []Problem
	// Read are the files that were read, or tried, beside it.
	Read []string
}

func (p *Problems) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d problem", p.File, len(p.List))
	if len(p.List) != 1 {
		b.WriteByte('s')
	}
	for _, problem := range p.List {
		b.WriteString("\n  ")
		if problem.Line > 0 {
			fmt.Fprintf(&b, "line %d  ", problem.Line)
		}
		if problem.Path != "" {
			b.WriteString(problem.Path + ": ")
		}
		b.WriteString(problem.Message)
	}
	return b.String()
}

// Remedy tells the operator what to do.
func (p *Problems) Remedy() string {
	return fmt.Sprintf("correct %s; 'replicator check -c %s' looks at it without reaching a cluster", p.File, p.File)
}
