package slo

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A burn is a pair of windows and how many times faster than evenly the budget burns when its alert fires.
type burn struct {
	alert, short, long string
	factor             string
	pending            string // how long it has to last
	severity           string
}

// The shorter window ends the alert soon after the trouble has ended.
func burns() []burn {
	return []burn{
		{"SLOFastBurn", "5m", "1h", "14.4", "2m", "critical"},
		{"SLOSlowBurn", "30m", "6h", "6", "15m", "warning"},
	}
}

// An objective is one of a service's two, as PromQL: the requests that count against it, over a window.
type objective struct {
	service, slo string
	percent      float64
	bad          func(window string) string
	does, zh     string // what it does wrong, for people
}

func (c Config) objectives(name string) []objective {
	s := c.Services[name]
	all := c.selector(name, "")
	within := fmt.Sprintf("sum by (service) (rate(http_server_request_duration_seconds_bucket{%s}[%%s]))",
		c.selector(name, fmt.Sprintf(`le=~%q`, bound(s.Latency.Threshold.Seconds()))))
	return []objective{
		{
			service: name, slo: "availability", percent: s.Availability.Objective,
			// No 5xx series at all is no error, not no answer.
			bad: func(window string) string {
				return fmt.Sprintf("(sum by (service) (rate(http_server_request_duration_seconds_count{%s}[%s])) or 0 * %s)",
					c.selector(name, `http_response_status_code=~"5.."`), window, total(all, window))
			},
			does: "fails", zh: "错误率",
		},
		{
			service: name, slo: "latency", percent: s.Latency.Objective,
			bad: func(window string) string {
				return fmt.Sprintf("(%s - %s)", total(all, window), fmt.Sprintf(within, window))
			},
			does: fmt.Sprintf("takes longer than %v for", s.Latency.Threshold), zh: fmt.Sprintf("超过 %v 的请求占比", s.Latency.Threshold),
		},
	}
}

func total(selector, window string) string {
	return fmt.Sprintf("sum by (service) (rate(http_server_request_duration_seconds_count{%s}[%s]))", selector, window)
}

func (c Config) selector(service, more string) string {
	matchers := []string{fmt.Sprintf("service=%q", service)}
	if len(c.ExcludeRoutes) > 0 {
		matchers = append(matchers, fmt.Sprintf("http_route!~%q", strings.Join(c.ExcludeRoutes, "|")))
	}
	if more != "" {
		matchers = append(matchers, more)
	}
	return strings.Join(matchers, ",")
}

// bound matches a bucket's bound however it is written: Prometheus 3 makes "1" to "1.0" where 2 keeps it.
func bound(seconds float64) string {
	text := strconv.FormatFloat(seconds, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		return text + "([.]0)?"
	}
	return strings.ReplaceAll(text, ".", "[.]")
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

type group struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

// Rules returns the rule file for c; the same c gives the same bytes.
func Rules(c Config) ([]byte, error) {
	var groups []group
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		g := group{Name: "slo-" + name}
		for _, o := range c.objectives(name) {
			g.Rules = append(g.Rules, c.recordings(o)...)
		}
		for _, o := range c.objectives(name) {
			g.Rules = append(g.Rules, c.alerts(o)...)
		}
		g.Rules = append(g.Rules, missing(name))
		groups = append(groups, g)
	}
	var out bytes.Buffer
	out.WriteString("# Made of deploy/prometheus/slo.yaml by `make rules`: changes here are lost.\n")
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(map[string]any{"groups": groups}); err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	return out.Bytes(), e.Close()
}

