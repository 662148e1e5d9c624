package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// shipped is what the boards are made of: the metrics of docs/metrics.md, and the rules of deploy.
type shipped struct {
	labels map[string][]string // of each metric, and of what rules record
	alerts map[string]alert
}

// alert is a rule of deploy/alerts.yaml.
type alert struct {
	Name string `json:"alert"`
	Expr string `json:"expr"`
	For  string `json:"for"`
}

var (
	metricRow = regexp.MustCompile("(?m)^\\| `(replicator_[a-z_]+)` \\| ([a-z]+) \\| ([a-z_, ]*) \\|")
	recorded  = regexp.MustCompile(`^([a-z_]+):replicator_`)
	selector  = regexp.MustCompile(`\b([a-z_]+:)?replicator_\w+(:\w+)?(\{[^}]*\})?`)
	// An alert is a level, and where it is too high or too low.
	levelled = regexp.MustCompile(`(?s)^(.*\S)\s+(>|<|>=|<=|==) ([0-9.]+|time\(\) - [0-9]+)$`)
)

func readShipped(deploy string) (*shipped, error) {
	s := &shipped{labels: map[string][]string{}, alerts: map[string]alert{}}
	page, err := os.ReadFile(deploy + "../docs/metrics.md")
	if err != nil {
		return nil, err
	}
	for _, found := range metricRow.FindAllStringSubmatch(string(page), -1) {
		names := []string{found[1]}
		if found[2] == "histogram" {
			names = []string{found[1] + "_bucket", found[1] + "_sum", found[1] + "_count"}
		}
		for _, name := range names {
			s.labels[name] = strings.Split(found[3], ", ")
		}
	}
	for _, file := range []string{"alerts.yaml", "rules.yaml"} {
		text, err := os.ReadFile(deploy + file)
		if err != nil {
			return nil, err
		}
		var rules struct {
			Groups []struct {
				Rules []struct {
					alert
					Record string `json:"record"`
				} `json:"rules"`
			} `json:"groups"`
		}
		if err := yaml.Unmarshal(text, &rules); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				if rule.Record != "" { // its name begins with its labels
					s.labels[rule.Record] = strings.Split(recorded.FindStringSubmatch(rule.Record)[1], "_")
				} else {
					s.alerts[rule.Name] = rule.alert
				}
			}
		}
	}
	return s, nil
}

// level is the number that an alert watches, and where it fires; false where its expression is none.
func (a alert) level() (expr, compare, limit string, ok bool) {
	m := levelled.FindStringSubmatch(strings.TrimSpace(a.Expr))
	if m == nil {
		return "", "", "", false
	}
	return strings.Join(strings.Fields(m[1]), " "), m[2], m[3], true
}

// red is the number from which on the alert fires; nil where it fires below one. Grafana's begin where they are
// reached: what must be above 0 is counted, and red from 1 on.
func (a alert) red() *float64 {
	_, compare, limit, _ := a.level()
	number, err := strconv.ParseFloat(limit, 64)
	if err != nil || compare != ">" {
		return nil
	}
	number = max(number, 1)
	return &number
}

// says is the alert in words, for the description of a panel.
func (a alert) says() string {
	_, compare, limit, ok := a.level()
	text := "Alert " + a.Name
	if ok {
		text += ": " + compare + " " + limit
	}
	if a.For != "" {
		text += " for " + a.For
	}
	return text + "."
}

// narrowed asks for the chosen flows alone, in every metric that has them; an unknown metric is an error.
func (s *shipped) narrowed(expr string) (string, error) {
	var unknown []string
	expr = selector.ReplaceAllStringFunc(expr, func(found string) string {
		name, matchers, _ := strings.Cut(strings.TrimSuffix(found, "}"), "{")
		labels, known := s.labels[name]
		if !known {
			unknown = append(unknown, name)
		}
		if !slices.Contains(labels, "flow") {
			return found
		}
		if matchers != "" {
			matchers = ", " + matchers
		}
		return name + `{flow=~"$flow"` + matchers + "}"
	})
	if unknown != nil {
		return "", fmt.Errorf("docs/metrics.md and deploy/rules.yaml do not have %s", strings.Join(unknown, ", "))
	}
	return expr, nil
}
