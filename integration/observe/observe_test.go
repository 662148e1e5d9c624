package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const (
	deploy = "../../deploy"
	scrape = time.Second
	// patience ends a test that fails.
	patience = 60 * time.Second
)

// question is an expression that has to be answered, and where it stands.
type question struct {
	where, expr string
	labels      []string // that the name of its series is made of
}

// playing sets the stage for a test; end has the daemons and all else end, and waits for it.
func playing(t *testing.T) (s *stage, end func()) {
	t.Helper()
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
			t.Fatalf("prometheus is missing (Debian: apt-get install prometheus): %v", err)
		}
		t.Skip("prometheus is missing (Debian: apt-get install prometheus)")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "replicator")
	if out, err := exec.Command("go", "build", "-o", program, "replicator/cmd/replicator").CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err = set(ctx, options{program: program, prometheus: prometheus, dir: dir, deploy: deploy, scrape: scrape})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- s.play(ctx) }()
	end = func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
	return s, end
}

// answer is what Prometheus says to an expression.
type answer struct {
	Status, Error string
	Data          struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any // time and number
		}
	}
}

func (s *stage) ask(t *testing.T, path string, query url.Values, into any) {
	t.Helper()
	response, err := http.Get("http://" + s.prometheus.address + "/api/v1/" + path + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// answered says whether an expression has a number now; one that Prometheus does not understand ends the test.
func (s *stage) answered(t *testing.T, q question) bool {
	t.Helper()
	var a answer
	s.ask(t, "query", url.Values{"query": {q.expr}}, &a)
	if a.Status != "success" {
		t.Fatalf("%s: %s\n%s", q.where, a.Error, q.expr)
	}
	data := false
	for _, series := range a.Data.Result {
		data = data || series.Value[1] != "NaN"
		for _, label := range q.labels {
			if series.Metric[label] == "" {
				t.Fatalf("%s: a series is called by its %s, and has none: %v", q.where, label, series.Metric)
			}
		}
	}
	return data
}

// await waits until all have data.
func (s *stage) await(t *testing.T, questions []question) {
	t.Helper()
	tick := time.NewTicker(scrape / 4)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		questions = slices.DeleteFunc(questions, func(q question) bool { return s.answered(t, q) })
		if len(questions) == 0 {
			return
		}
		if time.Now().After(limit) {
			for _, q := range questions {
				t.Errorf("%s has no data: %s", q.where, q.expr)
			}
			t.FailNow()
		}
	}
}

var labelOf = regexp.MustCompile(`\{\{(\w+)\}\}`)

// onBoards are the expressions of all boards, as Grafana would ask them for all flows.
func onBoards(t *testing.T) (questions []question) {
	t.Helper()
	files, err := filepath.Glob(deploy + "/grafana/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("boards: %v, %v", files, err)
	}
	asks := strings.NewReplacer("$flow", ".+", "$__rate_interval", (8 * scrape).String(), "$__range", "1m")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr, LegendFormat string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatal(err)
		}
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				q := question{where: filepath.Base(file) + ", " + panel.Title, expr: asks.Replace(target.Expr)}
				for _, label := range labelOf.FindAllStringSubmatch(target.LegendFormat, -1) {
					q.labels = append(q.labels, label[1])
				}
				questions = append(questions, q)
			}
		}
	}
	return questions
}

// A level, and where an alert fires.
var levelled = regexp.MustCompile(`(?s)^(.*) (>|<|>=|<=|==) (\S+|time\(\) - \d+)$`)

// inRules are the expressions of alerts and rules. An alert is asked whether it fires, so that the answer is yes or no;
// gone are those that cannot be asked so, since they fire where nothing is there.
func inRules(t *testing.T) (questions, gone []question) {
	t.Helper()
	for _, file := range []string{"alerts.yaml", "rules.yaml"} {
		text, err := os.ReadFile(filepath.Join(deploy, file))
		if err != nil {
			t.Fatal(err)
		}
		var rules struct {
			Groups []struct {
				Rules []struct{ Alert, Record, Expr string }
			}
		}
		if err := yaml.Unmarshal(text, &rules); err != nil {
			t.Fatal(err)
		}
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				expr := strings.TrimSpace(rule.Expr)
				q := question{where: file + ", " + rule.Alert + rule.Record, expr: expr}
				m := levelled.FindStringSubmatch(expr)
				switch {
				case rule.Alert != "" && m == nil:
					gone = append(gone, q)
					continue
				case rule.Alert != "":
					q.expr = fmt.Sprintf("%s %s bool %s", m[1], m[2], m[3])
				}
				questions = append(questions, q)
			}
		}
	}
	return questions, gone
}

// Every expression of every board, alert and rule is asked of a real Prometheus that scrapes a live daemon, and has
// data; and each series has the labels that its name on the board is made of.
func TestEveryExpressionHasData(t *testing.T) {
	s, end := playing(t)
	defer end()
	ruled, gone := inRules(t)
	questions := append(onBoards(t), ruled...)
	if len(questions) < 100 || len(gone) != 1 {
		t.Fatalf("%d expressions were found, and %v", len(questions), gone)
	}
	s.await(t, questions)
	s.rulesAreWell(t)
	s.onlyTheSlowGroupFires(t)
	var flows struct{ Data []string }
	s.ask(t, "label/flow/values", nil, &flows)
	if !slices.Equal(flows.Data, []string{"old->new"}) {
		t.Errorf("the boards would offer the flows %q", flows.Data)
	}

	for _, r := range s.replicas { // and what fires where nothing is there
		r.stop()
	}
	s.await(t, gone)
}

// rulesAreWell looks at what Prometheus says of the rules that it has loaded.
func (s *stage) rulesAreWell(t *testing.T) {
	t.Helper()
	var loaded struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	s.ask(t, "rules", nil, &loaded)
	count := 0
	for _, group := range loaded.Data.Groups {
		for _, rule := range group.Rules {
			if count++; rule.Health != "ok" {
				t.Errorf("rule %s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if count < 20 {
		t.Errorf("Prometheus has loaded %d rules", count)
	}
}

// onlyTheSlowGroupFires: that alert does, and nothing else of a mirror that is well.
func (s *stage) onlyTheSlowGroupFires(t *testing.T) {
	t.Helper()
	s.await(t, []question{{where: "the alert of the slow group",
		expr: `ALERTS{alertname="ReplicatorGroupLostRecords", alertstate="firing", group="` + slow + `"}`}})
	var alerts struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	s.ask(t, "alerts", nil, &alerts)
	for _, alert := range alerts.Data.Alerts {
		if alert.State == "firing" && alert.Labels["group"] != slow {
			t.Errorf("%s fires", slices.Sorted(maps.Values(alert.Labels)))
		}
	}
}
