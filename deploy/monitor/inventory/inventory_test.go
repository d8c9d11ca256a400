package inventory_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pgo/deploy/monitor/inventory"
)

const page = `# HELP a_total Things.
# TYPE a_total counter
a_total{kind="x"} 1
a_total{kind="y"} 2
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{route="/",le="1"} 1
took_seconds_bucket{route="/",le="+Inf"} 1
took_seconds_sum{route="/"} 0.5
took_seconds_count{route="/"} 1
# TYPE size summary
size{quantile="0.5"} 1
size_sum 1
size_count 1
`

func TestKnown(t *testing.T) {
	var i inventory.Inventory
	if err := i.Add("services", []string{"service"}, []byte(page)); err != nil {
		t.Fatal(err)
	}
	k := i.Known()
	for name, want := range map[string]string{
		"a_total":             "instance job kind service",
		"took_seconds_bucket": "instance job le route service",
		"took_seconds_count":  "instance job route service",
		"size":                "instance job quantile service",
		"size_sum":            "instance job service",
		"up":                  "instance job service",
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(k[name])), " "); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
	if _, ok := k["took_seconds"]; ok {
		t.Error("a histogram has no series of its family's name")
	}
}

func TestReadsWhatItWrites(t *testing.T) {
	var i inventory.Inventory
	for _, job := range []string{"wecom", "node"} {
		if err := i.Add(job, nil, []byte(page)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := yaml.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	again, err := inventory.Read(text)
	if err != nil || !reflect.DeepEqual(i, again) {
		t.Errorf("%v, %v, want %v", again, err, i)
	}
	if want := "a_total: {type: counter, help: Things., labels: [kind]}"; !strings.Contains(string(text), want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	pages := inventory.Pages(i)
	if got := pages["docs/metrics-pgo.md"]; !strings.Contains(got, "| `a_total` | counter | `kind` | Things. |") {
		t.Errorf("the page of wecom is\n%s", got)
	}
	if got := pages["docs/metrics.md"]; !strings.Contains(got, "| node | 3 |") || strings.Contains(got, "| `a_total` |") {
		t.Errorf("the page of the other programs is\n%s", got)
	}
}

func TestReadRefuses(t *testing.T) {
	exceptions := func(text string) error { _, err := inventory.ReadExceptions([]byte(text)); return err }
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"an exception without a reason", exceptions("- {program: cadvisor, metrics: {a: []}}"), "program and reason are needed"},
		{"an unknown key", exceptions("- {programm: cadvisor}"), "field programm not found"},
		{"a recording of another shape", func() error { _, err := inventory.Read([]byte("a: 1")); return err }(), "field a not found"},
		{"a page that is no metrics", (&inventory.Inventory{}).Add("j", nil, []byte("<html>")), "read the metrics of j"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", tc.err, tc.want)
			}
		})
	}
}

// TestPagesAreCurrent compares the pages of the checkout with the recording they are generated from.
func TestPagesAreCurrent(t *testing.T) {
	text, err := os.ReadFile("../recorded.yaml")
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := inventory.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range inventory.Pages(recorded) {
		got, err := os.ReadFile(filepath.Join("../../..", path))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what deploy/monitor/recorded.yaml makes: make record-metrics, or PGO_WRITE_PAGES=1 go test ./inventory", path)
			if os.Getenv("PGO_WRITE_PAGES") != "" {
				if err := os.WriteFile(filepath.Join("../../..", path), []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
