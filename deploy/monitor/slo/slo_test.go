package slo_test

import (
	"os"
	"strings"
	"testing"

	"pgo/deploy/monitor/slo"
)

const good = `
window: 14d
min_requests: 20
exclude_routes: [/livez, /internal/.+]
services:
  user: {availability: {objective: 99.9}, latency: {objective: 99, threshold: 1s}}
`

func TestParseSaysWhatIsWrong(t *testing.T) {
	tests := []struct{ name, old, replacement, want string }{
		{"an unknown key", "min_requests", "minimum", "field minimum not found"},
		{"a window in hours", "14d", "14h", "is not a number of days"},
		{"no window", "window: 14d", "", "window: a number of days"},
		{"a negative number of requests", "20", "-1", "min_requests: -1 is below 0"},
		{"a pattern for all routes", "[/livez, /internal/.+]", "[/.+/x]", "is not a route"},
		{"a route that could change the query", "[/livez, /internal/.+]", `['/livez"}']`, "is not a route"},
		{"an objective of 100 %", "99.9", "100", "services.user.availability.objective"},
		{"no objective", "{objective: 99, threshold: 1s}", "{threshold: 1s}", "services.user.latency.objective: 0"},
		{"a threshold between two buckets", "1s", "300ms", "services.user.latency.threshold: 300ms is not one of"},
		{"a strange service", "user:", "User!:", "is not a service's name"},
		{"no service", "services:\n  user: {availability: {objective: 99.9}, latency: {objective: 99, threshold: 1s}}", "services: {}", "services: none"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := slo.Parse([]byte(strings.Replace(good, tc.old, tc.replacement, 1)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestRules(t *testing.T) {
	c, err := slo.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	text, err := slo.Rules(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"both spellings of a whole bound":         `le=~"1([.]0)?"`,
		"the probes left out":                     `http_route!~"/livez|/internal/.+"`,
		"the fast burn's factor":                  "> 14.4 * (1 - 0.999)",
		"the slow burn's windows":                 `slo:errors:ratio_rate6h{service="user",slo="latency"} > 6 * (1 - 0.99)`,
		"the window":                              "[14d]",
		"quiet with few requests":                 "[1h])) >= 20",
		"the alert for a service that is unknown": `absent(up{job="services",service="user"})`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: no %s in\n%s", name, want, text)
		}
	}
	again, err := slo.Rules(c)
	if err != nil || string(again) != string(text) {
		t.Errorf("a second run gives another file (%v)", err)
	}
}

func TestTheRulesInTheRepositoryAreCurrent(t *testing.T) {
	read := func(path string) []byte {
		text, err := os.ReadFile("../../prometheus/" + path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	c, err := slo.Parse(read("slo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := slo.Rules(c)
	if err != nil {
		t.Fatal(err)
	}
	if string(read("rules/slo.yml")) != string(want) {
		t.Error("deploy/prometheus/rules/slo.yml is not what slo.yaml says: make rules")
	}
}
