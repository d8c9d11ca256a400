package throttle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func newAttemptsMetric() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pgo_login_attempts_total", Help: "Attempts to sign in by result (allowed or refused) and by where they are counted (redis, or memory while Redis is unavailable).",
	}, []string{"result", "counted_in"})
	for _, result := range []string{"allowed", "refused"} {
		for _, in := range []string{"redis", "memory"} {
			c.WithLabelValues(result, in)
		}
	}
	return c
}

// recordAttempt counts an attempt in the metric, as refused if it has to wait, and returns wait.
func (t *Throttle) recordAttempt(in string, wait time.Duration) time.Duration {
	result := "allowed"
	if wait > 0 {
		result = "refused"
	}
	t.attempts.WithLabelValues(result, in).Inc()
	return wait
}

// Describe implements prometheus.Collector.
func (t *Throttle) Describe(ch chan<- *prometheus.Desc) { t.attempts.Describe(ch) }

// Collect implements prometheus.Collector.
func (t *Throttle) Collect(ch chan<- prometheus.Metric) { t.attempts.Collect(ch) }
