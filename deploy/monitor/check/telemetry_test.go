package check

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func load(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// The boards ask by the labels that Loki indexes, and Loki keeps no more than it is allowed to.
func TestLoki(t *testing.T) {
	var c struct {
		Compactor struct {
			Retention bool `yaml:"retention_enabled"`
		} `yaml:"compactor"`
		Limits struct {
			Period  string `yaml:"retention_period"`
			Rate    int    `yaml:"ingestion_rate_mb"`
			Streams int    `yaml:"max_global_streams_per_user"`
			OTLP    struct {
				Resource struct {
					IgnoreDefaults bool `yaml:"ignore_defaults"`
					Attributes     []struct {
						Action     string   `yaml:"action"`
						Attributes []string `yaml:"attributes"`
					} `yaml:"attributes_config"`
				} `yaml:"resource_attributes"`
			} `yaml:"otlp_config"`
		} `yaml:"limits_config"`
		Analytics struct {
			Reporting *bool `yaml:"reporting_enabled"`
		} `yaml:"analytics"`
	}
	load(t, "loki/loki.yaml", &c)
	var indexed []string
	for _, a := range c.Limits.OTLP.Resource.Attributes {
		if a.Action == "index_label" {
			for _, name := range a.Attributes {
				indexed = append(indexed, strings.ReplaceAll(name, ".", "_"))
			}
		}
	}
	if !c.Limits.OTLP.Resource.IgnoreDefaults || !slices.Equal(indexed, streamLabels()) {
		t.Errorf("Loki indexes %v, the boards know %v", indexed, streamLabels())
	}
	if !c.Compactor.Retention || c.Limits.Period == "" || c.Limits.Rate == 0 || c.Limits.Streams == 0 {
		t.Errorf("something is without a limit: %+v", c)
	}
	if c.Analytics.Reporting == nil || *c.Analytics.Reporting {
		t.Error("Loki reports home")
	}
}

// Every part that a pipeline of the collector names is there, and none is there for nothing. Each queue has an end.
func TestCollector(t *testing.T) {
	type parts map[string]map[string]any
	var c struct {
		Extensions parts `yaml:"extensions"`
		Receivers  parts `yaml:"receivers"`
		Processors parts `yaml:"processors"`
		Exporters  parts `yaml:"exporters"`
		Service    struct {
			Extensions []string                       `yaml:"extensions"`
			Pipelines  map[string]map[string][]string `yaml:"pipelines"`
		} `yaml:"service"`
	}
	load(t, "otelcol/config.yaml", &c)
	used := map[string][]string{"extensions": c.Service.Extensions}
	for _, p := range c.Service.Pipelines {
		if p["processors"][0] != "memory_limiter" {
			t.Error("a pipeline does not begin with memory_limiter")
		}
		for kind, names := range p {
			used[kind] = append(used[kind], names...)
		}
	}
	for kind, there := range map[string]parts{"extensions": c.Extensions, "receivers": c.Receivers, "processors": c.Processors, "exporters": c.Exporters} {
		for _, name := range used[kind] {
			if _, ok := there[name]; !ok {
				t.Errorf("%s %s is not there", kind, name)
			}
		}
		for name := range there {
			if !slices.Contains(used[kind], name) {
				t.Errorf("%s %s is used nowhere", kind, name)
			}
		}
	}
	for name, e := range c.Exporters {
		queue, _ := e["sending_queue"].(map[string]any)
		retry, _ := e["retry_on_failure"].(map[string]any)
		if queue["queue_size"] == nil || retry["max_elapsed_time"] == nil {
			t.Errorf("exporter %s waits without an end: %v", name, e)
		}
	}
}

// Grafana's data sources have the names that boards ask by.
func TestDataSources(t *testing.T) {
	var c struct {
		Sources []struct {
			UID      string `yaml:"uid"`
			Editable bool   `yaml:"editable"`
		} `yaml:"datasources"`
	}
	load(t, "grafana/provisioning/datasources/pgo.yaml", &c)
	var uids []string
	for _, s := range c.Sources {
		uids = append(uids, s.UID)
	}
	for _, uid := range []string{"prometheus", "loki", "jaeger", "alertmanager"} {
		if !slices.Contains(uids, uid) {
			t.Errorf("no data source %s among %v", uid, uids)
		}
	}
}
