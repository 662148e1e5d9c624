package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"replicator/pkg/replicate/kafka"
)

// parser walks the nodes of a YAML file rather than decoding them, because only
// nodes know their lines, and gathers problems instead of stopping at the first.
type parser struct {
	process func(string) (string, bool) // the process's environment
	getenv  func(string) (string, bool) // with the environment file before it
	files   files
	// withoutFlows: clusters are all that is asked for; flows that are given are read all the same.
	withoutFlows bool
	problems     []Problem
	places       map[string]int    // line by path
	faulty       map[string]bool   // paths with a problem: what follows from one is not told
	env          map[string]string // what came from the environment: value by ${NAME}
	prefixes     map[string]string // by cluster
}

func newParser(getenv func(string) (string, bool), read func(string) ([]byte, error)) *parser {
	return &parser{process: getenv, getenv: getenv, files: files{read: read}, places: map[string]int{},
		faulty: map[string]bool{}, env: map[string]string{}, prefixes: map[string]string{}}
}

// field reads one value into where it belongs.
type field func(n *yaml.Node, path string)

// bad reports a problem at a path, with the line of the nearest enclosing key
// that the file has.
func (p *parser) bad(path, format string, args ...any) {
	if p.faulty[path] {
		return
	}
	p.faulty[path] = true
	message := p.scrub(fmt.Sprintf(format, args...))
	p.problems = append(p.problems, Problem{Line: p.line(path), Path: path, Message: message})
}

// scrub puts ${NAME} in the place of what was read from the environment. Short
// values are part of many a word, so that they are only taken as a whole.
func (p *parser) scrub(message string) string {
	labels := map[string]string{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(p.env))) { // of two with one value, the first
		value := p.env[name]
		labels[strconv.Quote(value)] = `"` + name + `"`
		if len(value) >= 4 {
			labels[value] = name
		}
	}
	return kafka.Mask(message, labels)
}

func (p *parser) line(path string) int {
	for path != "" {
		if line, ok := p.places[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return p.places[""]
}

func join(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s)(.*)$`)

// document is the only document's root, nil after a problem.
func (p *parser) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0 {
		p.bad("", "is empty; 'replicator check --help' shows a configuration")
		return nil
	}
	if err == nil {
		if err = decoder.Decode(&more); err == nil {
			p.places[""] = more.Line
			p.bad("", "a second YAML document begins; one file holds one configuration")
			return nil
		}
		if errors.Is(err, io.EOF) {
			p.places[""] = document.Line
			return document.Content[0]
		}
	}
	text := err.Error()
	p.places[""] = 1
	if parts := yamlLine.FindStringSubmatch(text); parts != nil {
		text = parts[2]
		line, _ := strconv.Atoi(parts[1]) // 0 without a line
		if fromParser.MatchString(text) {
			line++
		}
		p.places[""] = max(line, 1)
	}
	p.bad("", "is not YAML: %s", text)
	return nil
}

// fromParser knows the errors for which the library counts lines from 0.
var fromParser = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)`)

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// kindOf is what an operator calls a node that is something else than expected.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "a single value"
}

// each gives every key of a mapping once.
func (p *parser) each(n *yaml.Node, path string, read func(key string, value *yaml.Node, path string)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		p.bad(path, "is %s; accepted is a mapping of keys to values", kindOf(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			p.bad(path, "has a key in line %d that is %s; keys are words", key.Line, kindOf(resolve(key)))
			continue
		}
		at := join(path, key.Value)
		if line, twice := first[key.Value]; twice {
			p.faulty[at] = false
			p.places[at] = key.Line
			p.bad(at, "is given twice, first in line %d; keep one of them", line)
			continue
		}
		first[key.Value] = key.Line
		p.places[at] = key.Line
		read(key.Value, value, at)
	}
}