func (c Config) recordings(o objective) []rule {
	labels := func() map[string]string { return map[string]string{"service": o.service, "slo": o.slo} }
	all := c.selector(o.service, "")
	var rules []rule
	for _, window := range []string{"5m", "30m", "1h", "6h"} {
		rules = append(rules, rule{Record: "slo:errors:ratio_rate" + window, Labels: labels(), Expr: o.bad(window) + "\n/ " + total(all, window)})
	}
	return append(rules,
		rule{Record: "slo:objective:ratio", Labels: labels(), Expr: "vector(" + ratio(o.percent) + ")"},
		// Of the errors that the window allows, what is left: 1 is all, below 0 the promise is broken. The ratio is weighted by
		// the requests, so that a bad night with ten of them does not count as much as a bad morning.
		rule{Record: "slo:budget:remaining", Labels: labels(), Expr: fmt.Sprintf("1 - (\n  sum_over_time(slo:errors:rate5m{service=%q,slo=%q}[%s])\n  / sum_over_time(slo:requests:rate5m{service=%q,slo=%q}[%s])\n) / (1 - %s)",
			o.service, o.slo, c.Window, o.service, o.slo, c.Window, ratio(o.percent))},
		rule{Record: "slo:errors:rate5m", Labels: labels(), Expr: o.bad("5m")},
		rule{Record: "slo:requests:rate5m", Labels: labels(), Expr: total(all, "5m")},
	)
}

func (c Config) alerts(o objective) []rule {
	var rules []rule
	for _, b := range burns() {
		side := func(window string) string {
			return fmt.Sprintf("slo:errors:ratio_rate%s{service=%q,slo=%q} > %s * (1 - %s)", window, o.service, o.slo, b.factor, ratio(o.percent))
		}
		expr := side(b.short) + "\nand " + side(b.long)
		if c.MinRequests > 0 {
			expr += fmt.Sprintf("\nand on (service) sum by (service) (increase(http_server_request_duration_seconds_count{%s}[%s])) >= %d",
				c.selector(o.service, ""), b.long, c.MinRequests)
		}
		rules = append(rules, rule{
			Alert: b.alert, Expr: expr, For: b.pending,
			Labels: map[string]string{"severity": b.severity, "service": o.service, "slo": o.slo},
			Annotations: map[string]string{
				"summary":     fmt.Sprintf("%s %s {{ $value | humanizePercentage }} of its requests: its error budget burns over %s times too fast", o.service, o.does, b.factor),
				"summary_zh":  fmt.Sprintf("%s %s {{ $value | humanizePercentage }}，错误预算消耗速度超过正常的 %s 倍", o.service, o.zh, b.factor),
				"description": fmt.Sprintf("The objective is %s %% over %s; over %s and over %s the budget burned more than %s times too fast.", trim(o.percent), c.Window, b.short, b.long, b.factor),
				"runbook_url": "{{ $externalLabels.runbooks }}/" + b.alert + ".md",
				"board_url":   "{{ $externalLabels.grafana }}/d/pgo-service?var-service=" + o.service,
			},
		})
	}
	return rules
}

// missing fires for a service that discovery has lost: it has no `up` that could be 0.
func missing(service string) rule {
	return rule{
		Alert: "TargetMissing", Expr: fmt.Sprintf("absent(up{job=\"services\",service=%q})", service), For: "2m",
		Labels: map[string]string{"severity": "critical", "service": service},
		Annotations: map[string]string{
			"summary":     "Prometheus has no target {{ $labels.job }}{{ with $labels.service }} {{ . }}{{ end }}",
			"summary_zh":  "监控目标 {{ $labels.job }}{{ with $labels.service }} {{ . }}{{ end }} 不存在",
			"description": "It has not been discovered for two minutes. Alerts about it cannot fire.",
			"runbook_url": "{{ $externalLabels.runbooks }}/TargetMissing.md",
			"board_url":   "{{ $externalLabels.grafana }}/d/pgo-monitoring",
		},
	}
}

// ratio writes a percentage as a fraction without the dust of binary division.
func ratio(percent float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(percent/100, 'f', 6, 64), "0"), ".")
}

func trim(percent float64) string { return strconv.FormatFloat(percent, 'f', -1, 64) }
