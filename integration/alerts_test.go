package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// prometheus runs a real one that scrapes a daemon and evaluates the rules that ship with
// the program, each second and without their patience; it answers where it is asked.
func prometheus(t *testing.T, daemon string) (api string) {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
			t.Fatalf("prometheus is missing (Debian: apt-get install prometheus): %v", err)
		}
		t.Skip("prometheus is missing (Debian: apt-get install prometheus)")
	}
	dir := t.TempDir()
	rules, err := os.ReadFile("../deploy/alerts.yaml")
	must(t, err)
	rules = regexp.MustCompile(`(?m)^( +for:) .*$`).ReplaceAll(rules, []byte("$1 2s"))
	must(t, os.WriteFile(filepath.Join(dir, "alerts.yaml"), rules, 0o600))
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yaml]\n"+
		"scrape_configs:\n  - {job_name: replicator, static_configs: [{targets: [%q]}]}\n", daemon)
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o600))
	at := freeAddress(t)
	out := &syncBuffer{}
	cmd := exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--log.level=warn",
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", out.String())
		}
	})
	return "http://" + at + "/api/v1/"
}

// firing lists the alerts that fire now, each once; false while Prometheus does not tell.
func firing(t *testing.T, api string) (names []string, told bool) {
	t.Helper()
	answer, err := http.Get(api + "alerts")
	if err != nil {
		return nil, false
	}
	defer answer.Body.Close()
	var seen struct {
		Status string
		Data   struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if json.NewDecoder(answer.Body).Decode(&seen) != nil || seen.Status != "success" {
		return nil, false
	}
	for _, alert := range seen.Data.Alerts {
		if alert.State == "firing" {
			names = append(names, alert.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// scraped says whether Prometheus has a sample of the daemon.
func scraped(api string) bool {
	answer, err := http.Get(api + "query?query=count(replicator_cluster_up)==2")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	var seen struct{ Data struct{ Result []any } }
	return json.NewDecoder(answer.Body).Decode(&seen) == nil && len(seen.Data.Result) == 1
}

// The target is killed under a running daemon: a real Prometheus, with the rules that ship
// with the program, says so, and nothing before.
func TestAlertWhenTheTargetDies(t *testing.T) {
	source, _ := shared(t)
	target := cluster.Start(t, cluster.Named("killed"))
	ctx := deadline(t, 3*time.Minute)
	name := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), name))
	mixed(ctx, t, source.Bootstrap(), name, 120, 500, 2)
	s, address := newSite(t, source.For(t), target, patterns(t, []string{name})...).replica()
	s.run()
	eventually(t, time.Minute, "all shards are at work", func() bool {
		working, found := metric(t, address, "shards", "state", "working")
		return found && working == 8
	})
	api := prometheus(t, address)
	eventually(t, 30*time.Second, "Prometheus sees the daemon, and what was pending is settled", func() bool {
		names, told := firing(t, api)
		return told && scraped(api) && len(names) == 0
	})
	target.Kill()
	var names []string
	eventually(t, time.Minute, "Prometheus says that the target is away and that no shard is at work", func() bool {
		names, _ = firing(t, api)
		return slices.Contains(names, "ReplicatorClusterAway") && slices.Contains(names, "ReplicatorShardsIdle")
	})
	if slices.Contains(names, "ReplicatorDown") || slices.Contains(names, "ReplicatorHole") {
		t.Errorf("alerts %v, want none that are untrue", names)
	}
}
