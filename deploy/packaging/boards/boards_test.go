package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

//lint:file-ignore SA1019 the older schema of boards is the one that all of Grafana's versions read

const fromHere = "../" + deploy

// shown is a board as Grafana reads it.
type shown struct {
	UID, Title, Description string
	Panels                  []shownPanel
	Templating              struct{ List []struct{ Name, Type string } }
}

type shownPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ Type, UID string }
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct {
		Defaults struct {
			Unit string
		}
	}
	Targets []struct {
		Expr, RefID string
		Datasource  struct{ UID string }
	}
}

func shipping(t *testing.T) (*shipped, map[string]shown) {
	t.Helper()
	from, err := readShipped(fromHere)
	if err != nil {
		t.Fatal(err)
	}
	files, err := boards(fromHere)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]shown{}
	for name, text := range files {
		var b shown
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return from, all
}

// What is in deploy/grafana is what is written here, and nothing else.
func TestBoardsAreAsWritten(t *testing.T) {
	files, err := boards(fromHere)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(fromHere + "grafana/" + name)
		if err != nil || string(got) != string(want) {
			t.Errorf("deploy/grafana/%s is not what is written here (%v); make boards writes it anew", name, err)
		}
	}
	there, err := filepath.Glob(fromHere + "grafana/*.json")
	if err != nil || len(there) != len(files) {
		t.Errorf("deploy/grafana holds %v, want %d boards", there, len(files))
	}
}

// Grafana's own types know every key of the files, also those of each panel's kind, and find no value wrong.
func TestBoardsAreGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob(fromHere + "grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var read dashboard.Dashboard
		// It is never nil, and says nothing where nothing is wrong.
		if err := read.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
			t.Errorf("%s: %v", file, err)
		}
		if err := read.Validate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Panels have ids of their own, lie beside each other, and say what they show, in which unit, of which Prometheus.
func TestBoardsAreValid(t *testing.T) {
	_, all := shipping(t)
	uids := map[string]bool{}
	for name, b := range all {
		if uids[b.UID] || b.UID == "" || b.Title == "" || b.Description == "" {
			t.Errorf("%s: uid %q, title %q, description %q", name, b.UID, b.Title, b.Description)
		}
		uids[b.UID] = true
		if v := b.Templating.List; len(v) != 2 || v[0].Type != "datasource" || v[0].Name != "datasource" ||
			v[1].Type != "query" || v[1].Name != "flow" {
			t.Errorf("%s: variables %+v, want datasource and flow", name, v)
		}
		ids, cells := map[int]string{}, map[[2]int]string{}
		for _, p := range b.Panels {
			if other, taken := ids[p.ID]; taken || p.ID == 0 {
				t.Errorf("%s: %q and %q have the id %d", name, p.Title, other, p.ID)
			}
			ids[p.ID] = p.Title
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
						t.Errorf("%s: %q lies on %q, or beyond the edge, at %d, %d", name, p.Title, other, x, y)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
			checkPanel(t, name, p)
		}
	}
}

func checkPanel(t *testing.T, board string, p shownPanel) {
	t.Helper()
	if p.Title == "" || p.Type != "row" && p.Description == "" {
		t.Errorf("%s: panel %d, %q, has no title or description", board, p.ID, p.Title)
	}
	if p.Type == "row" || p.Type == "text" {
		return
	}
	if p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
		t.Errorf("%s: %q has unit %q, datasource %q and %d expressions", board, p.Title, p.FieldConfig.Defaults.Unit,
			p.Datasource.UID, len(p.Targets))
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		if refs[target.RefID] || target.RefID == "" || target.Datasource.UID != "${datasource}" {
			t.Errorf("%s: %q: expression %q of datasource %q", board, p.Title, target.RefID, target.Datasource.UID)
		}
		refs[target.RefID] = true
	}
}

// Every expression asks for metrics that there are, and for the flows that are chosen wherever a metric has flows.
func TestExpressionsAskForWhatIsThere(t *testing.T) {
	from, all := shipping(t)
	ours := regexp.MustCompile(`\b(?:[a-z_]+:)?replicator_[a-z0-9_]+(?::\w+)?(?:\{[^}]*\})?`)
	count := 0
	for name, b := range all {
		for _, p := range b.Panels {
			for _, target := range p.Targets {
				for _, found := range ours.FindAllString(target.Expr, -1) {
					count++
					metric, matchers, _ := strings.Cut(found, "{")
					labels, known := from.labels[metric]
					if !known {
						t.Errorf("%s: %q asks for %s, which there is not", name, p.Title, metric)
					}
					if has := strings.Contains(strings.Join(labels, " "), "flow"); has != strings.Contains(matchers, `flow=~"$flow"`) {
						t.Errorf("%s: %q: %s has a label flow: %t", name, p.Title, found, has)
					}
				}
			}
		}
	}
	if count < 80 || len(from.labels) < 40 {
		t.Errorf("%d metrics were found in expressions, of %d", count, len(from.labels))
	}
	if _, err := from.narrowed("sum(replicator_nothing_total)"); err == nil {
		t.Error("a metric that there is not is taken")
	}
}

// Every alert is on a panel that says where it fires; what it watches is asked there as in the alert.
func TestEveryAlertIsOnAPanel(t *testing.T) {
	from, all := shipping(t)
	on, watched := map[string]bool{}, map[string]bool{}
	for _, b := range all {
		for _, p := range b.Panels {
			for name, a := range from.alerts {
				if !strings.Contains(p.Description, "Alert "+name+":") && !strings.Contains(p.Description, "Alert "+name+" for") {
					continue
				}
				on[name] = true
				level, _, _, _ := a.level()
				level, err := from.narrowed(level)
				if err != nil {
					t.Fatal(err)
				}
				for _, target := range p.Targets {
					watched[name] = watched[name] || level == "" || strings.Contains(target.Expr, level)
				}
			}
		}
	}
	for name := range from.alerts {
		if !on[name] || !watched[name] {
			t.Errorf("alert %s is on a panel: %t, and what it watches is asked there: %t", name, on[name], watched[name])
		}
	}
	if len(from.alerts) < 15 {
		t.Errorf("only %d alerts were found", len(from.alerts))
	}
}

// Every metric of the program is on a board, or said to be on none.
func TestEveryMetricIsOnABoard(t *testing.T) {
	from, all := shipping(t)
	var asked strings.Builder
	for _, b := range all {
		for _, p := range b.Panels {
			for _, target := range p.Targets {
				asked.WriteString(target.Expr + "\n")
			}
		}
	}
	text, err := os.ReadFile(fromHere + "rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asked.Write(text)
	none := map[string]bool{
		"replicator_partitions":        true, // what is copied shows by its rate
		"replicator_cut_offsets_total": true, // cuts are counted, and status tells how far each went
	}
	for metric := range from.labels {
		if strings.HasSuffix(metric, "_sum") || strings.HasSuffix(metric, "_count") {
			continue // the buckets are asked for
		}
		if there := regexp.MustCompile(`\b` + metric + `\b`).MatchString(asked.String()); there == none[metric] {
			t.Errorf("%s is on a board: %t", metric, there)
		}
	}
}
