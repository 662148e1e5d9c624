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

	"replicator/pkg/replicate/kafka/spelling"
)

// reader walks the nodes of a YAML file rather than decoding them, because only nodes know their lines. What is no
// value of the kind that is asked for, it notes among the findings.
type reader struct {
	found *findings
	env   *environment
	told  *told
}

// field reads one value into where it belongs. Without a node it notes what stands there, which is the default.
type field func(n *yaml.Node, path string)

func join(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s)(.*)$`)

// document is the only document's root, nil after a problem.
func (r *reader) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0 {
		r.found.bad("", "is empty; 'replicator check --help' shows a configuration")
		return nil
	}
	if err == nil {
		if err = decoder.Decode(&more); err == nil {
			r.found.places[""] = more.Line
			r.found.bad("", "a second YAML document begins; one file holds one configuration")
			return nil
		}
		if errors.Is(err, io.EOF) {
			r.found.places[""] = document.Line
			return document.Content[0]
		}
	}
	text := err.Error()
	r.found.places[""] = 1
	if parts := yamlLine.FindStringSubmatch(text); parts != nil {
		text = parts[2]
		line, _ := strconv.Atoi(parts[1]) // 0 without a line
		if fromParser.MatchString(text) {
			line++
		}
		r.found.places[""] = max(line, 1)
	}
	r.found.bad("", "is not YAML: %s", text)
	return nil
}

// fromParser knows the errors for which the library counts lines from 0.
var fromParser = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)`)

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
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
func (r *reader) each(n *yaml.Node, path string, read func(key string, value *yaml.Node, path string)) {
	if n = resolve(n); n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.found.bad(path, "is %s; accepted is a mapping of keys to values", kindOf(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.found.bad(path, "has a key in line %d that is %s; keys are words", key.Line, kindOf(resolve(key)))
			continue
		}
		at := join(path, key.Value)
		if line, twice := first[key.Value]; twice {
			r.found.faulty[at] = false
			r.found.places[at] = key.Line
			r.found.bad(at, "is given twice, first in line %d; keep one of them", line)
			continue
		}
		first[key.Value] = key.Line
		r.found.places[at] = key.Line
		read(key.Value, value, at)
	}
}

// mapping reads known keys, refuses others and has the fields of those that are not there tell their defaults; it
// answers which were there.
func (r *reader) mapping(n *yaml.Node, path string, fields map[string]field) map[string]bool {
	seen := map[string]bool{}
	r.each(n, path, func(key string, value *yaml.Node, at string) {
		if read, ok := fields[key]; ok {
			seen[key] = true
			read(value, at)
			return
		}
		known := slices.Sorted(maps.Keys(fields))
		if near := spelling.Nearest(key, known); near != "" {
			r.found.bad(at, "is not a key; did you mean %s?", near)
			return
		}
		r.found.bad(at, "is not a key; accepted are %s", strings.Join(known, ", "))
	})
	for key, field := range fields {
		if !seen[key] {
			field(nil, join(path, key))
		}
	}
	return seen
}

// items gives the members of a list.
func (r *reader) items(n *yaml.Node, path string, read field) {
	if n = resolve(n); n == nil {
		if r.told.shapes { // what each of them looks like
			read(nil, path+"[]")
		}
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.found.bad(path, "is %s; accepted is a list", kindOf(n))
		return
	}
	if len(n.Content) == 0 && path == "flows" {
		r.found.bad(path, "is empty; give at least one, with from and to")
	}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.found.places[at] = item.Line
		read(item, at)
	}
}

// scalar is a single value with the environment put in; false after a problem, and where there is none.
func (r *reader) scalar(n *yaml.Node, path string) (value string, ok bool) {
	if n = resolve(n); n == nil {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.found.bad(path, "is %s; accepted is a single value", kindOf(n))
		return "", false
	}
	value, err := r.env.expand(n.Value)
	if err != nil {
		r.found.bad(path, "%v", err)
		return value, false
	}
	r.told.written(path, n, value)
	return value, true
}

func (r *reader) text(into *string) field { return word(r, into) }

// word is a text that is one of few, which who validates it sees to; without any, it is whatever is given.
func word[T ~string](r *reader, into *T, accepted ...T) field {
	looks := shape{kind: aText}
	for _, one := range accepted {
		looks.accepted = append(looks.accepted, string(one))
	}
	return func(n *yaml.Node, path string) {
		if value, ok := r.scalar(n, path); ok {
			*into = T(value)
		}
		r.told.setting(path, looks, string(*into))
	}
}

func (r *reader) list(into *[]string) field {
	return func(n *yaml.Node, path string) {
		if n != nil {
			list := []string{}
			r.items(n, path, func(n *yaml.Node, path string) {
				if value, ok := r.scalar(n, path); ok {
					list = append(list, value)
				} else {
					list = append(list, ".*") // keeps the numbers of those behind it, and is no problem itself
				}
			})
			*into = list
		}
		r.told.setting(path, shape{kind: someTexts}, append([]string{}, *into...))
	}
}

func (r *reader) integer(into *int) field {
	return func(n *yaml.Node, path string) {
		if value, ok := r.scalar(n, path); ok {
			number, err := strconv.Atoi(value)
			if err != nil {
				r.found.bad(path, "%q is not a whole number", value)
				return
			}
			*into = number
		}
		r.told.setting(path, shape{kind: aNumber}, *into)
	}
}

func (r *reader) boolean(into *bool) field {
	return func(n *yaml.Node, path string) {
		if value, ok := r.scalar(n, path); ok {
			if value != "true" && value != "false" {
				r.found.bad(path, "%q is unknown; use true or false", value)
				return
			}
			*into = value == "true"
		}
		r.told.setting(path, shape{kind: aTruth}, *into)
	}
}

func (r *reader) duration(into *time.Duration) field {
	return func(n *yaml.Node, path string) {
		if value, ok := r.scalar(n, path); ok {
			d, err := time.ParseDuration(value)
			if err != nil {
				r.found.bad(path, "%q is not a duration; write a number and its unit, such as 500ms, 1s or 10m", value)
				return
			}
			*into = d
		}
		r.told.setting(path, shape{kind: aDuration}, into.String())
	}
}

// bytesPerUnit are the units of sizes.
var bytesPerUnit = map[string]float64{"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20,
	"GiB": 1 << 30}

func (r *reader) size(into *int64) field {
	return func(n *yaml.Node, path string) {
		if value, ok := r.scalar(n, path); ok {
			number := strings.TrimRight(value, "BkMGKi")
			unit, known := bytesPerUnit[value[len(number):]]
			count, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			bytes := count * unit
			if err != nil || !known || bytes < 0 || bytes >= 1<<62 {
				r.found.bad(path, "%q is not a size; write a number and its unit, such as 500kB, 20MB or 1GiB", value)
				return
			}
			*into = int64(bytes)
		}
		r.told.setting(path, shape{kind: aSize}, *into)
	}
}

// oneOf accepts the words of a table and gives what the word stands for.
func oneOf[T comparable](r *reader, accepted map[string]T, into *T) field {
	return func(n *yaml.Node, path string) {
		words := slices.Sorted(maps.Keys(accepted))
		if value, ok := r.scalar(n, path); ok {
			meant, known := accepted[value]
			if !known {
				r.found.bad(path, "%q is unknown; use %s", value, strings.Join(words, ", "))
				return
			}
			*into = meant
		}
		for _, word := range words {
			if accepted[word] == *into {
				r.told.setting(path, shape{kind: aText, accepted: words}, word)
			}
		}
	}
}
