package cache

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// poolCollector collects the state of a client's connections when it is scraped.
type poolCollector struct {
	client                    *redis.Client
	open, idle, timeouts, max *prometheus.Desc
}

func newPoolCollector(client *redis.Client) *poolCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("pgo_redis_pool_"+name, help, nil, nil)
	}
	return &poolCollector{
		client:   client,
		open:     desc("open_connections", "Connections to Redis, in use or idle."),
		idle:     desc("idle_connections", "Idle connections to Redis."),
		max:      desc("max_connections", "How many connections to Redis may be open."),
		timeouts: desc("timeouts_total", "How often a caller got no connection to Redis in time."),
	}
}

// Describe implements prometheus.Collector.
func (p *poolCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(p, ch) }

// Collect implements prometheus.Collector.
func (p *poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := p.client.PoolStats()
	ch <- prometheus.MustNewConstMetric(p.open, prometheus.GaugeValue, float64(s.TotalConns))
	ch <- prometheus.MustNewConstMetric(p.idle, prometheus.GaugeValue, float64(s.IdleConns))
	ch <- prometheus.MustNewConstMetric(p.max, prometheus.GaugeValue, float64(p.client.Options().PoolSize))
	ch <- prometheus.MustNewConstMetric(p.timeouts, prometheus.CounterValue, float64(s.Timeouts))
}
