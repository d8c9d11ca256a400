// Package slo makes Prometheus rules of service level objectives: recording rules for the error ratio over several windows, and
// alerts that fire when the error budget burns too fast on a short and on a long window at once.
package slo

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is the file of objectives.
type Config struct {
	Window        Window             `yaml:"window"`         // over which the budget counts
	MinRequests   int                `yaml:"min_requests"`   // within the longer window of an alert, else it stays quiet
	ExcludeRoutes []string           `yaml:"exclude_routes"` // not counted as requests; /internal/.+ is every route below /internal/
	Services      map[string]Service `yaml:"services"`
}

// Service holds the objectives of one service.
type Service struct {
	Availability Availability `yaml:"availability"`
	Latency      Latency      `yaml:"latency"`
}

// Availability is the share of requests that are not answered with 5xx.
type Availability struct {
	Objective float64 `yaml:"objective"` // percent, above 0 and below 100
}

// Latency is the share of requests that are answered within the threshold.
type Latency struct {
	Objective float64       `yaml:"objective"` // percent, above 0 and below 100
	Threshold time.Duration `yaml:"threshold"` // one of Buckets
}

// Window is a duration in whole days, as Prometheus writes it: 14d.
type Window struct{ Days int }

// UnmarshalYAML implements yaml.Unmarshaler.
func (w *Window) UnmarshalYAML(node *yaml.Node) error {
	if _, err := fmt.Sscanf(node.Value, "%dd", &w.Days); err != nil || w.Days < 1 || w.String() != node.Value {
		return fmt.Errorf("line %d: window: %q is not a number of days such as 14d", node.Line, node.Value)
	}
	return nil
}

func (w Window) String() string { return fmt.Sprintf("%dd", w.Days) }

// Buckets are the bounds of http_server_request_duration_seconds. A threshold between two of them could not be measured.
func Buckets() []time.Duration {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	return []time.Duration{ms(1), ms(2.5), ms(5), ms(10), ms(25), ms(50), ms(100), ms(250), ms(500), ms(1000), ms(2500), ms(5000), ms(10000)}
}

// Parse reads the file of objectives. Unknown keys and values out of range are errors that name the key.
func Parse(text []byte) (Config, error) {
	var c Config
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("read objectives: %w", err)
	}
	return c, c.validate()
}

func (c Config) validate() error {
	if c.Window.Days == 0 {
		return fmt.Errorf("window: a number of days such as 14d is needed")
	}
	if c.MinRequests < 0 {
		return fmt.Errorf("min_requests: %d is below 0", c.MinRequests)
	}
	if len(c.Services) == 0 {
		return fmt.Errorf("services: none is named")
	}
	for _, route := range c.ExcludeRoutes {
		if !regexp.MustCompile(`^/[a-zA-Z0-9/_.-]*(/\.\+)?$`).MatchString(route) {
			return fmt.Errorf("exclude_routes: %q is not a route, nor a path before /.+", route)
		}
	}
	for name, s := range c.Services {
		if !regexp.MustCompile(`^[a-z][a-z0-9_-]*$`).MatchString(name) {
			return fmt.Errorf("services: %q is not a service's name", name)
		}
		for key, objective := range map[string]float64{"availability": s.Availability.Objective, "latency": s.Latency.Objective} {
			if objective <= 0 || objective >= 100 {
				return fmt.Errorf("services.%s.%s.objective: %v is not between 0 and 100", name, key, objective)
			}
		}
		if !slices.Contains(Buckets(), s.Latency.Threshold) {
			return fmt.Errorf("services.%s.latency.threshold: %v is not one of the histogram's bounds %v", name, s.Latency.Threshold, Buckets())
		}
	}
	return nil
}
