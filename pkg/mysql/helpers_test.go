package mysql_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"gorm.io/gorm"

	"pgo/pkg/config"
	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/pkg/testing/testkit"
)

// note is a row of the table notes.
type note struct {
	ID   int64
	Body string
	At   time.Time
}

func settings(d testkit.Database) mysql.Config {
	cfg := mysql.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Database = d.Addr, d.User, config.Secret(d.Password), d.Name
	cfg.LockWait = time.Second
	return cfg
}

func open(t testing.TB, cfg mysql.Config, reg prometheus.Registerer) *gorm.DB {
	t.Helper()
	db, err := mysql.Open(cfg, noop.NewTracerProvider(), reg)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return db
}

// withNotes opens a fresh database that has the table notes with the rows 1 and 2.
func withNotes(t testing.TB) (*gorm.DB, testkit.Database) {
	t.Helper()
	d := testkit.NewDatabase(t)
	db := open(t, settings(d), prometheus.NewRegistry())
	for _, s := range []string{
		"CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(10) NOT NULL, at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci",
		"INSERT INTO notes (id, body) VALUES (1, 'a'), (2, 'b')",
	} {
		if err := db.Exec(s).Error; err != nil {
			t.Fatal(err)
		}
	}
	return db, d
}

func body(t testing.TB, db *gorm.DB, id int64) string {
	t.Helper()
	var n note
	if err := db.Limit(1).Find(&n, id).Error; err != nil {
		t.Fatal(err)
	}
	return n.Body
}

func set(ctx context.Context, tx *gorm.DB, id int64, to string) error {
	return tx.WithContext(ctx).Model(&note{}).Where("id = ?", id).Update("body", to).Error
}

// unavailable reports whether err is the problem for a database that cannot be used now.
func unavailable(err error) bool {
	p, ok := errors.AsType[*problem.Error](err)
	return ok && p.Kind == problem.KindUnavailable && p.Code == problem.CodeUnavailable && p.RetryAfter > 0
}
