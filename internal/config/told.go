package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/mask"
)

// Setting is one key of a configuration with what it says, and where that comes from.
type Setting struct {
	Section string `json:"section,omitempty"` // as cluster old, or flow old->new; "": the key stands by itself
	Key     string `json:"key"`
	// Value is a text, a number, true or false, or a list of texts. What came from the environment or from a file is
	// shown as the reference to it, and a secret as three stars.
	Value any   `json:"value"`
	From  From  `json:"from"`
	Line  int   `json:"line,omitempty"` // of the file; 0: it does not have the key
	Names []Ref `json:"names,omitempty"`

	path   string // as flows[0].topics
	shape  shape
	actual string // never shown
}

// From says where a value comes from.
type From string

const (
	FromDefault     From = "default"     // the program's own
	FromLine        From = "line"        // of the configuration file
	FromEnvironment From = "environment" // variables of the process, or of the file that env_file names
	FromFile        From = "file"        // a file that ${file:PATH} names
)

// Ref is a variable or a file that a value comes from.
type Ref struct {
	Variable string `json:"variable,omitempty"`
	EnvFile  string `json:"env_file,omitempty"` // the file that has the variable; "": the process
	File     string `json:"file,omitempty"`
}

func (r Ref) String() string {
	switch {
	case r.File != "":
		return "file " + r.File
	case r.EnvFile != "":
		return r.Variable + " of " + r.EnvFile
	}
	return "environment " + r.Variable
}

// kind is what a value looks like.
type kind int

const (
	aText kind = iota
	someTexts
	aNumber
	aTruth
	aDuration
	aSize // in bytes
)

// shape is what a key accepts.
type shape struct {
	kind     kind
	accepted []string // the only texts
}

// told notes what a configuration says, key by key.
type told struct {
	shapes   bool // only what keys look like is asked for
	found    *findings
	env      *environment
	raw      map[string]string // what stands in the file, by path, where it has references
	settings []Setting
}

var references = regexp.MustCompile(`\$\{([^}]*)}`)

// written notes a value as it stands in the file.
func (t *told) written(path string, n *yaml.Node, value string) {
	if n.Value != value {
		t.raw[path] = n.Value
	}
}

// setting notes a key, and its value without what nobody may see.
func (t *told) setting(path string, looks shape, value any) {
	s := Setting{Key: path, Value: value, path: path, shape: looks, From: FromDefault, actual: fmt.Sprint(value)}
	if line, given := t.found.places[path]; given {
		s.From, s.Line = FromLine, line
	}
	texts := []string{t.raw[path]}
	if list, is := value.([]string); is {
		shown := slices.Clone(list)
		for i := range shown {
			if raw, is := t.raw[fmt.Sprintf("%s[%d]", path, i)]; is {
				shown[i] = raw
				texts = append(texts, raw)
			}
		}
		s.Value = shown
	} else if texts[0] != "" {
		s.Value = texts[0]
	}
	for _, text := range texts {
		for _, found := range references.FindAllStringSubmatch(strings.ReplaceAll(text, "$${", ""), -1) {
			t.refers(&s, found[1])
		}
	}
	t.settings = append(t.settings, s)
}

// refers notes what a value comes from: NAME, or file:PATH.
func (t *told) refers(s *Setting, name string) {
	if file, is := strings.CutPrefix(name, "file:"); is {
		s.From, s.Names = FromFile, append(s.Names, Ref{File: file})
		return
	}
	ref := Ref{Variable: name}
	if _, is := t.env.inFile[name]; is {
		ref.EnvFile = t.env.file
	}
	if s.Names = append(s.Names, ref); s.From != FromFile {
		s.From = FromEnvironment
	}
}

// name gives all keys below a path their section, and hides what is a secret there.
func (t *told) name(path, section string) {
	for i := range t.settings {
		s := &t.settings[i]
		if key, is := strings.CutPrefix(s.path, path+"."); is {
			s.Section, s.Key = section, key
		}
	}
}

// property notes a property of a cluster, whose value may be a secret.
func (t *told) property(path, property, value string, variable string) {
	t.setting(path, shape{kind: aText}, value)
	s := &t.settings[len(t.settings)-1]
	if variable != "" {
		s.Value = "${" + variable + "}"
		t.refers(s, variable)
	}
	text := s.Value.(string)
	if len(s.Names) != 1 || references.FindString(text) != text { // more than a reference
		s.Value = mask.URLs(text)
		if kafka.Secret(property) {
			s.Value = mask.Hidden
		}
	}
}

// ordered are the keys of a configuration in the order of the reference, all that may be given and those properties
// of clusters that are.
func (t *told) ordered() []Setting {
	order := map[string]int{}
	number(referenceRoot(), "", order)
	place := func(s *Setting) int {
		if strings.HasPrefix(s.path, "clusters.") {
			return order["clusters"]
		}
		if n, known := order[numbers.ReplaceAllString(s.path, "[]")]; known {
			return n
		}
		return len(order)
	}
	sections := map[string]int{}
	for i := range t.settings {
		if _, known := sections[t.settings[i].Section]; !known {
			sections[t.settings[i].Section] = i
		}
	}
	list := slices.Clone(t.settings)
	slices.SortStableFunc(list, func(a, b Setting) int {
		return cmp.Or(cmp.Compare(sections[a.Section], sections[b.Section]), cmp.Compare(place(&a), place(&b)),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return list
}

// referenceRoot is the reference as a mapping.
func referenceRoot() *yaml.Node {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(reference), &document); err != nil {
		panic(err) // it is built in, and read by tests
	}
	return document.Content[0]
}

var numbers = regexp.MustCompile(`\[\d+]`)

// number gives each key of the reference its place, by its path.
func number(n *yaml.Node, path string, order map[string]int) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			at := join(path, n.Content[i].Value)
			order[at] = len(order)
			number(n.Content[i+1], at, order)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			number(item, path+"[]", order)
		}
	}
}

// Change is a key that two configurations do not agree in.
type Change struct {
	Section, Key string
	Whole        bool // the section is in one of them alone
}

func (c Change) String() string { return strings.TrimSpace(c.Section + " " + c.Key) }

// Keep is what runs where all of a configuration is taken over but some keys, which stay as they were before.
func Keep(before, after []Setting, stay []Change) []Setting {
	is := func(s Setting) bool {
		return slices.ContainsFunc(stay, func(c Change) bool { return c.Section == s.Section && c.Key == s.Key })
	}
	kept := slices.DeleteFunc(slices.Clone(after), is)
	for _, s := range before {
		if is(s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// Changed lists the keys that two configurations do not agree in.
func Changed(before, after []Setting) []Change {
	type place struct{ section, key string }
	said := func(list []Setting) (map[place]string, map[string]bool) {
		all, sections := map[place]string{}, map[string]bool{}
		for i := range list {
			all[place{list[i].Section, list[i].Key}] = list[i].actual
			sections[list[i].Section] = true
		}
		return all, sections
	}
	a, sectionsOfA := said(before)
	b, sectionsOfB := said(after)
	both := maps.Clone(a)
	maps.Copy(both, b)
	var changed []Change
	for at := range both {
		was, before := a[at]
		is, after := b[at]
		if was != is || before != after {
			changed = append(changed, Change{at.section, at.key, !sectionsOfA[at.section] || !sectionsOfB[at.section]})
		}
	}
	slices.SortFunc(changed, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Key, b.Key))
	})
	return changed
}
