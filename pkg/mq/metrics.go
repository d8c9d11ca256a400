package mq

import (
	"github.com/prometheus/client_golang/prometheus"

	"pgo/pkg/metrics"
)

// Values of the label result of a delivery.
const (
	resultDone    = "done"
	resultRetried = "retried" // it failed and waits for its next attempt
	resultDead    = "dead"    // it failed for good
)

// metricSet holds a Conn's metrics. Its queues are those that the service consumes, so their names are few.
type metricSet struct {
	connected  *prometheus.Desc
	published  *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	duration   *prometheus.HistogramVec
}

func newMetricSet() *metricSet {
	c := &metricSet{
		connected: prometheus.NewDesc("pgo_mq_connected", "1 when this connection to the broker can be used, else 0.", []string{"link"}, nil),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgo_mq_published_total", Help: "Messages by what became of them: confirmed by the broker, or failed.",
		}, []string{"result"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgo_mq_deliveries_total", Help: "Deliveries by what became of them: done, retried (failed, comes again) or dead (put to the dead letters).",
		}, []string{"queue", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pgo_mq_handle_duration_seconds", Help: "How long handling a delivery took, whatever became of it.", Buckets: metrics.DurationBuckets(),
		}, []string{"queue"}),
	}
	for _, result := range []string{"confirmed", "failed"} {
		c.published.WithLabelValues(result)
	}
	return c
}

// initQueue creates a queue's counters before the first delivery: a counter that starts at 0 shows its first increase.
func (c *metricSet) initQueue(queue string) {
	for _, result := range []string{resultDone, resultRetried, resultDead} {
		c.deliveries.WithLabelValues(queue, result)
	}
	c.duration.WithLabelValues(queue)
}

func (c *metricSet) countPublished(errs []error) {
	for _, err := range errs {
		result := "confirmed"
		if err != nil {
			result = "failed"
		}
		c.published.WithLabelValues(result).Inc()
	}
}

// Describe implements prometheus.Collector, so that a Conn can be registered where its service's metrics are.
func (c *Conn) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.metrics.connected
	c.metrics.published.Describe(ch)
	c.metrics.deliveries.Describe(ch)
	c.metrics.duration.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c *Conn) Collect(ch chan<- prometheus.Metric) {
	links := map[string]*link{"publisher": c.pub.link}
	select {
	case <-c.consuming:
		links["consumer"] = c.sub
	default: // it will never connect
	}
	for name, l := range links {
		up := 1.0
		if _, err := l.usableConnection(); err != nil {
			up = 0
		}
		ch <- prometheus.MustNewConstMetric(c.metrics.connected, prometheus.GaugeValue, up, name)
	}
	c.metrics.published.Collect(ch)
	c.metrics.deliveries.Collect(ch)
	c.metrics.duration.Collect(ch)
}
