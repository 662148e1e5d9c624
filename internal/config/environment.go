package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"replicator/pkg/replicate/kafka/mask"
)

// environment answers what ${NAME} and ${file:PATH} stand for, and remembers it: no message may show it.
type environment struct {
	process func(string) (string, bool)  // the process's own
	read    func(string) ([]byte, error) // a whole file
	file    string                       // the one that env_file names; "": none
	inFile  map[string]string            // what that says
	files   []string                     // that were read
	used    bool                         // a value came from a file, and may be renewed while the program runs
	seen    map[string]string            // what was answered: value by ${NAME}
}

func newEnvironment(getenv func(string) (string, bool), read func(string) ([]byte, error)) *environment {
	e := &environment{process: getenv, seen: map[string]string{}}
	e.read = func(name string) ([]byte, error) {
		if !slices.Contains(e.files, name) {
			e.files = append(e.files, name)
		}
		return read(name)
	}
	return e
}

// load reads the environment file.
func (e *environment) load() error {
	if e.file == "" {
		return nil
	}
	data, err := e.read(e.file)
	if err != nil {
		return fmt.Errorf("%s %w", e.file, unread(err))
	}
	if e.inFile, err = environmentIn(string(data)); err != nil {
		return fmt.Errorf("%s: %w", e.file, err)
	}
	return nil
}

// lookup finds a variable, in the environment file before the process's environment.
func (e *environment) lookup(name string) (string, bool) {
	if value, ok := e.inFile[name]; ok {
		e.used = true
		return value, true
	}
	return e.process(name)
}

// fromFile is the text of a file, for ${file:PATH}, without the end of its last line.
func (e *environment) fromFile(name string) (string, error) {
	data, err := e.read(name)
	if err != nil {
		return "", fmt.Errorf("the file %s %w", name, unread(err))
	}
	e.used = true
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("the file %s is empty", name)
	}
	return text, nil
}

// mask puts ${NAME} in the place of what was read from the environment. Short
// values are part of many a word, so that they are only taken as a whole.
func (e *environment) mask(message string) string {
	labels := map[string]string{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(e.seen))) { // of two with one value, the first
		value := e.seen[name]
		labels[strconv.Quote(value)] = `"` + name + `"`
		if len(value) >= 4 {
			labels[value] = name
		}
	}
	return mask.Text(message, labels)
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var errNoName = errors.New("holds ${ without a name and a closing }; write ${NAME} or ${file:PATH}, or $${ for ${ " +
	"itself")

// expand puts the environment in for ${NAME} and a file's text for ${file:PATH}; $${
// stands for ${ itself. Of several problems it tells the first.
func (e *environment) expand(raw string) (value string, err error) {
	var b strings.Builder
	for {
		i := strings.Index(raw, "${")
		if i < 0 {
			b.WriteString(raw)
			return b.String(), err
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
			return "", cmp.Or(err, errNoName)
		}
		var text string
		var problem error
		if isFile {
			text, problem = e.fromFile(file)
		} else if value, set := e.lookup(name); set {
			text = value
		} else {
			problem = fmt.Errorf("the environment variable %s is not set", name)
		}
		err = cmp.Or(err, problem)
		if text != "" {
			e.seen["${"+name+"}"] = text
		}
		b.WriteString(text)
		raw = rest
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
