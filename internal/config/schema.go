package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"replicator/pkg/replicate/kafka"
)

// object is a JSON schema, or a part of one.
type object map[string]any

// referencePattern is a variable or a file, which stands for a value of any kind.
const referencePattern = `\$\{[^}]+\}`

// durationPattern is a duration as Go writes it.
const durationPattern = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`

// sizePattern is a number of bytes, with a unit or without.
const sizePattern = `^[0-9]+(\.[0-9]+)? ?(B|[kMG]B|[KMG]iB)?$`

// ofShape is the schema of one value.
func ofShape(looks shape) object {
	reference := object{"type": "string", "pattern": referencePattern}
	words := func(accepted []string) object {
		if len(accepted) == 0 {
			return object{"type": []string{"string", "number", "boolean"}}
		}
		return object{"anyOf": []object{{"enum": accepted}, reference}}
	}
	switch looks.kind {
	case someTexts:
		return object{"type": "array", "items": words(looks.accepted)}
	case aNumber:
		return object{"anyOf": []object{{"type": "integer"}, reference}}
	case aTruth:
		return object{"anyOf": []object{{"type": "boolean"}, reference}}
	case aSize:
		return object{"anyOf": []object{{"type": "integer"}, {"type": "string", "pattern": sizePattern}, reference}}
	case aDuration:
		return object{"anyOf": []object{{"type": "string", "pattern": durationPattern}, reference}}
	}
	return words(looks.accepted)
}

// Schema is a JSON schema of configurations, for editors. It is made from the fields that read them, and from the
// reference, which explains them.
func Schema() []byte {
	p := newParser(os.LookupEnv, ReadFile)
	p.told.shapes = true
	config := DefaultConfig()
	p.config(nil, &config)
	root := object{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "Configuration of replicator",
		"type": "object", "additionalProperties": false, "required": []string{"clusters", "flows"},
		"definitions": object{"value": ofShape(shape{kind: aText})},
	}
	said := explained()
	for i := range p.told.settings {
		s := &p.told.settings[i]
		one := ofShape(s.shape)
		if s.Value != "" {
			one["default"] = s.Value
		}
		root.put(strings.Split(s.path, "."), one)
	}
	root.put([]string{"clusters"}, object{"type": "object", "additionalProperties": ofCluster()})
	root.explain("", said)
	root.at("flows[]")["required"] = []string{"from", "to"}
	root.at("flows")["minItems"] = 1
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		panic(err) // it is made of texts
	}
	return text.Bytes()
}

// ofCluster is the schema of one cluster. What librdkafka does not list is a mistake that an editor may show.
func ofCluster() object {
	properties := object{}
	for _, name := range kafka.Names() {
		properties[name] = object{"$ref": "#/definitions/value"}
	}
	for _, name := range []string{"prefix", "from_env"} {
		properties[name] = object{"$ref": "#/definitions/value"}
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties,
		"anyOf": []object{{"required": []string{"bootstrap.servers"}}, {"required": []string{"from_env"}}}}
}

// put sets the schema of a key at a path, whose members in brackets are lists.
func (o object) put(path []string, one object) {
	if o["properties"] == nil {
		o["type"], o["additionalProperties"], o["properties"] = "object", false, object{}
	}
	name, isList := strings.CutSuffix(path[0], "[]")
	properties := o["properties"].(object)
	if !isList && len(path) == 1 {
		properties[name] = one
		return
	}
	next, known := properties[name].(object)
	if !known {
		next = object{}
		properties[name] = next
	}
	if isList {
		if next["items"] == nil {
			next["type"], next["items"] = "array", object{}
		}
		next = next["items"].(object)
	}
	next.put(path[1:], one)
}

// at is the schema at a path.
func (o object) at(path string) object {
	for _, part := range strings.Split(path, ".") {
		name, isList := strings.CutSuffix(part, "[]")
		if o = o["properties"].(object)[name].(object); isList {
			o = o["items"].(object)
		}
	}
	return o
}

// explain gives each key what the reference says of it.
func (o object) explain(path string, said map[string]string) {
	if text := said[path]; text != "" {
		o["description"] = text
	}
	if items, is := o["items"].(object); is {
		items.explain(path+"[]", said)
	}
	if properties, is := o["properties"].(object); is {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			properties[name].(object).explain(join(path, name), said)
		}
	}
}

var comment = regexp.MustCompile(`(?m)^# ?`)

// explained is what the reference says of each key above it, by path.
func explained() map[string]string {
	said := map[string]string{}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			at := join(path, n.Content[i].Value)
			text := n.Content[i].HeadComment
			said[at] = strings.TrimSpace(comment.ReplaceAllString(text, ""))
			walk(n.Content[i+1], at)
		}
		for _, item := range n.Content {
			if n.Kind == yaml.SequenceNode {
				walk(item, path+"[]")
			}
		}
	}
	walk(referenceRoot(), "")
	return said
}
