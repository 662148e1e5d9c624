// Boards writes the boards for Grafana, deploy/grafana/*.json: mirror.json for a mirror that runs for years,
// migration.json for the hours of a move. A test holds the files equal to what is written here.
//
// What a panel shows of an alert, its expression and where it fires, is taken from deploy/alerts.yaml, so that a board
// and an alert cannot say two things. Each expression is narrowed to the flows that are chosen at the board's top.
//
//	go run ./boards
package main

//lint:file-ignore SA1019 the older schema of boards is the one that all of Grafana's versions read

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// deploy is the folder of what is shipped, from here.
const deploy = "../"

func main() {
	files, err := boards(deploy)
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(deploy+"grafana/"+name, text, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// boards are the files of deploy/grafana, by name.
func boards(deploy string) (map[string][]byte, error) {
	from, err := readShipped(deploy)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, b := range map[string]board{"mirror.json": mirror(), "migration.json": migration()} {
		built, err := b.build(from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false) // flows are written with >
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(built); err != nil {
			return nil, err
		}
		files[name] = text.Bytes()
	}
	return files, nil
}

// board is one of the two, before it is Grafana's.
type board struct {
	uid, title, says  string
	from              string // how far back it shows at first
	other, otherTitle string // uid and title of the other board, to which it links
	rows              []row
}

// row is a line of panels with a title.
type row struct {
	title  string
	panels []panel
}

func (b board) build(from *shipped) (dashboard.Dashboard, error) {
	made := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Description(b.says).Tags([]string{"replicator", "kafka"}).
		Time(b.from, "now").Refresh("30s").Tooltip(dashboard.DashboardCursorSyncCrosshair).Editable().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus").
			Description("The Prometheus that scrapes replicator and has loaded its rules.")).
		WithVariable(dashboard.NewQueryVariableBuilder("flow").Label("Flow").Description("Flows, written as from->to.").
			Datasource(prometheusOfBoard()).Query(dashboard.StringOrMap{String: of("label_values(replicator_shards, flow)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).Current(everything())).
		Link(dashboard.NewDashboardLinkBuilder(b.otherTitle).Type(dashboard.DashboardLinkTypeLink).
			Url("/d/" + b.other).IncludeVars(true).Tooltip("the other board"))
	id := uint32(0)
	for _, row := range b.rows {
		id++
		made.WithRow(dashboard.NewRowBuilder(row.title).Id(id))
		for _, p := range row.panels {
			id++
			panel, err := p.build(id, from)
			if err != nil {
				return dashboard.Dashboard{}, fmt.Errorf("panel %q: %w", p.title, err)
			}
			made.WithPanel(finished(panel))
		}
	}
	return made.Build()
}

// everything is the choice of all flows.
func everything() dashboard.VariableOption {
	return dashboard.VariableOption{
		Text:  dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
		Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
	}
}

// finished is a panel for a builder that wants builders.
type finished dashboard.Panel

// Build gives the panel.
func (p finished) Build() (dashboard.Panel, error) { return dashboard.Panel(p), nil }

var _ cog.Builder[dashboard.Panel] = finished{}

func of[T any](value T) *T { return &value }
