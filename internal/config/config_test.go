package config

import (
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/settings"
)

var update = flag.Bool("update", false, "write the messages that were got into testdata/*.bad.txt")

// variables answers for ${NAME} in tests; SET holds a secret that no message may show.
func variables(pairs ...string) func(string) (string, bool) {
	values := map[string]string{"SET": "hunter2-from-env",
		"PLAIN_URL": "kafka://hunter2:9092", "PLAIN_PREFIX": "hunter2.",
		"BROKEN_URL": "kafka+ssl://hunter2:9096", "BROKEN_CLIENT_CERT": "hunter2-cert",
		"ILLEGAL_URL": "kafka://hunter2-too:9092", "ILLEGAL_PREFIX": "hunter2/"}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// and answers from the first that has the variable.
func and(first, then func(string) (string, bool)) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if value, ok := first(name); ok {
			return value, true
		}
		return then(name)
	}
}

func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(filepath.Base(file), data, variables())
			var problems *Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems", err)
			}
			if problems.Remedy() == "" {
				t.Error("no remedy")
			}
			got := problems.Error() + "\n"
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

// The reference shows the defaults, all of them, and nothing that is not so.
func TestReference(t *testing.T) {
	full, err := Parse("reference", []byte(Reference()), variables())
	if err != nil {
		t.Fatal(err)
	}
	bare, err := Parse("bare", []byte(`
clusters: {old: {bootstrap.servers: "old:9092"}, new: {bootstrap.servers: "new:9092"}}
flows: [{from: old, to: new}]`), variables())
	if err != nil {
		t.Fatal(err)
	}
	if full.Flows[0].ExcludeTopics == nil || full.Flows[0].ExcludeGroups == nil {
		t.Error("the reference leaves out exclude_topics or exclude_groups")
	}
	full.Flows[0].ExcludeTopics, full.Flows[0].ExcludeGroups, full.Flows[0].SharedGroups = nil, nil, nil // none is none
	if !reflect.DeepEqual(full, bare) {
		t.Errorf("the reference means\n%+v, without its optional keys\n%+v", full, bare)
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings.Config]()) {
		name := field.Name
		key := snake(name)
		switch name {
		case "Config", "Flow": // their fields are seen as well
			continue
		case "Flows", "SourcePrefix", "TargetPrefix", "CalledFrom", "Called", "Habits", "LeavesOut",
			"KeepsSettings", "Beside": // no keys of a flow
			continue
		case "Separator": // only with prefix
			continue
		}
		if !strings.Contains(Reference(), "\n    "+key+":") && !strings.Contains(Reference(), "\n  - "+key+":") {
			t.Errorf("the reference has no key %s", key)
		}
	}
}

func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

func TestEveryKeyIsRead(t *testing.T) {
	got, err := Parse("full", []byte(`
clusters:
  old: {bootstrap.servers: "${HOST}:9092", client.id: "$${x}", linger.ms: 7, socket.keepalive.enable: true}
  new: {bootstrap.servers: "new:9092"}
flows:
  - from: old
    to: new
    topics: &list [a, "${HOST}.*"]
    exclude_topics: [b]
    groups: *list
    exclude_groups: []
    shared_groups: [s]
    naming: prefix
    separator: "-"
    delivery: at_least_once
    lane: record
    start: 2026-01-31T06:00:00Z
    replication_factor: 3
    sync_topic_configs: false
    exclude_configs: [c]
    shards: 4
    commit_interval: 1s
    group_sync_interval: 2s
    refresh_interval: 1m
    ledger: acme.ledger
    limits:
      bytes_per_second: 20MB
      time_zone: Europe/Berlin
      calendar: [{days: mon-fri, from: "08:00", to: "18:00", bytes_per_second: 1.5MiB}]
http: {listen: ""}
log: {level: warn, format: json}
`), variables("HOST", "kafka"))
	if err != nil {
		t.Fatal(err)
	}
	wantProperties := map[string]string{"bootstrap.servers": "kafka:9092", "client.id": "${x}", "linger.ms": "7",
		"socket.keepalive.enable": "true"}
	if c := got.Clusters["old"]; c.Name != "old" || !reflect.DeepEqual(c.Properties, wantProperties) {
		t.Errorf("cluster old: got %q %v, want %v", c.Name, c.Properties, wantProperties)
	}
	want := settings.Config{
		Config: policy.Config{
			Flow:   policy.Flow{From: "old", To: "new", Naming: policy.Prefix, Separator: "-", Ledger: "acme.ledger"},
			Topics: []string{"a", "kafka.*"}, ExcludeTopics: []string{"b"},
			Groups: []string{"a", "kafka.*"}, ExcludeGroups: []string{},
			SharedGroups: []string{"s"},
			Flows:        []policy.Flow{{From: "old", To: "new", Naming: policy.Prefix, Separator: "-", Ledger: "acme.ledger"}},
		},
		Records:  settings.AllRecords,
		Delivery: settings.AtLeastOnce, Lane: settings.LaneRecord,
		Start:             "2026-01-31T06:00:00Z",
		ReplicationFactor: 3, ExcludeConfigs: []string{"c"}, Shards: 4,
		CommitInterval: time.Second, GroupSyncInterval: 2 * time.Second, RefreshInterval: time.Minute,
		Limits: settings.Limits{BytesPerSecond: 20_000_000, TimeZone: "Europe/Berlin", Calendar: []settings.Window{
			{Days: "mon-fri", From: "08:00", To: "18:00", BytesPerSecond: 3 << 19}}},
	}
	if !reflect.DeepEqual(got.Flows, []settings.Config{want}) {
		t.Errorf("got %+v\nwant %+v", got.Flows[0], want)
	}
	if got.HTTP.Listen != "" || got.Log != (Log{slog.LevelWarn, JSON}) {
		t.Errorf("got http %+v, log %+v", got.HTTP, got.Log)
	}
}

