package page_test

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"replicator/internal/answers"
	"replicator/internal/page"
)

var update = flag.Bool("update", false, "write docs/page.schema.json anew")

const schemaFile = "../../docs/page.schema.json"

// ofPath are the documents of the API.
var ofPath = map[string]reflect.Type{
	"/api/v1/status":  reflect.TypeFor[page.Status](),
	"/api/v1/history": reflect.TypeFor[page.History](),
	"/api/v1/offsets": reflect.TypeFor[answers.Translated](),
	"/api/v1/version": reflect.TypeFor[page.Version](),
	"refusal":         reflect.TypeFor[page.Refusal](),
}

type object = map[string]any

// schemaOf is a JSON schema of what a type is encoded as. Lists may be null where nothing is known.
func schemaOf(t *testing.T, of reflect.Type) object {
	t.Helper()
	switch {
	case of == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case of.Kind() == reflect.Pointer: // a pointer has the methods of what it points to
		return object{"anyOf": []any{schemaOf(t, of.Elem()), object{"type": "null"}}}
	case of.Implements(reflect.TypeFor[json.Marshaler]()):
		t.Fatalf("%s encodes itself: tell schemaOf as what", of)
	}
	switch of.Kind() {
	case reflect.Slice:
		return object{"type": []any{"array", "null"}, "items": schemaOf(t, of.Elem())}
	case reflect.Struct:
		properties, required := object{}, []any{}
		for _, field := range reflect.VisibleFields(of) {
			name, how, _ := strings.Cut(field.Tag.Get("json"), ",")
			if field.Anonymous && name == "" || name == "-" || !field.IsExported() {
				continue
			}
			properties[name] = schemaOf(t, field.Type)
			if how == "" {
				required = append(required, name)
			}
		}
		return object{"type": "object", "properties": properties, "required": required}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	}
	t.Fatalf("%s is of kind %s: tell schemaOf what that is", of, of.Kind())
	return nil
}

// The documented schema is that of what is answered.
func TestSchemaIsTrue(t *testing.T) {
	t.Parallel()
	all := object{}
	for path, of := range ofPath {
		all[path] = schemaOf(t, of)
	}
	want, err := json.MarshalIndent(object{"$schema": "http://json-schema.org/draft-07/schema#",
		"title": "Answers of the page's API, by path; fields may be added", "definitions": all}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what is answered: run this test with -update (%v)", schemaFile, err)
	}
}

// follows makes sure that a document is as its schema says.
func follows(t *testing.T, path string, document []byte) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile + "#/definitions/" + strings.ReplaceAll(path, "/", "~1"))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(document)))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", path, err, document)
	}
}
