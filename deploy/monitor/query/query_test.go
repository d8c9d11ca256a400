package query_test

import (
	"fmt"
	"strings"
	"testing"

	"pgo/deploy/monitor/query"
)

func TestPromQL(t *testing.T) {
	tests := []struct{ name, expr, want string }{
		{"a matcher", `up{job="x"} == 0`, "[{up [job]}]"},
		{"a name as a matcher", `{__name__="up"}`, "[{up []}]"},
		{"no such label", `up{job=""}`, "[{up []}]"},
		{"not this value", `up{job!="x"}`, "[{up [job]}]"},
		{"grouped by", `sum by (a) (rate(m[5m]))`, "[{m [a]}]"},
		{"grouped away", `max by (a) (sum by (a, b) (m))`, "[{m [a b]}]"},
		{"joined on", `a * on (x) b`, "[{a [x]} {b [x]}]"},
		{"with labels of the other side", `a * on (x) group_left (y) b`, "[{a [x]} {b [x y]}]"},
		{"with labels that only the other side has", `sum by (x, y) (a * on (x) group_left (y) b)`, "[{a [x]} {b [x y]}]"},
		{"but for a label", `sum by (x, s) (a * ignoring (s) group_left () b)`, "[{a [s x]} {b []}]"},
		{"one to many", `sum by (x, y) (b * on (x) group_right (y) a)`, "[{a [x]} {b [x y]}]"},
		{"and takes the left side's labels", `sum by (z) (a and on (x) b)`, "[{a [x z]} {b [x]}]"},
		{"or takes both", `max by (z) (a or b)`, "[{a [z]} {b [z]}]"},
		{"a quantile's buckets", `histogram_quantile(0.9, sum by (le) (rate(m_bucket[5m])))`, "[{m_bucket [le]}]"},
		{"a subquery", `max_over_time(sum by (a) (m)[1h:1m])`, "[{m [a]}]"},
		{"a label made on the way", `sum by (new) (label_replace(m, "new", "$1", "old", "(.*)"))`, "[{m []}]"},
		{"no metric", `vector(1)`, "[]"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			uses, err := query.PromQL(tc.expr)
			if got := fmt.Sprint(uses); err != nil || got != tc.want {
				t.Errorf("%s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

func TestBadExpressions(t *testing.T) {
	tests := []struct {
		name  string
		parse func() error
		want  string
	}{
		{"PromQL", func() error { _, err := query.PromQL("sum(up"); return err }, "parse PromQL"},
		{"PromQL without a range", func() error { _, err := query.PromQL("rate(up)"); return err }, "parse PromQL"},
		{"LogQL that fits every stream", func() error { _, err := query.LogQL(query.Expand(`{a=~"$service"}`, ".*")); return err }, "parse LogQL"},
		{"LogQL", func() error { _, err := query.LogQL(`{a="b"} | nonsense(`); return err }, "parse LogQL"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.parse(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestLogQL(t *testing.T) {
	names, err := query.LogQL(query.Expand(`sum by (level) (count_over_time({service=~"$service",container=""} | json | level="error" [$__range]))`, "x"))
	if got := fmt.Sprint(names); err != nil || got != "[container service]" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestExpand(t *testing.T) {
	got := query.Expand(`rate(m{service=~"$service",i="${instance:regex}"}[$__rate_interval])`, ".+")
	if want := `rate(m{service=~".+",i=".+"}[5m])`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