func TestFlow(t *testing.T) {
	flow := func(from, to string) (c settings.Config) {
		c.From, c.To = from, to
		return c
	}
	one := Config{Flows: []settings.Config{flow("a", "b")}}
	two := Config{Flows: []settings.Config{flow("a", "b"), flow("b", "a")}}
	for _, c := range []struct {
		config Config
		name   string
		want   string // "": an error
	}{
		{one, "", "a->b"},
		{one, "a->b", "a->b"},
		{one, "b->a", ""},
		{two, "b->a", "b->a"},
		{two, "", ""},
	} {
		got, err := c.config.Flow(c.name)
		if c.want == "" {
			var unknown *UnknownFlowError
			if !errors.As(err, &unknown) || !strings.Contains(unknown.Remedy(), "a->b") {
				t.Errorf("Flow(%q) of %d flows: got %v, want an error that lists the flows", c.name, len(c.config.Flows), err)
			}
			continue
		}
		if err != nil || got.Name() != c.want {
			t.Errorf("Flow(%q): got %s, %v, want %s", c.name, got.Name(), err, c.want)
		}
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := Load("testdata/none.yaml")
	var problems *Problems
	want := "testdata/none.yaml: 1 problem\n  cannot be read: no such file or directory"
	if !errors.As(err, &problems) || problems.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// The examples are right, and each starts with what it is for.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %d examples, %v", len(files), err)
	}
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, []byte(certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := variables("OLD_USERNAME", "mirror", "OLD_PASSWORD", "a", "OLD_CA", authority,
		"NEW_API_KEY", "key", "NEW_API_SECRET", "b")
	getenv = and(getenv, variables(append(heroku(t, "HEROKU_KAFKA_COPPER", "kafka+ssl://copper:9096", ""),
		heroku(t, "KAFKA", herokuURLs, "columbia-68051.")...)...))
	flows := map[string]int{"disaster-recovery.yaml": 2, "two-sites.yaml": 2}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		config, err := Parse(file, data, getenv)
		if err != nil {
			t.Error(err)
			continue
		}
		if want := max(flows[filepath.Base(file)], 1); len(config.Flows) != want {
			t.Errorf("%s: %d flows, want %d", file, len(config.Flows), want)
		}
		if !strings.HasPrefix(string(data), "# ") {
			t.Errorf("%s does not begin with a comment that says what it is for", file)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(Reference())
	f.Add("clusters: &a {b: *a}\nflows: [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := Parse("fuzz", []byte(text), variables())
		if (config == nil) == (err == nil) {
			t.Fatalf("%q: got config %v and error %v, want one of them", text, config, err)
		}
		if err != nil && err.Error() == "" {
			t.Fatalf("%q: an error without a text", text)
		}
		if err == nil && len(config.Flows) == 0 {
			t.Fatalf("%q: accepted without a flow", text)
		}
	})
}

// One variable's value may begin another's: nothing of either is shown.
func TestOverlappingValuesAreHidden(t *testing.T) {
	e := &environment{seen: map[string]string{"${A}": "hunter2", "${B}": "hunter2-and-more", "${C}": "more-of-it",
		"${D}": "h"}}
	for message, want := range map[string]string{
		`"hunter2-and-more" is unknown`: `"${B}" is unknown`,
		"hunter2-and-more-of-it":        "${B}",
		`hunter2, "hunter2", "h"`:       `${A}, "${A}", "${D}"`,
	} {
		if got := e.mask(message); got != want {
			t.Errorf("scrub(%q) = %q, want %q", message, got, want)
		}
	}
}
