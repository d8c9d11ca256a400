package gate

import "github.com/prometheus/client_golang/prometheus"

// collector exports the gate's state. Values are read from the Status at each scrape.
type collector struct {
	status                                                       *Status
	ready, phase, seconds, up, version, expected, dirty, minimum *prometheus.Desc
}

// NewCollector returns the metrics of st.
func NewCollector(st *Status) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pgo_bootcheck_"+name, help, labels, nil)
	}
	return &collector{
		status:   st,
		ready:    desc("ready", "1 once the gate has passed, else 0."),
		phase:    desc("phase", "1 for the state that a phase of the gate is in: pending, running, done or failed.", "phase", "state"),
		seconds:  desc("phase_duration_seconds", "How long a phase of the gate took, or takes so far.", "phase"),
		up:       desc("server_up", "1 when the last check found that the server serves, else 0.", "server"),
		version:  desc("schema_version", "Newest applied migration of a service's schema.", "schema"),
		expected: desc("schema_expected", "Newest migration that a service's binary brings.", "schema"),
		minimum:  desc("schema_min_code", "Oldest code that supports the schema, by its schema version.", "schema"),
		dirty:    desc("schema_dirty", "1 when a migration is half applied, else 0.", "schema"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.status.Snapshot()
	gauge(c.ready, boolToFloat(s.Ready))
	for _, p := range s.Phases {
		for _, state := range []string{"pending", "running", "done", "failed"} {
			gauge(c.phase, boolToFloat(p.State == state), p.Name, state)
		}
		gauge(c.seconds, p.Seconds, p.Name)
	}
	for _, sv := range s.Servers {
		gauge(c.up, boolToFloat(sv.Up), sv.Name)
	}
	for _, sc := range s.Services {
		gauge(c.version, float64(sc.SchemaVersion), sc.Name)
		gauge(c.expected, float64(sc.SchemaExpected), sc.Name)
		gauge(c.minimum, float64(sc.MinCodeSchema), sc.Name)
		gauge(c.dirty, boolToFloat(sc.SchemaDirty != 0), sc.Name)
	}
}

func boolToFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
