package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"

	"gopkg.in/yaml.v3"
)

// reason is what a file's error says beside its name.
func reason(err error) error {
	var inPath *os.PathError
	if errors.As(err, &inPath) {
		return inPath.Err
	}
	return err
}

// mostBytes is how large a file may be: what is larger is no configuration, and no password, key or certificate.
const mostBytes = 1 << 20

var (
	errFolder = errors.New("is a folder; name a file in it")
	errLarge  = fmt.Errorf("holds more than %d bytes; this is the place of a configuration, a password, a key or a "+
		"certificate", mostBytes)
)

// ReadFile reads a whole file that is as small as one that belongs here.
func ReadFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, errFolder
	}
	data, err := io.ReadAll(io.LimitReader(file, mostBytes+1))
	if err == nil && len(data) > mostBytes {
		err = errLarge
	}
	return data, err
}

// unread says of a file why it is not used.
func unread(err error) error {
	if errors.Is(err, errFolder) || errors.Is(err, errLarge) {
		return err
	}
	return fmt.Errorf("cannot be read: %w", reason(err))
}

// environment puts the file that the key env_file names before the process's
// environment. It is read before everything else, wherever the key stands.
func (p *parser) environment(root *yaml.Node) {
	if root = resolve(root); root.Kind != yaml.MappingNode {
		return // told by whoever reads it next
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if key := root.Content[i]; key.Kind == yaml.ScalarNode && key.Value == "env_file" {
			p.found.places["env_file"] = key.Line
			p.yaml.text(&p.env.file)(root.Content[i+1], "env_file")
			p.loadEnvironment()
			return
		}
	}
}

func (p *parser) loadEnvironment() {
	if err := p.env.load(); err != nil {
		p.found.bad("env_file", "%v", err)
	}
}

// renewal reads a cluster again, with what is in the files then. While files are being
// replaced, and do not say what is needed, the answer is the one before.
func (p *parser) renewal(name string, n *yaml.Node, path string, last map[string]string) func() map[string]string {
	getenv, environment := p.env.process, p.env.file
	var mu sync.Mutex
	return func() map[string]string {
		mu.Lock()
		defer mu.Unlock()
		again := newParser(getenv, ReadFile)
		again.env.file = environment
		again.loadEnvironment()
		cluster, _ := again.cluster(name, n, path)
		if len(again.found.problems) == 0 {
			last = cluster.Properties
		}
		return maps.Clone(last)
	}
}
