package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What differs between native mode and containers comes as variables: each that a part gets is one that its file asks for, and no
// address or path is left to what the containers use.
func TestTelemetryIsToldAllThatItsFileAsksFor(t *testing.T) {
	co, env := state(t)
	for name, file := range map[string]string{"loki": "loki/loki.yaml", "jaeger": "jaeger/jaeger.yaml", collector: "otelcol/config.yaml"} {
		t.Run(name, func(t *testing.T) {
			part, ok := Find(name)
			if !ok {
				t.Fatal("no such part")
			}
			text, err := os.ReadFile(filepath.Join(co.Root, "deploy", file))
			if err != nil {
				t.Fatal(err)
			}
			asked := map[string]bool{}
			for _, ref := range regexp.MustCompile(`\$\{(?:env:)?([A-Z_]+):-`).FindAllStringSubmatch(string(text), -1) {
				asked[ref[1]] = true
			}
			if len(asked) == 0 {
				t.Fatal("the file asks for nothing")
			}
			for _, variable := range part.env(co, env) {
				key, value, _ := strings.Cut(variable, "=")
				if value == "" {
					t.Errorf("%s is empty", key)
				}
				if !strings.HasPrefix(key, "GO") && !strings.HasPrefix(key, "OTEL_") && !asked[key] { // those are of Go and OpenTelemetry
					t.Errorf("%s is not what %s asks for", key, file)
				}
				delete(asked, key)
			}
			if len(asked) > 0 {
				t.Errorf("%s also asks for %v", file, asked)
			}
		})
	}
}

func TestOlderEnvFileIsRejected(t *testing.T) {
	co, env := state(t)
	for _, p := range telemetryParts() {
		for _, key := range p.needs {
			old := map[string]string{}
			for k, v := range env {
				if k != key {
					old[k] = v
				}
			}
			if _, err := p.PrepareCommand(co, old, machine(t, p.Programs[0])); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "make down first") {
				t.Errorf("%s without %s: %v", p.Name, key, err)
			}
		}
	}
}

func TestTracingEndpoint(t *testing.T) {
	co, env := state(t)
	env["OTELCOL_HTTP"] = "127.0.0.1:4318"
	for _, tc := range []struct {
		name, asked string
		installed   []string
		want        string
	}{
		{"no collector", "", nil, ""},
		{"a collector", "", []string{"otelcol-contrib"}, "http://127.0.0.1:4318"},
		{"a collector with another name", "", []string{"otelcol"}, "http://127.0.0.1:4318"},
		{"somewhere else", "http://elsewhere:4318", []string{"otelcol-contrib"}, "http://elsewhere:4318"},
		{"off", "off", []string{"otelcol-contrib"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := TracingEndpoint(tc.asked, co, env, machine(t, tc.installed...)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestListAbsent(t *testing.T) {
	co, _ := state(t)
	all := ListAbsent(co, machine(t))
	for _, name := range []string{"prometheus", "loki", "jaeger", "otelcol-contrib", "grafana"} {
		if !slices.Contains(all, name) {
			t.Errorf("on an empty machine %s is not among %v", name, all)
		}
	}
	if some := ListAbsent(co, machine(t, "loki", "otelcol")); slices.Contains(some, "loki") || slices.Contains(some, "otelcol-contrib") || len(some) != len(all)-2 {
		t.Errorf("with Loki and a collector: %v, without: %v", some, all)
	}
}
