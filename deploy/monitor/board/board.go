// Package board makes Grafana's boards: their content is in the file of each board, their style is here, once.
package board

import (
	"encoding/json"
	"fmt"
)

// Board is one board. Rows fill the width; a screen holds about four.
type Board struct {
	UID, Title, Folder, About string
	Variables                 []Variable
	Rows                      []Row
}

// Row is panels side by side.
type Row struct {
	Height int // in Grafana's units of about 30 pixels
	Panels []Panel
}

// Panel is one picture. Everything but Thresholds, Max and Columns is needed.
type Panel struct {
	Title, About string
	Kind         Kind
	Unit         string // as Grafana names it
	Width        int    // of 24; 0: its share of what is left
	Queries      []Query
	Thresholds   []Threshold
	Max          float64  // of the axis, where there is one
	Columns      []string // of a table, in order; the first query's labels come first
}

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
	Exemplars    bool // points that lead to traces
}

// Threshold colours values at or above From.
type Threshold struct {
	From  float64
	Color string
}

// Variable is a choice of the reader.
type Variable struct{ Name, Label, Query string }

// warn and bad are the two thresholds of most panels.
func limits(warn, bad float64) []Threshold { return []Threshold{{warn, "orange"}, {bad, "red"}} }

// below returns thresholds for values that are bad when they are low.
func below(bad, warn float64) []Threshold {
	return []Threshold{{-1e9, "red"}, {bad, "orange"}, {warn, "green"}}
}

func q(expr, legend string) Query { return Query{Expr: expr, Legend: legend} }

type m = map[string]any

// JSON is the board as Grafana 12 takes it from a file.
func (b Board) JSON() ([]byte, error) {
	panels := []m{}
	y, id := 0, 1
	for _, r := range b.Rows {
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
			panels = append(panels, p.json(id, x, y, w, r.Height))
			x, id = x+w, id+1
		}
		y += r.Height
	}
	variables := []m{}
	for _, v := range b.Variables {
		variables = append(variables, m{
			"type": "query", "name": v.Name, "label": v.Label, "datasource": source(false), "refresh": 2, "sort": 1,
			"query": m{"query": v.Query, "refId": "variable"}, "definition": v.Query, "includeAll": true, "allValue": ".*", "multi": true,
			"current": m{"text": []string{"All"}, "value": []string{"$__all"}},
		})
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

// annotations are on every board: most trouble begins with one of them.
func annotations() []m {
	mark := func(name, color, expr, text string) m {
		return m{
			"name": name, "enable": true, "iconColor": color, "datasource": source(false), "expr": expr, "step": "30s",
			"titleFormat": name, "textFormat": text, "useValueForTime": false,
		}
	}
	return []m{
		mark("Deploys", "blue", `sum by (service) (increase(pgo_reload_total{result="done"}[1m])) > 0`, "{{service}} runs a new version"),
		mark("Roll-backs", "red", `sum by (service) (increase(pgo_reload_total{result="rolled_back"}[1m])) > 0`, "{{service}} went back"),
		mark("Boots", "purple", `changes(pgo_process_start_time_seconds{service="bootcheck"}[1m]) > 0`, "bootcheck started"),
	}
}

func source(loki bool) m {
	if loki {
		return m{"type": "loki", "uid": "loki"}
	}
	return m{"type": "prometheus", "uid": "prometheus"}
}

func (p Panel) json(id, x, y, w, h int) m {
	steps := []m{{"color": "green", "value": nil}}
	for _, t := range p.Thresholds {
		if t.From <= -1e9 {
			steps = []m{{"color": t.Color, "value": nil}}
			continue
		}
		steps = append(steps, m{"color": t.Color, "value": t.From})
	}
	defaults := m{"unit": p.Unit, "thresholds": m{"mode": "absolute", "steps": steps}, "color": m{"mode": "palette-classic"}, "noValue": "none"}
	options := m{}
	switch p.Kind {
	case Lines:
		defaults["min"] = 0
		defaults["custom"] = m{"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false, "thresholdsStyle": m{"mode": thresholdStyle(p)}}
		options = m{"legend": m{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": m{"mode": "multi", "sort": "desc"}}
	case Number:
		defaults["color"] = m{"mode": "thresholds"}
		options = m{"reduceOptions": m{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto"}
	case States:
		defaults["color"] = m{"mode": "thresholds"}
		defaults["custom"] = m{"fillOpacity": 70, "lineWidth": 0}
		options = m{"mergeValues": true, "showValue": "never", "legend": m{"displayMode": "list", "placement": "bottom", "showLegend": false}}
	case Logs:
		options = m{"showTime": true, "wrapLogMessage": true, "sortOrder": "Descending", "enableLogDetails": true, "dedupStrategy": "none"}
	case Table:
		defaults["color"] = m{"mode": "thresholds"}
		options = m{"showHeader": true, "cellHeight": "sm"}
	}
	if p.Max != 0 {
		defaults["max"] = p.Max
	}
	out := m{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.About, "gridPos": m{"x": x, "y": y, "w": w, "h": h},
		"datasource": source(p.Queries[0].Loki), "targets": p.targets(), "fieldConfig": m{"defaults": defaults, "overrides": []m{}}, "options": options,
	}
	if p.Kind == Table {
		out["transformations"] = p.columns()
		out["fieldConfig"] = m{"defaults": defaults, "overrides": units(p.Columns)}
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
		t := m{"refId": string(rune('A' + i)), "datasource": source(query.Loki), "expr": query.Expr, "legendFormat": query.Legend, "editorMode": "code"}
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
