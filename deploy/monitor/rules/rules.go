// Package rules reads Prometheus rule files and promtool's test files as far as the checks need them.
package rules

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Rule is one recording or alerting rule.
type Rule struct {
	File        string            `yaml:"-"`
	Group       string            `yaml:"-"`
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// Name returns the name of the rule's series or alert.
func (r Rule) Name() string { return r.Record + r.Alert }

// Load reads every *.yml below dir.
func Load(files fs.FS, dir string) ([]Rule, error) {
	var out []Rule
	err := each(files, dir, func(file string, text []byte) error {
		var parsed struct {
			Groups []struct {
				Name     string `yaml:"name"`
				Interval string `yaml:"interval"`
				Rules    []Rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&parsed); err != nil {
			return err
		}
		for _, g := range parsed.Groups {
			for _, r := range g.Rules {
				r.File, r.Group = file, g.Name
				out = append(out, r)
			}
		}
		return nil
	})
	return out, err
}

// Covered records which behaviour of one alert has a test.
type Covered struct{ Fires, Quiet bool }

// Coverage reads every promtool test below dir and returns, by alert, whether a test sees it fire and whether one sees it not.
func Coverage(files fs.FS, dir string) (map[string]Covered, error) {
	out := map[string]Covered{}
	err := each(files, dir, func(_ string, text []byte) error {
		var parsed struct {
			Tests []struct {
				Alerts []struct {
					Name string `yaml:"alertname"`
					Want []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			} `yaml:"tests"`
		}
		if err := yaml.Unmarshal(text, &parsed); err != nil {
			return err
		}
		for _, t := range parsed.Tests {
			for _, a := range t.Alerts {
				c := out[a.Name]
				c.Fires = c.Fires || len(a.Want) > 0
				c.Quiet = c.Quiet || len(a.Want) == 0
				out[a.Name] = c
			}
		}
		return nil
	})
	return out, err
}

func each(files fs.FS, dir string, read func(file string, text []byte) error) error {
	return fs.WalkDir(files, dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(file) != ".yml" {
			return err
		}
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		if err := read(file, text); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return nil
	})
}

// Problems returns what an alert lacks of the texts that a person on call needs.
func (r Rule) Problems() []string {
	var out []string
	switch r.Labels["severity"] {
	case "critical", "warning", "none":
	default:
		out = append(out, fmt.Sprintf("severity %q is none of critical, warning and none", r.Labels["severity"]))
	}
	for _, key := range []string{"summary", "summary_zh", "description"} {
		if r.Annotations[key] == "" {
			out = append(out, "no "+key)
		}
	}
	if want := "{{ $externalLabels.runbooks }}/" + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
		out = append(out, fmt.Sprintf("runbook_url is %q, not %q", r.Annotations["runbook_url"], want))
	}
	return out
}

// RunbookProblems returns what a runbook lacks: it needs the meaning of the alert, what to look at and what to do.
func RunbookProblems(alert, text string) []string {
	var out []string
	if !strings.HasPrefix(text, "# "+alert+"\n") {
		out = append(out, "does not start with its alert's name")
	}
	for _, heading := range []string{"What it means", "What to look at", "What to do"} {
		body := regexp.MustCompile(`(?m)^## ` + heading + `\n+([^#]+)`).FindStringSubmatch(text)
		if body == nil || len(strings.TrimSpace(body[1])) < 40 {
			out = append(out, fmt.Sprintf("says nothing under %q", heading))
		}
	}
	return out
}
