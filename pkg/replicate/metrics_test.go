package replicate_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/internal/config/reload"
	"replicator/internal/flowtest"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/metrics"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/wire"
)

var update = flag.Bool("update", false, "write docs/metrics.md and the scenarios' answers anew")

// listing is a Registerer that lists what is registered.
type listing struct{ rows []string }

var described = regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)", unit: "[^"]*", ` +
	`constLabels: {[^}]*}, variableLabels: {([^}]*)}`)

func (l *listing) Register(c prometheus.Collector) error {
	kind := "gauge"
	switch c.(type) {
	case *prometheus.CounterVec:
		kind = "counter"
	case *prometheus.HistogramVec:
		kind = "histogram"
	case *prometheus.GaugeVec:
	}
	ch := make(chan *prometheus.Desc, 100)
	c.Describe(ch)
	close(ch)
	for d := range ch {
		m := described.FindStringSubmatch(d.String())
		labels := strings.ReplaceAll(m[3], ",", ", ")
		if kind == "gauge" && strings.HasSuffix(m[1], "_total") {
			kind = "counter" // of a collector that has both
		}
		l.rows = append(l.rows, fmt.Sprintf("| `%s` | %s | %s | %s |", m[1], kind, labels, m[2]))
	}
	return nil
}

func (l *listing) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		_ = l.Register(c)
	}
}

func (l *listing) Unregister(prometheus.Collector) bool { return false }

const metricsPage = "../../docs/metrics.md"

// The page's table is what is registered, and its lists name every kind.
func TestMetricsAreDocumented(t *testing.T) {
	l := &listing{}
	replicate.New(replicate.Options{Registry: l})
	reload.Register(l)
	slices.Sort(l.rows)
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `replicator_.*\n")
	table := strings.Join(l.rows, "\n") + "\n"
	if *update {
		at := rows.FindIndex(page)
		rest := rows.ReplaceAll(page[at[0]:], nil)
		page = slices.Concat(page[:at[0]], []byte(table), rest)
		if err := os.WriteFile(metricsPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(rows.FindAllString(string(page), -1), ""); got != table {
		t.Errorf("%s does not list what is registered; run this test with -update. It has\n%swant\n%s",
			metricsPage, got, table)
	}
	for _, kind := range groups.Kinds() {
		if !strings.Contains(string(page), string(kind)) {
			t.Errorf("%s does not name kind %s of group positions", metricsPage, kind)
		}
	}
	for _, kind := range chunk.StopKinds() {
		if !strings.Contains(string(page), kind) {
			t.Errorf("%s does not name kind %s of stopped partitions", metricsPage, kind)
		}
	}
}

// Every kind of failure is on the page, and shows at 0 from the beginning: an alert on its first increase needs that.
func TestFailureKindsAreDocumentedAndBorn(t *testing.T) {
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	flow := settings.DefaultConfig()
	flow.From, flow.To = "old", "new"
	replicate.New(replicate.Options{Registry: registry, Flows: []settings.Config{flow},
		Clusters: map[string]kafka.Config{"old": {Properties: map[string]string{}},
			"new": {Properties: map[string]string{}}}})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	born := map[string]bool{}
	for _, family := range families {
		for _, m := range family.Metric {
			for _, label := range m.Label {
				born[label.GetValue()] = born[label.GetValue()] || family.GetName() == "replicator_errors_total"
			}
		}
	}
	var names []string
	for _, kind := range metrics.Failures() {
		names = append(names, kind.String())
		if !born[kind.String()] {
			t.Errorf("replicator_errors_total has no sample of kind %q before the first one", kind)
		}
	}
	text := regexp.MustCompile(`\s+`).ReplaceAllString(string(page), " ")
	if want := "`kind` of `replicator_errors_total`: " + strings.Join(names, ", ") + "."; !strings.Contains(text, want) {
		t.Errorf("%s has no line with\n%s", metricsPage, want)
	}
}

// The page names what batches are rebuilt for, and why a lane is the one in use.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	reasons := []string{wire.OldMagic, wire.LogAppendTime, wire.Gaps, wire.Codec, source.ProgressInside, source.TooLarge,
		sink.Small}
	for _, delivery := range []settings.Delivery{settings.ExactlyOnce, settings.AtLeastOnce} {
		for _, configured := range []settings.Lane{settings.LaneAuto, settings.LaneBatch, settings.LaneRecord} {
			lane, why := (&settings.Config{Delivery: delivery, Lane: configured}).LaneInUse()
			reasons = append(reasons, string(lane)+", because", `"`+why+`"`)
		}
	}
	for _, reason := range reasons {
		if !strings.Contains(string(page), reason) {
			t.Errorf("%s does not name %s", metricsPage, reason)
		}
	}
}

// The lane in use shows in the metrics, and a group's lag goes by the name that all
// other labels have: the source's.
func TestLabelsOfAFlowThatRenames(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Naming, w.Cfg.Separator = policy.Prefix, "."
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Commit("g", "orders", 0, 10)
	r := w.Start(nil)
	w.Await("the group's lag is known", func() bool { return len(r.Scrape("replicator_group_lag_records")) > 0 })
	if got := r.Scrape("replicator_group_lag_records"); len(got) != 1 || !flowtest.Known(got, "g/orders") {
		t.Errorf("lag of group g: %v, want one of topic orders", got)
	}
	if got := r.Scrape("replicator_lane_info"); len(got) != 1 || got["batch/nothing needs single records"] != 1 {
		t.Errorf("lane: %v, want batch", got)
	}
}

// The alerts that ship with the program name metrics that exist.
func TestAlertsNameMetrics(t *testing.T) {
	l := &listing{}
	replicate.New(replicate.Options{Registry: l})
	reload.Register(l)
	known := strings.Join(l.rows, "\n")
	alerts, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`replicator_[a-z_]+`).FindAllString(string(alerts), -1)
	if len(names) < 5 {
		t.Fatalf("only %d metrics are named", len(names))
	}
	for _, name := range names {
		if !strings.Contains(known, "`"+name+"`") {
			t.Errorf("deploy/alerts.yaml names %s, which is not registered", name)
		}
	}
}
