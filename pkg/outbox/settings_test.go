package outbox_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	secret "pgo/pkg/config"
	"pgo/pkg/mysql"
	"pgo/pkg/outbox"
	"pgo/pkg/testing/testkit"
)

// TestRelayDoesNotDependOnTheServersSettings runs a relay with a service's connections on a server with autocommit=0, where a
// relay that relied on the default would see no new event and record none as published.
func TestRelayDoesNotDependOnTheServersSettings(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server of its own")
	}
	d := testkit.NewOwnDatabase(t)
	admin := d.Open(t)
	for _, query := range []string{outbox.Schema, "SET GLOBAL autocommit = 0, GLOBAL sql_safe_updates = 1, GLOBAL sql_select_limit = 1"} {
		if _, err := admin.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	cfg := mysql.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Database = d.Addr, d.User, secret.Secret(d.Password), d.Name
	db, err := mysql.Open(cfg, noop.NewTracerProvider(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	var pub publisher
	run(t, pool, &pub, options())
	for i, subject := range []string{"u1", "u2"} {
		e := add(t, pool, subject, 1)
		testkit.Eventually(t, "publish the event and record it", func() error {
			var recorded int
			if err := admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pgo_outbox WHERE published_at IS NOT NULL").Scan(&recorded); err != nil {
				return err
			}
			if n := pub.times(e.ID); n != 1 || recorded != i+1 {
				return fmt.Errorf("published %d times, %d recorded", n, recorded)
			}
			return nil
		})
	}
}
