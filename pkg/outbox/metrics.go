package outbox

import (
	"context"
	"database/sql"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// backlogCollector counts the pending events in the database at each scrape.
type backlogCollector struct {
	db              *sql.DB
	pending, oldest *prometheus.Desc
}

func newBacklogCollector(db *sql.DB) *backlogCollector {
	return &backlogCollector{
		db:      db,
		pending: prometheus.NewDesc("pgo_outbox_pending", "Events that wait to be published.", nil, nil),
		oldest: prometheus.NewDesc("pgo_outbox_oldest_pending_seconds",
			"Age of the oldest event that waits to be published; 0 when none does.", nil, nil),
	}
}

func (b *backlogCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- b.pending
	ch <- b.oldest
}

// Collect leaves both metrics out if the database does not answer within a second or has no free connection: an error would
// take away the whole page of metrics, just when it is needed.
func (b *backlogCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var pending, micros float64
	err := b.db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(created_at), UTC_TIMESTAMP(6)), 0)
		FROM pgo_outbox WHERE published_at IS NULL`).Scan(&pending, &micros)
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(b.pending, prometheus.GaugeValue, pending)
	ch <- prometheus.MustNewConstMetric(b.oldest, prometheus.GaugeValue, max(micros, 0)/1e6)
}
