package check

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pgo/deploy/monitor/query"
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

// dataSources is Grafana's file of data sources.
type dataSources struct {
	Sources []struct {
		UID      string `yaml:"uid"`
		Editable bool   `yaml:"editable"`
		JSON     struct {
			Exemplars []struct {
				Name string `yaml:"name"`
				URL  string `yaml:"url"`
			} `yaml:"exemplarTraceIdDestinations"`
			Derived []struct {
				Type   string `yaml:"matcherType"`
				Regex  string `yaml:"matcherRegex"`
				Source string `yaml:"datasourceUid"`
				URL    string `yaml:"url"`
			} `yaml:"derivedFields"`
			Logs struct {
				Source string `yaml:"datasourceUid"`
				Query  string `yaml:"query"`
			} `yaml:"tracesToLogsV2"`
			Metrics struct {
				Source  string `yaml:"datasourceUid"`
				Tags    []tag  `yaml:"tags"`
				Queries []struct {
					Query string `yaml:"query"`
				} `yaml:"queries"`
			} `yaml:"tracesToMetrics"`
		} `yaml:"jsonData"`
	} `yaml:"datasources"`
}

// tag is a span's tag and its name in a query.
type tag struct {
	Key   string `yaml:"key"`
	Value string `yaml:"value"`
}

// Grafana's data sources have the names that boards ask by.
func TestDataSources(t *testing.T) {
	var c dataSources
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

// A point leads to its trace, a line once to its trace, and a trace to its lines and to its service's metrics, with queries that
// are whole once Grafana has filled them in.
func TestLinks(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	var c dataSources
	load(t, "grafana/provisioning/datasources/pgo.yaml", &c)
	fill := func(text string) string {
		// A provisioned file has $$ for $.
		return strings.NewReplacer("${__value.raw}", id, "${__trace.traceId}", id).Replace(strings.ReplaceAll(text, "$$", "$"))
	}
	links := map[string]int{}
	for _, s := range c.Sources {
		for _, e := range s.JSON.Exemplars {
			links["exemplar to trace"]++
			checkExploreURL(t, fill(e.URL), id)
			if e.Name != "trace_id" {
				t.Errorf("exemplars have no label %s", e.Name)
			}
		}
		for _, d := range s.JSON.Derived {
			links["line to trace"]++
			if d.Type != "label" || d.Regex != "trace_id" || d.Source != "jaeger" || fill(d.URL) != id {
				t.Errorf("a line's link is %+v", d)
			}
		}
		if l := s.JSON.Logs; l.Query != "" {
			links["trace to lines"]++
			names, err := query.LogQL(fill(l.Query))
			if err != nil || l.Source != "loki" || !slices.Equal(names, streamLabels()) || !strings.Contains(fill(l.Query), id) {
				t.Errorf("a trace's lines: %s, %v, %v", fill(l.Query), names, err)
			}
		}
		for _, q := range s.JSON.Metrics.Queries {
			links["trace to metrics"]++
			var tags []string
			for _, tag := range s.JSON.Metrics.Tags {
				// What Jaeger keeps as the name of a process is not among its tags.
				if tag.Key == "service.name" {
					t.Error("Jaeger's processes have no tag service.name")
				}
				tags = append(tags, tag.Value+`="user"`)
			}
			text := strings.ReplaceAll(strings.ReplaceAll(q.Query, "$$", "$"), "$__tags", strings.Join(tags, ","))
			uses, err := query.PromQL(text)
			if err != nil || len(uses) != 1 || !slices.Equal(uses[0].Labels, []string{"service"}) {
				t.Errorf("a trace's metrics: %s, %v, %v", text, uses, err)
			}
		}
	}
	for link, count := range map[string]int{"exemplar to trace": 1, "line to trace": 1, "trace to lines": 1, "trace to metrics": 1} {
		if links[link] != count {
			t.Errorf("%s: %d links, want %d", link, links[link], count)
		}
	}
}

// checkExploreURL checks that a URL of Explore opens one trace in Jaeger.
func checkExploreURL(t *testing.T, text, id string) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil || u.Path != "/explore" {
		t.Fatalf("%s is not a URL of Explore: %v", text, err)
	}
	var panes map[string]struct {
		Datasource string `json:"datasource"`
		Queries    []struct {
			Datasource struct{ Type, UID string } `json:"datasource"`
			Query      string                     `json:"query"`
			QueryType  string                     `json:"queryType"`
		} `json:"queries"`
		Range struct{ From, To string } `json:"range"`
	}
	if err := json.Unmarshal([]byte(u.Query().Get("panes")), &panes); err != nil || len(panes) != 1 {
		t.Fatalf("%s: panes %v, %v", text, panes, err)
	}
	for _, pane := range panes {
		if pane.Datasource != "jaeger" || len(pane.Queries) != 1 || pane.Queries[0].Query != id || pane.Queries[0].QueryType != "" || pane.Queries[0].Datasource.UID != "jaeger" || pane.Range.From == "" {
			t.Errorf("%s opens %+v", text, pane)
		}
	}
}
