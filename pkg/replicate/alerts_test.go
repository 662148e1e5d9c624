package replicate_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"

	"replicator/pkg/replicate"
	"replicator/pkg/replicate/metrics"
)

const (
	alertsFile        = "../../deploy/alerts.yaml"
	alertsTestsFile   = "../../deploy/alerts_test.yaml"
	recordedFile      = "../../deploy/rules.yaml"
	recordedTestsFile = "../../deploy/rules_test.yaml"
)

// shippedRules are the alerts, and what is recorded, that ship with the program.
type shippedRules struct {
	Groups []struct {
		Rules []struct {
			Alert, Record       string
			Expr, For           string
			Labels, Annotations map[string]string
		}
	}
}

// shippedTests are what promtool is to show of them.
type shippedTests struct {
	Tests []struct {
		Name        string
		InputSeries []struct{ Series string } `yaml:"input_series"`
		Cases       []struct {
			Alert string `yaml:"alertname"`
			Fires []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
		Recorded []struct {
			Expr string
			Want []any `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Every alert is shown to fire, and not to fire, and tells what to do.
func TestEveryAlertIsTested(t *testing.T) {
	t.Parallel()
	var rules shippedRules
	var tests shippedTests
	readYAML(t, alertsFile, &rules)
	readYAML(t, alertsTestsFile, &tests)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Fires) > 0
			silent[c.Alert] = silent[c.Alert] || len(c.Fires) == 0
		}
	}
	n := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			n++
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("alert %s: %s shows that it fires: %v, and that it can be silent: %v", rule.Alert, alertsTestsFile,
					fires[rule.Alert], silent[rule.Alert])
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["remedy"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("alert %s has no summary, remedy or severity", rule.Alert)
			}
		}
	}
	if n < 9 {
		t.Errorf("%s has %d alerts, want 9 at least", alertsFile, n)
	}
}

// Every rule that records something is shown to keep what its comment says.
func TestEveryRecordingIsTested(t *testing.T) {
	t.Parallel()
	var rules shippedRules
	var tests shippedTests
	readYAML(t, recordedFile, &rules)
	readYAML(t, recordedTestsFile, &tests)
	var asked strings.Builder
	for _, test := range tests.Tests {
		for _, c := range test.Recorded {
			if len(c.Want) > 0 {
				asked.WriteString(c.Expr + "\n")
			}
		}
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Record == "" || !strings.Contains(asked.String(), rule.Record) {
				t.Errorf("%s does not show what %q keeps", recordedTestsFile, rule.Record)
			}
		}
	}
}

var (
	seriesOf   = regexp.MustCompile(`^(replicator_\w+)\{(.*)\}$`)
	labelNames = regexp.MustCompile(`(\w+)=`)
)

// The series that rules are tested with are those that the program has.
func TestAlertsAreTestedWithRealSeries(t *testing.T) {
	t.Parallel()
	l := &listing{}
	replicate.New(replicate.Options{Registry: l})
	labels := map[string][]string{}
	for _, row := range l.rows {
		cells := strings.Split(row, "|")
		labels[strings.Trim(cells[1], " `")] = strings.Split(strings.TrimSpace(cells[3]), ", ")
	}
	var tests, recorded shippedTests
	readYAML(t, alertsTestsFile, &tests)
	readYAML(t, recordedTestsFile, &recorded)
	for _, test := range append(tests.Tests, recorded.Tests...) {
		for _, input := range test.InputSeries {
			m := seriesOf.FindStringSubmatch(input.Series)
			if m == nil {
				t.Fatalf("%s: %q is no series with labels", test.Name, input.Series)
			}
			var got []string
			for _, name := range labelNames.FindAllStringSubmatch(m[2], -1) {
				if name[1] != "instance" {
					got = append(got, name[1])
				}
			}
			want := slices.Clone(labels[m[1]])
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: series %s has the labels %v, the program's has %v", test.Name, m[1], got, want)
			}
		}
	}
}

// The rules do what their tests say, by Prometheus' own tool.
func TestAlertsFireAtTheFirstEvent(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
			t.Fatalf("promtool is missing (Debian: apt-get install prometheus): %v", err)
		}
		t.Skip("promtool is missing (Debian: apt-get install prometheus): the alerts are not tried")
	}
	for _, args := range [][]string{{"check", "rules", alertsFile, recordedFile},
		{"test", "rules", alertsTestsFile, recordedTestsFile}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Every counter of a flow is there at 0 before anything has happened: the first event is an
// increase then.
func TestCountersAreBornAtZero(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	m.Born("old->new")
	m.BornTopic("old->new", "orders")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			there[family.GetName()] = true
			if one.GetCounter().GetValue() != 0 || one.GetGauge().GetValue() != 0 {
				t.Errorf("%s is born at %v", family.GetName(), one)
			}
		}
	}
	l := &listing{}
	metrics.New(l)
	for _, row := range l.rows {
		cells := strings.Split(row, "|")
		if name := strings.Trim(cells[1], " `"); strings.TrimSpace(cells[2]) != "histogram" && !there[name] {
			t.Errorf("%s is not there before its first event", name)
		}
	}
}
