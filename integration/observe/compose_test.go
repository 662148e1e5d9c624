package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"replicator/internal/config"
)

// What deploy/compose.yaml hands to replicator and to Prometheus is understood by them, and Grafana is told of the
// boards where they are mounted.
func TestComposeHandsOutWhatIsUnderstood(t *testing.T) {
	text, err := os.ReadFile(deploy + "/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Configs map[string]struct{ Content string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	written := func(name string) string {
		content := compose.Configs[name].Content
		if content == "" {
			t.Fatalf("deploy/compose.yaml has no configuration %s", name)
		}
		rules, err := filepath.Abs(deploy)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".yaml")
		content = strings.ReplaceAll(content, "/etc/prometheus/", rules+"/")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	site, err := config.Load(written("site"))
	if err != nil || len(site.Flows) != 1 || !strings.HasSuffix(site.HTTP.Listen, ":9642") {
		t.Errorf("the configuration of replicator: %v", err)
	}
	if provider := compose.Configs["boards"].Content; strings.Count(string(text), "/var/lib/grafana/replicator") != 2 ||
		!strings.Contains(provider, "{path: /var/lib/grafana/replicator}") {
		t.Errorf("the boards are not where Grafana looks for them:\n%s", provider)
	}
	prometheus := written("prometheus")
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
			t.Fatalf("promtool is missing (Debian: apt-get install prometheus): %v", err)
		}
		t.Skip("promtool is missing (Debian: apt-get install prometheus)")
	}
	if out, err := exec.Command(promtool, "check", "config", prometheus).CombinedOutput(); err != nil {
		t.Errorf("the configuration of Prometheus: %v\n%s", err, out)
	}
}
