package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"replicator/internal/kafkatest"
)

// The secrets that the test plants: nobody but the clusters may see them.
const (
	plantedInEnvironment = "planted+in/environment=1"
	plantedInFile        = "planted+in/file=2"
	plantedInYAML        = "planted+in/yaml=3" // which is the wrong one
)

// shows names what of the planted secrets a text shows, in the forms in which secrets travel.
func shows(text string) (list []string) {
	for _, secret := range []string{plantedInEnvironment, plantedInFile, plantedInYAML} {
		login := base64.StdEncoding.EncodeToString([]byte("\x00mirror\x00" + secret))
		for form, shape := range map[string]string{"as it is": secret, "quoted": url.QueryEscape(secret),
			"in base64": base64.StdEncoding.EncodeToString([]byte(secret)), "in hex": hex.EncodeToString([]byte(secret)),
			"as a login": login} {
			if strings.Contains(text, shape) {
				list = append(list, secret+" "+form)
			}
		}
	}
	return list
}

// plant gives the world two clusters that want passwords, one from the environment and one from a file; a third cluster
// has its own in the configuration.
func plant(t *testing.T) *world {
	t.Helper()
	t.Setenv("PLANTED", plantedInEnvironment)
	w := &world{t: t}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithCancel(context.Background())
	t.Cleanup(cancel)
	wants := func(password, id string) *kafkatest.Cluster {
		return kafkatest.Start(t, kfake.ClusterID(id), kfake.EnableSASL(), kfake.Superuser("PLAIN", "mirror", password),
			kfake.SeedTopics(1, "orders"))
	}
	w.source, w.target = wants(plantedInEnvironment, "source-id"), wants(plantedInFile, "target-id")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(plantedInFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := func(address, password string) string {
		return fmt.Sprintf(`{bootstrap.servers: "%s", security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, `+
			`sasl.username: mirror, sasl.password: "%s"}`, address, password)
	}
	w.config = w.write("", "")
	text := fmt.Sprintf(`clusters:
  old: %s
  new: %s
  wrong: %s
flows:
  - {from: old, to: new, shards: 2, commit_interval: 50ms}
  - {from: old, to: wrong, shards: 2}
http: {listen: "127.0.0.1:0"}
log: {level: debug}
`, login(w.source.Address(), "${PLANTED}"), login(w.target.Address(), "${file:"+file+"}"),
		login(w.target.Address(), plantedInYAML))
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestSecretsAreShownNowhere: whatever is asked, and whatever goes wrong with a login, no output holds a secret of the
// configuration: answers, errors, logs at level debug, metrics, page, and the command line of the process.
func TestSecretsAreShownNowhere(t *testing.T) {
	w := plant(t)
	var log output
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	done := make(chan int, 1)
	go func() { done <- execute(ctx, []string{"run", "-c", w.config}, &log, &log) }()
	at := w.serving(&log)
	w.await("one flow is at work", func() bool {
		_, text := w.get(at + "/metrics")
		return strings.Contains(text, `replicator_partitions{flow="old->new"} 1`)
	})
	w.await("the login of the other flow is refused", func() bool {
		return strings.Contains(log.String(), "wrong") &&
			strings.Contains(log.String(), "refused")
	})
	seen := map[string]string{}
	for _, verb := range []string{"config", "config --json", "check", "check --connect", "check --connect --json",
		"plan --flow old->new", "status", "status --json", "status --flow old->wrong", "verify --flow old->new",
		"verify --flow old->wrong --json", "offsets --flow old->new orders", "ledger", "ledger --flow old->new --json",
		"drill --flow old->new", "wait --flow old->wrong --lag 0 --timeout 2s", "history --flow old->wrong",
		"drained --flow old->new", "topics --flow old->new", "cutover --flow old->new --dry-run --silent-for 1ms",
		"failover --flow old->new --dry-run --source-is-dead", "pause --flow old->new orders --yes",
		"resume --flow old->new --dry-run", "version"} {
		words := strings.Fields(verb)
		got := w.run(words...)
		if words[0] == "version" {
			got = command(w.ctx, words...)
		}
		seen["replicator "+verb] = got.stdout + got.stderr
	}
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/api/v1/status", "/api/v1/history",
		"/api/v1/version"} {
		status, body := w.get(at + path)
		if status == http.StatusNotFound {
			t.Errorf("%s is not served", path)
		}
		seen[path] = body
	}
	stop()
	<-done
	seen["the log"] = log.String()
	if text, err := os.ReadFile("/proc/self/cmdline"); err == nil {
		seen["the command line"] = string(text)
	}
	for where, text := range seen {
		if text == "" {
			t.Errorf("%s says nothing: it is no test", where)
		}
		for _, what := range shows(text) {
			t.Errorf("%s shows %s:\n%s", where, what, text)
		}
	}
}

// TestShows: the search finds what it is to find.
func TestShows(t *testing.T) {
	for _, text := range []string{plantedInFile, url.QueryEscape(plantedInYAML),
		base64.StdEncoding.EncodeToString([]byte("\x00mirror\x00" + plantedInEnvironment)), "x" + plantedInYAML + "x"} {
		if len(shows(text)) == 0 {
			t.Errorf("%q is not found", text)
		}
	}
}
