package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/text"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// look is what a panel looks like.
type look int

const (
	graph  look = iota // lines over time
	number             // one number now, with its way there behind it
	bars               // numbers now, each with a name
	words              // text
)

// panel is a panel of a board.
type panel struct {
	look        look
	title, says string
	unit        string
	width       uint32 // of 24; 0: as its look has it
	queries     []query
	shows       []string // alerts whose level it shows, and where they fire
	names       []string // alerts that it shows by a query of its own
	red         *float64 // from where on it is red; nil: where the alert that it shows fires
	low         bool     // red is below red
	text        map[string]string
}

// query is an expression and what its series are called.
type query struct{ expr, legend string }

// q makes a query.
func q(expr, legend string) query { return query{expr, legend} }

// usual widths and heights of each look, on a grid 24 wide.
var (
	widths  = map[look]uint32{graph: 8, number: 4, bars: 8, words: 8}
	heights = map[look]uint32{graph: 8, number: 4, bars: 8, words: 8}
)

func prometheusOfBoard() common.DataSourceRef {
	return common.DataSourceRef{Type: of("prometheus"), Uid: of("${datasource}")}
}

func (p panel) build(id uint32, from *shipped) (dashboard.Panel, error) {
	made, err := p.frame().Build()
	if err != nil {
		return made, err
	}
	made.Id, made.Title = &id, &p.title
	made.GridPos = &dashboard.GridPos{W: cmp.Or(p.width, widths[p.look]), H: heights[p.look]}
	if p.look == words {
		made.Description = of("What to do.")
		return made, nil
	}
	made.Datasource = of(prometheusOfBoard())
	says, queries := p.says, p.queries
	for _, name := range append(p.shows, p.names...) {
		a, there := from.alerts[name]
		if !there {
			return made, fmt.Errorf("deploy/alerts.yaml has no %s", name)
		}
		says += " " + a.says()
	}
	for _, name := range p.shows {
		expr, _, _, ok := from.alerts[name].level()
		if !ok {
			return made, fmt.Errorf("alert %s has no level that could be shown", name)
		}
		queries = append(queries, worst(expr, p.low))
		if p.red == nil {
			p.red = from.alerts[name].red()
		}
	}
	made.Description = &says
	for i, one := range queries {
		expr, err := from.narrowed(one.expr)
		if err != nil {
			return made, err
		}
		target, err := p.target(string(rune('A'+i)), expr, one.legend)
		if err != nil {
			return made, err
		}
		made.Targets = append(made.Targets, target)
	}
	if made.FieldConfig == nil {
		made.FieldConfig = dashboard.NewFieldConfigSource()
	}
	made.FieldConfig.Defaults.Unit, made.FieldConfig.Defaults.Min = &p.unit, of(0.0)
	made.FieldConfig.Defaults.Mappings = p.mappings()
	made.FieldConfig.Defaults.Thresholds = p.thresholds()
	return made, nil
}

// frame is the panel without what it says.
func (p panel) frame() cog.Builder[dashboard.Panel] {
	switch p.look {
	case number:
		return stat.NewPanelBuilder().ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeArea).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	case bars:
		return bargauge.NewPanelBuilder().Orientation(common.VizOrientationHorizontal).
			DisplayMode(common.BarGaugeDisplayModeBasic).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	case words:
		return text.NewPanelBuilder().Mode(text.TextModeMarkdown).Content(p.says)
	}
	style := common.GraphThresholdsStyleModeOff
	if p.red != nil || len(p.shows) > 0 {
		style = common.GraphThresholdsStyleModeDashed
	}
	return timeseries.NewPanelBuilder().LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(style)).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeTable).
			Placement(common.LegendPlacementBottom).ShowLegend(true).Calcs([]string{"lastNotNull", "max"}).
			SortBy("Max").SortDesc(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).
			Sort(common.SortOrderDescending))
}

func (p panel) target(ref, expr, legend string) (variants.Dataquery, error) {
	made := prometheus.NewDataqueryBuilder().RefId(ref).Expr(expr).LegendFormat(legend).Datasource(prometheusOfBoard())
	if p.look == bars {
		made.Instant()
	} else {
		made.Range()
	}
	return made.Build()
}

// thresholds colour a value that is not well; a panel that knows no such value is blue.
func (p panel) thresholds() *dashboard.ThresholdsConfig {
	steps := []dashboard.Threshold{{Color: "blue"}}
	if p.red != nil {
		steps = []dashboard.Threshold{{Color: "green"}, {Value: p.red, Color: "red"}}
	}
	if p.low {
		steps = []dashboard.Threshold{{Color: "red"}, {Value: p.red, Color: "green"}}
	}
	return &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: steps}
}

// mappings show words for some values.
func (p panel) mappings() []dashboard.ValueMapping {
	if p.text == nil {
		return nil
	}
	options := map[string]dashboard.ValueMappingResult{}
	for value, shown := range p.text {
		options[value] = dashboard.ValueMappingResult{Text: of(shown)}
	}
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{
		Type: dashboard.MappingTypeValueToText, Options: options,
	}}}
}

var kindAsked = regexp.MustCompile(`kind="(\w+)"`)

// worst is the level of an alert as a query: of topics the ten that are worst. Its series are called by the labels that
// its first "by (...)" keeps, and by the kind that it asks for.
func worst(level string, low bool) query {
	_, rest, _ := strings.Cut(level, "by (")
	labels, _, _ := strings.Cut(rest, ")")
	switch {
	case strings.Contains(labels, "topic") && low:
		level = "bottomk(10, " + level + ")"
	case strings.Contains(labels, "topic"):
		level = "topk(10, " + level + ")"
	}
	legend := "{{" + strings.ReplaceAll(labels, ", ", "}} {{") + "}}"
	if one := kindAsked.FindStringSubmatch(level); one != nil {
		legend += " " + one[1]
	}
	return q(level, legend)
}
