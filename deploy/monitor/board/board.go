// Package board makes Grafana's boards: their content is in the file of each board, their style is here, once.
package board

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Board is one board. Rows fill the width; a screen holds about four.
type Board struct {
	UID, Title, Folder, About string
	Empty                     string // what a panel shows without data; "" is "none"
	Variables                 []Variable
	Rows                      []Row
}

// Row is panels side by side.
type Row struct {
	Height int // in Grafana's units of about 30 pixels
	Panels []Panel
	Title  string // above the row; "" for none
}

// Panel is one picture. Title, About, Kind, Unit and Queries are needed.
type Panel struct {
	Title, About string
	Kind         Kind
	Unit         string // as Grafana names it
	Width        int    // of 24; 0: its share of what is left
	Queries      []Query
	Thresholds   []Threshold
	Max          float64           // of the axis, where there is one
	Stacked      bool              // lines lie on one another
	Colors       map[string]string // of the lines whose names match a regular expression
	Names        []Name            // texts and colours for values
	Columns      []string          // of a table, in order; the first query's labels come first
	Hidden       []string          // columns that only others use
	Sorted       string            // the column by which a table is sorted, in ascending order
}

// Name is a text in the place of a value, with its colour.
type Name struct{ Value, Text, Color string }

// Kind is how a panel shows its values.
type Kind string

// The kinds in use.
const (
	Lines  Kind = "timeseries"
	Number Kind = "stat"
	Table  Kind = "table"
	Logs   Kind = "logs"
	States Kind = "state-timeline"
)

// Query is one expression and what its lines are called.
type Query struct {
	Expr, Legend string
	Loki         bool
	Exemplars    bool   // points that lead to traces
	TracesOf     string // instead of Expr: the service whose latest traces Jaeger returns
}

// Threshold colours values at or above From.
type Threshold struct {
	From  float64
	Color string
}

// Variable is a choice of the reader.
type Variable struct {
	Name, Label string
	Query       string   // of Prometheus: label_values(METRIC, LABEL)
	LokiLabel   string   // instead of Query: the label of Loki's streams whose values are the choices
	Values      []string // instead of Query: the choices, of which the reader takes one
}

// AllValue replaces a variable for All. Loki refuses a selector that also fits no value, such as .*
const AllValue = ".+"

// warn and bad are the two thresholds of most panels.
func limits(warn, bad float64) []Threshold { return []Threshold{{warn, "orange"}, {bad, "red"}} }

// lowest is the From of a colour that begins below every value.
const lowest = -1e9

// below returns thresholds for values that are bad when they are low.
func below(bad, warn float64) []Threshold {
	return []Threshold{{lowest, "red"}, {bad, "orange"}, {warn, "green"}}
}

// yesNo names the values 1 and 0.
func yesNo(yes, no string) []Name { return []Name{{"1", yes, "green"}, {"0", no, "red"}} }

func q(expr, legend string) Query { return Query{Expr: expr, Legend: legend} }

type m = map[string]any

