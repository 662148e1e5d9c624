package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"replicator/internal/config"
)

// Only what other machines can reach is open, and only without a web config.
func TestHTTPIsOpen(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]bool{
		config.DefaultConfig().HTTP.Listen: false,
		"":                                 false,
		"127.0.0.1:9642":                   false,
		"127.1.2.3:9642":                   false,
		"localhost:9642":                   false,
		"[::1]:9642":                       false,
		":9642":                            true,
		"0.0.0.0:9642":                     true,
		"[::]:9642":                        true,
		"10.1.2.3:9642":                    true,
		"mirror.example:9642":              true, // whatever that is
	} {
		if got := (config.HTTP{Listen: listen}).Open(); got != want {
			t.Errorf("%q is open: %v, want %v", listen, got, want)
		}
		if (config.HTTP{Listen: listen, WebConfig: "web.yaml"}).Open() {
			t.Errorf("%q is open with a web config", listen)
		}
	}
}

// A web config is read with the configuration, and what is wrong with it is told with its line.
func TestWebConfigIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml",
		"basic_auth_users: {reader: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n")
	bad := write("bad.yaml", "basic_auth_users: {reader: in the clear}\n")
	for http, want := range map[string]string{
		`{web_config: "` + good + `"}`:             "",
		`{web_config: "` + bad + `"}`:              "line 6  http.web_config: " + bad + " cannot be used",
		`{web_config: "` + dir + `/gone"}`:         "line 6  http.web_config",
		`{listen: "", web_config: "` + good + `"}`: "line 6  http.web_config: would not be used",
	} {
		text := "clusters:\n  old: {bootstrap.servers: \"old:9092\"}\n  new: {bootstrap.servers: \"new:9092\"}\nflows:\n" +
			"  - {from: old, to: new}\nhttp: " + http + "\n"
		cfg, err := config.Parse("test.yaml", []byte(text), os.LookupEnv)
		switch {
		case want == "" && (err != nil || cfg.HTTP.WebConfig != good):
			t.Errorf("%s: %v", http, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", http, err, want)
		case err != nil && strings.Contains(err.Error(), "in the clear"):
			t.Errorf("a password is shown: %v", err)
		}
	}
}
