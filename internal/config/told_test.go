package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Every key is told with where its value comes from; no secret is, and no value of the environment.
func TestSettings(t *testing.T) {
	write := writer(t)
	t.Setenv("TOLD_PATTERN", "hunter2")
	pass, env := write("pass", "hunter2\n"), write("env", "OLD_USER=hunter2\n")
	text := fmt.Sprintf(`env_file: %s
clusters:
  old: {bootstrap.servers: "old:9092", security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: "${OLD_USER}",
    sasl.password: "a${file:%s}b"}
  new: {bootstrap.servers: "new:9092", security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u,
    sasl.password: "${file:%[2]s}"}
flows:
  - from: old
    to: new
    topics: [a, "${TOLD_PATTERN}"]
    shards: 4
`, env, pass)
	path := write("site.yaml", text)
	loaded, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := loaded.Files, []string{path, env, pass}; !reflect.DeepEqual(got, want) {
		t.Errorf("files: got %v, want %v", got, want)
	}
	all := map[string]string{}
	var keys []string
	for _, s := range loaded.Settings {
		all[s.Section+"/"+s.Key] = fmt.Sprint(s.Value, " ", s.From, " ", s.Line, " ", s.Names)
		keys = append(keys, s.Key)
	}
	for key, want := range map[string]string{
		"/env_file":                        env + " line 1 []",
		"cluster old/bootstrap.servers":    "old:9092 line 3 []",
		"cluster old/sasl.username":        "${OLD_USER} environment 3 [OLD_USER of " + env + "]",
		"cluster old/sasl.password":        "*** file 4 [file " + pass + "]",
		"cluster new/sasl.password":        "${file:" + pass + "} file 6 [file " + pass + "]",
		"flow old->new/topics":             "[a ${TOLD_PATTERN}] environment 10 [environment TOLD_PATTERN]",
		"flow old->new/shards":             "4 line 11 []",
		"flow old->new/groups":             "[.*] default 0 []",
		"flow old->new/commit_interval":    "500ms default 0 []",
		"flow old->new/sync_topic_configs": "true default 0 []",
		"/http.listen":                     "127.0.0.1:9642 default 0 []",
		"/log.level":                       "info default 0 []",
	} {
		if all[key] != want {
			t.Errorf("%s: got %q, want %q", key, all[key], want)
		}
	}
	if strings.Contains(fmt.Sprint(loaded.Settings[0].Value, all), "hunter2") {
		t.Errorf("a secret is shown: %v", all)
	}
	at := strings.Join(keys, " ")
	if want := "from to topics exclude_topics groups"; !strings.Contains(at, want) {
		t.Errorf("got %s, want the order of the reference: %s", at, want)
	}
	write("pass", "other")
	write("site.yaml", strings.Replace(text, "shards: 4", "exclude_topics: [x]", 1))
	again, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(Changed(loaded.Settings, again.Settings)), "[cluster new sasl.password "+
		"cluster old sasl.password flow old->new exclude_topics flow old->new shards]"; got != want {
		t.Errorf("changed: got %s, want %s", got, want)
	}
}

// A file that is named and cannot be used is named with its key, and why; what it holds is not.
func TestFilesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	large, empty, secret := filepath.Join(dir, "large"), filepath.Join(dir, "empty"), filepath.Join(dir, "secret")
	for path, text := range map[string]string{large: strings.Repeat("hunter2 ", mostBytes/8+1), empty: "\n",
		secret: "hunter2\r\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, says := range map[string]string{
		filepath.Join(dir, "none"): "cannot be read: no such file or directory", dir: "is a folder; name a file in it",
		large: "holds more than 1048576 bytes", empty: "is empty",
	} {
		_, err := Parse("site.yaml", fmt.Appendf(nil, `
clusters:
  old: {bootstrap.servers: "old:9092", sasl.password: "x${file:%s}y${file:%s}"}
  new: {bootstrap.servers: "n:1"}
flows: [{from: old, to: new}]`, secret, file), variables())
		want := "clusters.old.sasl.password: the file " + file + " " + says
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %.300v, want %q", file, err, want)
		}
	}
	config, err := Parse("site.yaml", fmt.Appendf(nil, `
clusters: {old: {bootstrap.servers: "old:9092", client.id: "x${file:%s}y"}, new: {bootstrap.servers: "n:1"}}
flows: [{from: old, to: new}]`, secret), variables())
	if err != nil || config.Clusters["old"].Properties["client.id"] != "xhunter2y" {
		t.Errorf("a file within a longer value: got %v, %v", config, err)
	}
	for path, says := range map[string]string{dir: "is a folder", large: "holds more than"} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("a configuration that cannot be one: got %v, want %q", err, says)
		}
	}
}