// mapping reads known keys and refuses others; it answers which were there.
func (p *parser) mapping(n *yaml.Node, path string, fields map[string]field) map[string]bool {
	seen := map[string]bool{}
	p.each(n, path, func(key string, value *yaml.Node, at string) {
		if read, ok := fields[key]; ok {
			seen[key] = true
			read(value, at)
			return
		}
		known := slices.Sorted(maps.Keys(fields))
		if near := kafka.Nearest(key, known); near != "" {
			p.bad(at, "is not a key; did you mean %s?", near)
			return
		}
		p.bad(at, "is not a key; accepted are %s", strings.Join(known, ", "))
	})
	return seen
}

// items gives the members of a list.
func (p *parser) items(n *yaml.Node, path string, read field) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		p.bad(path, "is %s; accepted is a list", kindOf(n))
		return
	}
	if len(n.Content) == 0 && path == "flows" {
		p.bad(path, "is empty; give at least one, with from and to")
	}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		p.places[at] = item.Line
		read(item, at)
	}
}

// scalar is a single value with the environment put in; false after a problem.
func (p *parser) scalar(n *yaml.Node, path string) (value string, ok bool) {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.bad(path, "is %s; accepted is a single value", kindOf(n))
		return "", false
	}
	return p.expand(n.Value, path)
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand puts the environment in for ${NAME} and a file's text for ${file:PATH}; $${
// stands for ${ itself.
func (p *parser) expand(raw, path string) (value string, ok bool) {
	var b strings.Builder
	ok = true
	for {
		i := strings.Index(raw, "${")
		if i < 0 {
			b.WriteString(raw)
			return b.String(), ok
		}
		if i > 0 && raw[i-1] == '$' {
			b.WriteString(raw[:i] + "{")
			raw = raw[i+2:]
			continue
		}
		b.WriteString(raw[:i])
		name, rest, closed := strings.Cut(raw[i+2:], "}")
		file, isFile := strings.CutPrefix(name, "file:")
		if !closed || isFile && file == "" || !isFile && !envName.MatchString(name) {
			p.bad(path, "holds ${ without a name and a closing }; write ${NAME} or ${file:PATH}, or $${ for ${ itself")
			return "", false
		}
		var text string
		if isFile {
			var readable bool
			text, readable = p.fromFile(file, path)
			ok = ok && readable
		} else if value, set := p.getenv(name); set {
			text = value
		} else {
			p.bad(path, "the environment variable %s is not set", name)
			ok = false
		}
		if text != "" {
			p.env["${"+name+"}"] = text
		}
		b.WriteString(text)
		raw = rest
	}
}

func (p *parser) text(into *string) field {
	return func(n *yaml.Node, path string) {
		if value, ok := p.scalar(n, path); ok {
			*into = value
		}
	}
}

func (p *parser) list(into *[]string) field {
	return func(n *yaml.Node, path string) {
		list := []string{}
		p.items(n, path, func(n *yaml.Node, path string) {
			if value, ok := p.scalar(n, path); ok {
				list = append(list, value)
			} else {
				list = append(list, ".*") // keeps the numbers of those behind it, and is no problem itself
			}
		})
		*into = list
	}
}

func (p *parser) integer(into *int) field {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		if !ok {
			return
		}
		number, err := strconv.Atoi(value)
		if err != nil {
			p.bad(path, "%q is not a whole number", value)
			return
		}
		*into = number
	}
}

func (p *parser) boolean(into *bool) field {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		switch {
		case !ok:
		case value != "true" && value != "false":
			p.bad(path, "%q is unknown; use true or false", value)
		default:
			*into = value == "true"
		}
	}
}

func (p *parser) duration(into *time.Duration) field {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		if !ok {
			return
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			p.bad(path, "%q is not a duration; write a number and its unit, such as 500ms, 1s or 10m", value)
			return
		}
		*into = d
	}
}

// oneOf accepts the words of a table and gives what the word stands for.
func oneOf[T any](p *parser, accepted map[string]T, into *T) field {
	return func(n *yaml.Node, path string) {
		value, ok := p.scalar(n, path)
		if !ok {
			return
		}
		meant, known := accepted[value]
		if !known {
			p.bad(path, "%q is unknown; use %s", value, strings.Join(slices.Sorted(maps.Keys(accepted)), ", "))
			return
		}
		*into = meant
	}
}