// JSON is the board as Grafana 12 takes it from a file.
func (b Board) JSON() ([]byte, error) {
	panels := []m{}
	y, id := 0, 1
	for _, r := range b.Rows {
		if r.Title != "" {
			panels = append(panels, m{"id": id, "type": "row", "title": r.Title, "collapsed": false, "gridPos": m{"x": 0, "y": y, "w": 24, "h": 1}, "panels": []m{}})
			y, id = y+1, id+1
		}
		left, unset := 24, 0
		for _, p := range r.Panels {
			left -= p.Width
			if p.Width == 0 {
				unset++
			}
		}
		x := 0
		for i, p := range r.Panels {
			w := p.Width
			if w == 0 {
				w = left / unset
			}
			if i == len(r.Panels)-1 {
				w = 24 - x
			}
			panels = append(panels, p.json(id, x, y, w, r.Height, b.Empty))
			x, id = x+w, id+1
		}
		y += r.Height
	}
	variables := []m{}
	for _, v := range b.Variables {
		variables = append(variables, v.json())
	}
	text, err := json.MarshalIndent(m{
		"uid": b.UID, "title": b.Title, "description": b.About, "tags": []string{"pgo"}, "schemaVersion": 41, "version": 1, "editable": false,
		"timezone": "browser", "time": m{"from": "now-3h", "to": "now"}, "refresh": "30s", "graphTooltip": 1, "fiscalYearStartMonth": 0,
		"panels": panels, "templating": m{"list": variables}, "annotations": m{"list": annotations()},
		"links": []m{{"type": "dashboards", "title": "Boards", "tags": []string{"pgo"}, "asDropdown": true, "includeVars": true, "keepTime": true}},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write board %s: %w", b.UID, err)
	}
	return append(text, '\n'), nil
}

func (v Variable) json() m {
	if len(v.Values) > 0 {
		return m{
			"type": "custom", "name": v.Name, "label": v.Label, "query": strings.Join(v.Values, ","), "includeAll": false, "multi": false,
			"current": m{"text": v.Values[0], "value": v.Values[0]},
		}
	}
	out := m{
		"type": "query", "name": v.Name, "label": v.Label, "datasource": source(v.LokiLabel != ""), "refresh": 2, "sort": 1,
		"query": m{"query": v.Query, "refId": "variable"}, "definition": v.Query, "includeAll": true, "allValue": AllValue, "multi": true,
		"current": m{"text": []string{"All"}, "value": []string{"$__all"}},
	}
	if v.LokiLabel != "" {
		// Type 1 is a label's values.
		out["query"], out["definition"] = m{"refId": "LokiVariableQueryEditor-VariableQuery", "type": 1, "label": v.LokiLabel, "stream": ""}, "label_values("+v.LokiLabel+")"
	}
	return out
}

// annotations are on every board: most trouble begins with one of them.
func annotations() []m {
	mark := func(name, color, expr, text string) m {
		return m{
			"name": name, "enable": true, "iconColor": color, "datasource": source(false), "expr": expr, "step": "30s",
			"titleFormat": name, "textFormat": text, "useValueForTime": false,
		}
	}
	// The value is the time: a start is seen however long the process was stopped before.
	started := func(name, color, expr, text string) m {
		out := mark(name, color, "1000 * "+expr, text)
		out["useValueForTime"] = true
		return out
	}
	return []m{
		mark("Deploys", "blue", `sum by (service) (increase(pgo_reload_total{result="done"}[1m])) > 0`, "{{service}} runs a new version"),
		mark("Roll-backs", "red", `sum by (service) (increase(pgo_reload_total{result="rolled_back"}[1m])) > 0`, "{{service}} went back"),
		started("Boots", "purple", `max(pgo_process_start_time_seconds{service="bootcheck"})`, "bootcheck started"),
		started("Restarts", "orange", `max by (service, instance) (pgo_process_start_time_seconds{service!="bootcheck"} and on (service, instance) pgo_process_restarts_total > 0)`, "{{service}}/{{instance}} started"),
	}
}

// source returns the data source of a query.
func (q Query) source() m {
	if q.TracesOf != "" {
		return m{"type": "jaeger", "uid": "jaeger"}
	}
	return source(q.Loki)
}

func source(loki bool) m {
	if loki {
		return m{"type": "loki", "uid": "loki"}
	}
	return m{"type": "prometheus", "uid": "prometheus"}
}

// thresholdSteps returns the panel's thresholds as Grafana has them. Among lines a threshold is itself a line, in the colour of
// the worse side: of a value that is bad when it is low that is the colour below.
func (p Panel) thresholdSteps() []m {
	steps := []m{{"color": "green", "value": nil}}
	below := ""
	for _, t := range p.Thresholds {
		switch {
		case t.From <= lowest && p.Kind == Lines:
			below = t.Color
		case t.From <= lowest:
			steps = []m{{"color": t.Color, "value": nil}}
		case below != "":
			steps = append(steps, m{"color": below, "value": t.From})
			below = t.Color
		default:
			steps = append(steps, m{"color": t.Color, "value": t.From})
		}
	}
	return steps
}

// softMax returns the value up to which an axis reaches at least, so that a flat zero does not fill it.
func (p Panel) softMax() float64 {
	for _, t := range p.Thresholds {
		if t.From > lowest {
			return t.From
		}
	}
	switch p.Unit {
	case "percentunit":
		return 0.01
	case "Bps", "bytes":
		return 1 << 20
	}
	return 1
}

// mappings returns the panel's texts for values.
func (p Panel) mappings() []m {
	options := m{}
	for i, n := range p.Names {
		options[n.Value] = m{"text": n.Text, "color": n.Color, "index": i}
	}
	return []m{{"type": "value", "options": options}}
}

func (p Panel) json(id, x, y, w, h int, empty string) m {
	if empty == "" {
		empty = "none"
	}
	defaults := m{"unit": p.Unit, "thresholds": m{"mode": "absolute", "steps": p.thresholdSteps()}, "color": m{"mode": "palette-classic"}, "noValue": empty}
	if len(p.Names) > 0 && p.Kind != Table {
		defaults["mappings"] = p.mappings()
	}
	options := m{}
	switch p.Kind {
	case Lines:
		defaults["min"] = 0
		custom := m{"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false, "thresholdsStyle": m{"mode": thresholdStyle(p)}}
		if p.Stacked {
			custom["stacking"], custom["fillOpacity"] = m{"mode": "normal", "group": "A"}, 60
		}
		if p.Max == 0 {
			custom["axisSoftMax"] = p.softMax()
		}
		defaults["custom"] = custom
		options = m{"legend": m{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": m{"mode": "multi", "sort": "desc"}}
	case Number:
		defaults["color"] = m{"mode": "thresholds"}
		options = m{"reduceOptions": m{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto"}
	case States:
		defaults["color"] = m{"mode": "thresholds"}
		defaults["custom"] = m{"fillOpacity": 70, "lineWidth": 0}
		options = m{"mergeValues": true, "showValue": "auto", "rowHeight": 0.8, "legend": m{"displayMode": "list", "placement": "bottom", "showLegend": false}}
	case Logs:
		options = m{"showTime": true, "wrapLogMessage": false, "prettifyLogMessage": false, "sortOrder": "Descending", "enableLogDetails": true, "dedupStrategy": "none"}
	case Table:
		defaults["color"] = m{"mode": "thresholds"}
		options = m{"showHeader": true, "cellHeight": "sm"}
	}
	if p.Max != 0 {
		defaults["max"] = p.Max
	}
	out := m{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.About, "gridPos": m{"x": x, "y": y, "w": w, "h": h},
		"datasource": p.Queries[0].source(), "targets": p.targets(), "fieldConfig": m{"defaults": defaults, "overrides": p.overrides()}, "options": options,
	}
	if p.Kind == Table && len(p.Columns) > 0 {
		out["transformations"] = p.columns()
	}
	return out
}

// overrides returns the settings of single lines and columns.
func (p Panel) overrides() []m {
	if p.Kind == Table {
		return p.columnOverrides()
	}
	out := []m{}
	for _, pattern := range slices.Sorted(maps.Keys(p.Colors)) {
		out = append(out, m{"matcher": m{"id": "byRegexp", "options": pattern}, "properties": []m{{"id": "color", "value": m{"mode": "fixed", "fixedColor": p.Colors[pattern]}}}})
	}
	return out
}

func thresholdStyle(p Panel) string {
	if len(p.Thresholds) == 0 {
		return "off"
	}
	return "dashed"
}

func (p Panel) targets() []m {
	var out []m
	for i, query := range p.Queries {
		if query.TracesOf != "" {
			out = append(out, m{"refId": string(rune('A' + i)), "datasource": query.source(), "queryType": "search", "service": query.TracesOf, "limit": 50})
			continue
		}
		t := m{"refId": string(rune('A' + i)), "datasource": query.source(), "expr": query.Expr, "legendFormat": query.Legend, "editorMode": "code"}
		switch {
		case p.Kind == Table:
			t["instant"], t["format"] = true, "table"
		case query.Loki:
			t["queryType"] = "range"
		default:
			t["range"] = true
		}
		if query.Exemplars {
			t["exemplar"] = true
		}
		out = append(out, t)
	}
	return out
}
