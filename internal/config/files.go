package config

import (
	"errors"
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
	getenv, environment, read := p.env.process, p.env.file, p.env.read
	var mu sync.Mutex
	return func() map[string]string {
		mu.Lock()
		defer mu.Unlock()
		again := newParser(getenv, read)
		again.env.file = environment
		again.loadEnvironment()
		cluster, _ := again.cluster(name, n, path)
		if len(again.found.problems) == 0 {
			last = cluster.Properties
		}
		return maps.Clone(last)
	}
}
