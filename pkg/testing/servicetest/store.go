package servicetest

import (
	"database/sql"
	"io/fs"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/inbox"
	"pgo/pkg/migrate"
	"pgo/pkg/mysql"
	"pgo/pkg/outbox"
	"pgo/pkg/testing/testkit"
)

// Database is a database with a service's tables, for tests of its store alone.
type Database struct {
	testkit.Database
	*sql.DB // a connection of the test's own
}

// NewDatabase returns an empty database that ends with the test.
func NewDatabase(t testing.TB, migrations fs.FS) Database {
	t.Helper()
	d := testkit.NewDatabase(t)
	ms, err := migrate.Read(migrations)
	if err != nil {
		t.Fatal(err)
	}
	direct := d.Open(t)
	if _, err := migrate.Up(t.Context(), direct, ms, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	return Database{d, direct}
}

// Connect returns a process's connection to the database, and a cache of the test's own. addr replaces the server's address
// unless it is empty.
func (d Database) Connect(t testing.TB, addr string) (*gorm.DB, *cache.Cache) {
	t.Helper()
	cfg := mysql.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Database = d.Addr, d.User, config.Secret(d.Password), d.Name
	if addr != "" {
		cfg.Addr = addr
	}
	reg := prometheus.NewRegistry()
	db, err := mysql.Open(cfg, noop.NewTracerProvider(), reg)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	r := testkit.NewRedis(t)
	rcfg := cache.Defaults()
	rcfg.Addr, rcfg.Username, rcfg.Password, rcfg.Prefix = r.Addr, r.Username, config.Secret(r.Password), r.Prefix
	client := cache.Open(rcfg)
	t.Cleanup(func() { client.Close() })
	return db, cache.New(client, rcfg, reg, zap.NewNop())
}

// AssertOutboxAndInbox fails unless the migrations create the two tables exactly as their packages define them, which keeps
// the copies from drifting.
func AssertOutboxAndInbox(t *testing.T, migrations fs.FS) {
	ms, err := migrate.Read(migrations)
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range map[string]string{"outbox": outbox.Schema, "inbox": inbox.Schema} {
		found := false
		for _, m := range ms {
			for _, s := range m.Statements {
				found = found || strings.TrimRight(strings.TrimSpace(s.SQL), ";") == schema
			}
		}
		if !found {
			t.Errorf("no migration has the %s's table as its package says it", name)
		}
	}
}
