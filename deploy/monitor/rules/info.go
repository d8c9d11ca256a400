package rules

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Info returns a rule file with a series for each alert: what it is about, as the list of runbooks says it, and its board. Grafana
// shows them beside the alerts, whose own series have no texts. The same rules give the same bytes.
func Info(all []Rule, runbooks fs.FS, list string) ([]byte, error) {
	text, err := fs.ReadFile(runbooks, list)
	if err != nil {
		return nil, fmt.Errorf("read the list of runbooks: %w", err)
	}
	abouts := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^- \[(\w+)\]\(\w+\.md\): (.+)$`).FindAllStringSubmatch(string(text), -1) {
		abouts[m[1]] = m[2]
	}
	type record struct {
		Record string            `yaml:"record"`
		Expr   string            `yaml:"expr"`
		Labels map[string]string `yaml:"labels"`
	}
	var records []record
	for _, r := range all {
		if r.Alert == "" || slices.ContainsFunc(records, func(known record) bool { return known.Labels["alertname"] == r.Alert }) {
			continue
		}
		if abouts[r.Alert] == "" {
			return nil, fmt.Errorf("%s has no line about %s", list, r.Alert)
		}
		_, board, _ := strings.Cut(r.Annotations["board_url"], "/d/")
		board, _, _ = strings.Cut(board, "?")
		records = append(records, record{"alert:info", "vector(1)", map[string]string{"alertname": r.Alert, "about": abouts[r.Alert], "board": board}})
	}
	slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.Labels["alertname"], b.Labels["alertname"]) })
	var out bytes.Buffer
	out.WriteString("# What each alert is about, for Grafana: made by `make rules` of docs/runbooks/README.md and the alerts. Changes here are lost.\n")
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(map[string]any{"groups": []map[string]any{{"name": "alert-info", "interval": "1m", "rules": records}}}); err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	return out.Bytes(), e.Close()
}
