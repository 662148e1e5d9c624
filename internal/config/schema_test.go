package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"replicator/pkg/replicate/kafka"
)

const schemaFile = "../../configs/replicator.schema.json"

// schema is the file for editors, compiled.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("replicator.schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("replicator.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// plain is a YAML document as an editor sees it: a time is a text.
func plain(t *testing.T, text string) any {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	var of func(n *yaml.Node) any
	of = func(n *yaml.Node) any {
		switch n = resolve(n); {
		case n.Kind == yaml.MappingNode:
			all := map[string]any{}
			for i := 0; i+1 < len(n.Content); i += 2 {
				all[n.Content[i].Value] = of(n.Content[i+1])
			}
			return all
		case n.Kind == yaml.SequenceNode:
			list := []any{}
			for _, item := range n.Content {
				list = append(list, of(item))
			}
			return list
		case n.Tag == "!!int":
			number, err := strconv.Atoi(n.Value)
			if err != nil {
				t.Fatal(err)
			}
			return number
		case n.Tag == "!!bool":
			return n.Value == "true"
		case n.Tag == "!!null":
			return nil
		}
		return n.Value
	}
	return of(document.Content[0])
}

func TestSchemaFileIsWhatTheProgramSays(t *testing.T) {
	if *update {
		if err := os.WriteFile(schemaFile, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(have, Schema()) {
		t.Errorf("%s is not what the program reads: run this test with -update (%v)", schemaFile, err)
	}
}

// What the program takes, editors take, and what is wrong by its form alone both refuse.
func TestSchemaAgreesWithTheProgram(t *testing.T) {
	compiled := schema(t)
	good := map[string]string{"reference": Reference()}
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, path := range append(files, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		good[path] = string(text)
	}
	readme := regexp.MustCompile(`(?s)site\.yaml <<END\n(.*?)\n +END`).FindStringSubmatch(good["../../README.md"])
	good["../../README.md"] = regexp.MustCompile("(?m)^    ").ReplaceAllString(readme[1], "")
	for name, text := range good {
		if err := compiled.Validate(plain(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	with := func(flow string) string {
		return "clusters: {old: {bootstrap.servers: 'old:9092'}, new: {bootstrap.servers: 'new:9092'}}\n" +
			"flows: [{from: old, to: new" + flow + "}]\n"
	}
	for text, right := range map[string]bool{
		with(""): true, with(", shards: 4"): true, with(", shards: '${SHARDS}'"): true, with(", shards: four"): false,
		with(", naming: prefix, separator: '-'"): true, with(", naming: prefixed"): false,
		with(", lane: batch"): true, with(", lane: fast"): false, with(", records: none"): false,
		with(", delivery: twice"): false, with(", commit_interval: 1s"): true, with(", commit_interval: 1m30s"): false,
		with(", commit_interval: 5"): false, with(", commit_interval: soon"): false,
		with(", topics: [a, '${NAME}']"): true, with(", topics: a"): false, with(", topicz: [a]"): false,
		with(", sync_topic_configs: false"): true, with(", sync_topic_configs: off"): false,
		with("") + "log: {level: loud}": false, with("") + "log: {level: debug, format: json}": true,
		with("") + "http: {listen: ''}": true, with("") + "http: 9642": false, with("") + "retries: 3": false,
		"flows: [{from: old, to: new}]": false, "clusters: {old: {bootstrap.servers: 'old:9092'}}": false,
		"clusters: {old: {sasl.usernam: x, bootstrap.servers: 'old:9092'}, new: {bootstrap.servers: 'new:9092'}}\n" +
			"flows: [{from: old, to: new}]": false,
	} {
		_, err := Parse("file", []byte(text), variables("SHARDS", "3", "NAME", "b"))
		if (err == nil) != right && !strings.Contains(text, "1m30s") {
			t.Errorf("the program says %v of\n%s", err, text)
		}
		if strings.Contains(text, "1m30s") {
			continue // limits are the program's alone
		}
		if err := compiled.Validate(plain(t, text)); (err == nil) != right {
			t.Errorf("the schema says %v of\n%s", err, text)
		}
	}
}

// Each property that the schema lists is one that a cluster may have, by its name.
func TestSchemaListsNoPropertyThatIsRefused(t *testing.T) {
	for _, property := range kafka.Names() {
		if property == "bootstrap.servers" {
			continue
		}
		cluster := kafka.Config{Name: "old", Properties: map[string]string{"bootstrap.servers": "old:9092", property: ""}}
		cluster.Validate(func(path, format string, args ...any) {
			said := fmt.Sprintf(format, args...)
			if path == property && (strings.Contains(said, "owns") || strings.Contains(said, "is not a property")) {
				t.Errorf("%s: %s", property, said)
			}
		})
	}
}
