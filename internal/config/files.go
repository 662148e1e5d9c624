package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// files are where values come from that may be renewed while the program runs.
type files struct {
	environment string                       // the file that env_file names; "": none
	read        func(string) ([]byte, error) // a whole file
	used        bool                         // a value came from one of them
}

// reason is what a file's error says beside its name.
func reason(err error) error {
	var inPath *os.PathError
	if errors.As(err, &inPath) {
		return inPath.Err
	}
	return err
}

// environment puts the file that the key env_file names before the process's
// environment. It is read before everything else, wherever the key stands.
func (p *parser) environment(root *yaml.Node) {
	if root = resolve(root); root.Kind != yaml.MappingNode {
		return // told by whoever reads it next
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if key := root.Content[i]; key.Kind == yaml.ScalarNode && key.Value == "env_file" {
			p.places["env_file"] = key.Line
			p.text(&p.files.environment)(root.Content[i+1], "env_file")
			p.load("env_file")
			return
		}
	}
}

// load reads the environment file.
func (p *parser) load(path string) {
	if p.files.environment == "" {
		return
	}
	data, err := p.files.read(p.files.environment)
	if err != nil {
		p.bad(path, "%s cannot be read: %v", p.files.environment, reason(err))
		return
	}
	values, err := environmentIn(string(data))
	if err != nil {
		p.bad(path, "%s: %v", p.files.environment, err)
		return
	}
	process := p.getenv
	p.getenv = func(name string) (string, bool) {
		if value, ok := values[name]; ok {
			p.files.used = true
			return value, true
		}
		return process(name)
	}
}

// environmentIn reads NAME=value lines, as systemd does: blank lines and such that
// begin with # or ; are passed over; a value may be in single or double quotes, and goes
// on over several lines there, as certificates do. In double quotes \ stands before
// ", \, $ and ` that mean themselves.
func environmentIn(text string) (map[string]string, error) {
	values := map[string]string{}
	for number := 1; text != ""; number++ {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			text = rest
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !found || !envName.MatchString(name) {
			return nil, fmt.Errorf("line %d is not NAME=value", number) // what stands there may be a secret
		}
		value = strings.TrimSpace(value)
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			quoted := text[strings.Index(text, "=")+1:]
			inside, after, closed := unquoted(strings.TrimLeft(quoted, " \t"))
			if !closed {
				return nil, fmt.Errorf("the quotes that line %d opens are not closed", number)
			}
			if line, rest, _ = strings.Cut(after, "\n"); strings.TrimSpace(line) != "" {
				return nil, fmt.Errorf("something follows the quotes that line %d opens", number)
			}
			number += strings.Count(text[:len(text)-len(after)], "\n")
			value = strings.ReplaceAll(inside, "\r\n", "\n")
		}
		values[name], text = value, rest
	}
	return values, nil
}

// unquoted is what stands between the quotes that a text begins with, and what follows
// them; closed says whether they end.
func unquoted(text string) (inside, after string, closed bool) {
	var b strings.Builder
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return b.String(), text[i+1:], true
		case quote == '"' && text[i] == '\\' && i+1 < len(text) && strings.IndexByte("\"\\$`", text[i+1]) >= 0:
			i++
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

// fromFile is the text of a file, for ${file:PATH}, without the end of its last line.
func (p *parser) fromFile(name, path string) (string, bool) {
	data, err := p.files.read(name)
	if err != nil {
		p.bad(path, "the file %s cannot be read: %v", name, reason(err))
		return "", false
	}
	p.files.used = true
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		p.bad(path, "the file %s is empty", name)
		return "", false
	}
	return text, true
}

// renewal reads a cluster again, with what is in the files then. While files are being
// replaced, and do not say what is needed, the answer is the one before.
func (p *parser) renewal(name string, n *yaml.Node, path string, last map[string]string) func() map[string]string {
	getenv, environment, read := p.process, p.files.environment, p.files.read
	var mu sync.Mutex
	return func() map[string]string {
		mu.Lock()
		defer mu.Unlock()
		again := newParser(getenv, read)
		again.files.environment = environment
		again.load("env_file")
		cluster, _ := again.cluster(name, n, path)
		if len(again.problems) == 0 {
			last = cluster.Properties
		}
		return maps.Clone(last)
	}
}
