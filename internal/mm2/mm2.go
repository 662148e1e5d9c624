// Package mm2 turns the properties file of a dedicated MirrorMaker 2 into a
// configuration of this program.
//
// The central function is [Import]: the file's text in, a [Result] out. What it
// guarantees:
//
//  1. every key of the file has exactly one [Finding]: it is mapped, better left
//     out, without equivalent, or, if the caller accepts that, unknown;
//  2. scopes and precedence are MirrorMaker's own: a flow's value before the bare
//     one; what MirrorMaker itself drops in silence is not carried out either, and
//     the finding says so;
//  3. the configuration that it writes is one that internal/config accepts, once the
//     named variables are set, the named files exist, and what is marked TO FILL IN
//     is filled in: a login that this program does not have leaves such a hole;
//  4. neither the configuration, nor a finding, nor a problem shows a secret.
//
// It reads no other file and reaches no cluster. Connect's own connector
// configurations (JSON) are not read.
package mm2

import (
	"fmt"
	"slices"
	"strings"
)

// Class says what becomes of a key.
type Class string

const (
	Mapped       Class = "mapped"
	LeftOut      Class = "left out"      // better left out: it is not needed here, or never had an effect
	NoEquivalent Class = "no equivalent" // MirrorMaker does something that is not done here
	Unknown      Class = "unknown"
)

// Classes are all of them, in the order in which they are told.
var Classes = []Class{Mapped, LeftOut, NoEquivalent, Unknown}

// Finding says what becomes of one key of the file.
type Finding struct {
	Line  int    // where the key begins, from 1; 0 for a default of MirrorMaker's
	Key   string // as the file has it
	Class Class
	Text  string // where it went, or why it did not and what to do instead
}

// Variable is read from the environment by the written configuration.
type Variable struct {
	Name string
	What string // the property and the line that hold its value
}

// Result is an import.
type Result struct {
	Config    string // YAML
	Findings  []Finding
	Defaults  []Finding // what MirrorMaker does without being told, and is done otherwise here
	Variables []Variable
	Steps     []string // what to do by hand before the first run, such as filling in a login
}

// Options say how to import.
type Options struct {
	Flows         []string // as A->B; none: all that are enabled
	IgnoreUnknown bool     // list keys that MirrorMaker does not know instead of refusing them
}

// Problem is one reason why a file cannot be imported.
type Problem struct {
	Line    int // from 1; 0 where no line can be named
	Key     string
	Message string
}

// Problems are all reasons why a file cannot be imported, by line.
type Problems struct {
	File string
	List []Problem
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
		if problem.Key != "" {
			b.WriteString(printable(problem.Key) + ": ")
		}
		b.WriteString(problem.Message)
	}
	return b.String()
}

// Remedy tells the operator what to do.
func (p *Problems) Remedy() string {
	for _, problem := range p.List {
		if problem.Message == unknownKey || strings.HasPrefix(problem.Message, unknownKey+";") {
			return "correct a copy of " + p.File + " and import that; --ignore-unknown lists unknown keys instead of " +
				"refusing them"
		}
	}
	return "correct a copy of " + p.File + " and import that"
}

const unknownKey = "is no key of MirrorMaker 2"

// printable keeps a key or a name on its line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// importer is one import under way.
type importer struct {
	options  Options
	problems []Problem
	settings []*setting
	clusters []*cluster
	flows    []*flow
	enabled  []string // all flows that the file enables
	result   Result
}

// Import reads a properties file; name is what problems and the configuration call
// it. The error is a *Problems.
func Import(name string, data []byte, options Options) (*Result, error) {
	in := &importer{options: options}
	if text := strings.TrimSpace(string(data)); strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		in.bad(nil, "is JSON; only the properties file of a dedicated MirrorMaker 2 is read (connect-mirror-maker.sh)")
		return nil, &Problems{name, in.problems}
	}
	in.scope(parse(data, func(line int, format string, args ...any) {
		in.problems = append(in.problems, Problem{Line: line, Message: fmt.Sprintf(format, args...)})
	}))
	if len(in.clusters) > 0 {
		in.findFlows()
	}
	if len(in.flows) > 0 {
		in.judge()
	}
	if len(in.problems) == 0 {
		in.validate()
	}
	if len(in.problems) > 0 {
		slices.SortStableFunc(in.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &Problems{name, in.problems}
	}
	in.gather()
	in.result.Config = in.yaml(printable(name))
	return &in.result, nil
}

// bad reports a problem of a setting, or of the file as a whole for nil.
func (in *importer) bad(s *setting, format string, args ...any) {
	p := Problem{Message: fmt.Sprintf(format, args...)}
	if s != nil {
		p.Line, p.Key = s.line, s.key
	}
	if !slices.Contains(in.problems, p) {
		in.problems = append(in.problems, p)
	}
}

// gather puts the findings in the file's order.
func (in *importer) gather() {
	for _, s := range in.settings {
		class, text := s.verdict.Class, s.verdict.Text
		if s.lost {
			text += fmt.Sprintf("; a backslash of it is lost to the file's syntax, so that MirrorMaker reads %q", s.shown())
		}
		if strings.Contains(s.value, " #") {
			text += "; what stands behind # is no comment, but part of the value, as MirrorMaker takes it"
		}
		in.result.Findings = append(in.result.Findings, Finding{s.line, printable(s.key), class, text})
	}
	for _, f := range in.flows {
		for _, finding := range f.defaults {
			if !slices.Contains(in.result.Defaults, finding) {
				in.result.Defaults = append(in.result.Defaults, finding)
			}
		}
	}
	for _, c := range in.used() {
		in.result.Variables = append(in.result.Variables, c.written.variables...)
		in.result.Steps = append(in.result.Steps, c.written.steps...)
	}
}
