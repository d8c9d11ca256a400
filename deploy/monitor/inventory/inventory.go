// Package inventory is the list of what can be asked for: the metrics and labels that a running stack was seen to export, and
// those that are excepted, by name and with the reason.
package inventory

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Inventory maps jobs to what their targets export.
type Inventory struct {
	Jobs map[string]Job `yaml:"jobs"`
}

// Job is one kind of target.
type Job struct {
	TargetLabels []string          `yaml:"target_labels,omitempty,flow"` // which Prometheus adds to each series
	Metrics      map[string]Metric `yaml:"metrics"`
}

// Metric is one family as it is exposed.
type Metric struct {
	Type   string   `yaml:"type"`
	Help   string   `yaml:"help,omitempty"` // only that of our own programs
	Labels []string `yaml:"labels,omitempty"`
}

// MarshalYAML writes a metric on one line.
func (m Metric) MarshalYAML() (any, error) {
	type plain Metric
	var node yaml.Node
	if err := node.Encode(plain(m)); err != nil {
		return nil, err
	}
	node.Style = yaml.FlowStyle
	return &node, nil
}

// Read parses a recorded inventory.
func Read(text []byte) (Inventory, error) {
	var i Inventory
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&i); err != nil {
		return Inventory{}, fmt.Errorf("read the recorded metrics: %w", err)
	}
	return i, nil
}

// Add puts what one target exposes, in the text format, to a job.
func (i *Inventory) Add(job string, targetLabels []string, text []byte) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("read the metrics of %s: %w", job, err)
	}
	if i.Jobs == nil {
		i.Jobs = map[string]Job{}
	}
	j, ok := i.Jobs[job]
	if !ok {
		j = Job{Metrics: map[string]Metric{}}
	}
	for _, l := range targetLabels {
		if !slices.Contains(j.TargetLabels, l) {
			j.TargetLabels = append(j.TargetLabels, l)
		}
	}
	for name, f := range families {
		m := j.Metrics[name].with(f)
		if slices.Contains(ours(), job) {
			m.Help = f.GetHelp()
		}
		j.Metrics[name] = m
	}
	i.Jobs[job] = j
	return nil
}

// Rename gives a label of a job's metrics the name that it has in Prometheus.
func (i Inventory) Rename(job, from, to string) {
	for name, m := range i.Jobs[job].Metrics {
		if at := slices.Index(m.Labels, from); at >= 0 {
			m.Labels[at] = to
			slices.Sort(m.Labels)
			i.Jobs[job].Metrics[name] = m
		}
	}
}

func (m Metric) with(f *dto.MetricFamily) Metric {
	m.Type = strings.ToLower(f.GetType().String())
	for _, series := range f.GetMetric() {
		for _, l := range series.GetLabel() {
			if !slices.Contains(m.Labels, l.GetName()) {
				m.Labels = append(m.Labels, l.GetName())
			}
		}
	}
	slices.Sort(m.Labels)
	return m
}

// names are the series' names under which a family can be asked for.
func (m Metric) names(family string) []string {
	switch m.Type {
	case "histogram":
		return []string{family + "_bucket", family + "_count", family + "_sum"}
	case "summary":
		return []string{family, family + "_count", family + "_sum"}
	}
	return []string{family}
}

// Known maps the names of the series that an expression may use to their labels.
type Known map[string]map[string]bool

// Known returns everything that was recorded, and what Prometheus makes itself.
func (i Inventory) Known() Known {
	k := Known{}
	for _, j := range i.Jobs {
		for family, m := range j.Metrics {
			for _, name := range m.names(family) {
				k.Add(name, slices.Concat(m.Labels, j.TargetLabels)...)
				if strings.HasSuffix(name, "_bucket") {
					k.Add(name, "le")
				}
				if m.Type == "summary" && name == family {
					k.Add(name, "quantile")
				}
			}
		}
		for _, own := range []string{"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"} {
			k.Add(own, j.TargetLabels...)
		}
	}
	for _, own := range []string{"ALERTS", "ALERTS_FOR_STATE"} {
		k.Add(own, "alertname", "alertstate", "severity", "service", "instance", "job", "server", "slo", "schema")
	}
	return k
}

// Add makes name with labels known. job and instance are on everything.
func (k Known) Add(name string, labels ...string) {
	if k[name] == nil {
		k[name] = map[string]bool{"job": true, "instance": true}
	}
	for _, l := range labels {
		k[name][l] = true
	}
}

// Exception is a program whose metrics cannot be recorded, with the names that are used of it.
type Exception struct {
	Program   string              `yaml:"program"`
	Reason    string              `yaml:"reason"`
	Container string              `yaml:"container"` // its part in compose.yml, for a program of containers only
	Groups    map[string]string   `yaml:"groups"`    // by metric, what --enable_metrics of the part has to name
	Metrics   map[string][]string `yaml:"metrics"`   // names of series with their labels
}

// ReadExceptions parses the list of exceptions; each needs a program and a reason.
func ReadExceptions(text []byte) ([]Exception, error) {
	var out []Exception
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("read the exceptions: %w", err)
	}
	for _, e := range out {
		if e.Program == "" || e.Reason == "" {
			return nil, fmt.Errorf("read the exceptions: %v: program and reason are needed", slices.Sorted(maps.Keys(e.Metrics)))
		}
	}
	return out, nil
}
