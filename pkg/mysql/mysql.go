// Package mysql opens a service's database and runs its transactions. It works with MariaDB 10.11 and with
// MySQL 8.4 and later.
package mysql

import (
	"context"
	drivers "database/sql/driver"
	"fmt"
	"time"

	"github.com/XSAM/otelsql"
	driver "github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"pgo/pkg/config"
	"pgo/pkg/mysql/session"
)

// Config locates the database and sets the limits of its use.
type Config struct {
	Addr        string        `config:"addr"`
	Username    string        `config:"username"`
	Password    config.Secret `config:"password"`
	Database    string        `config:"database"`
	MaxOpen     int           `config:"max_open"`
	MaxIdle     int           `config:"max_idle"`
	MaxLifetime time.Duration `config:"max_lifetime"` // of a connection
	DialTimeout time.Duration `config:"dial_timeout"`
	IOTimeout   time.Duration `config:"io_timeout"` // for one read or write on a connection
	LockWait    time.Duration `config:"lock_wait"`  // how long a statement waits for a row's lock, in whole seconds
}

// Defaults returns limits that fit a server on the same host.
func Defaults() Config {
	return Config{
		Addr: "127.0.0.1:3306", MaxOpen: 30, MaxIdle: 30, MaxLifetime: 30 * time.Minute,
		DialTimeout: 3 * time.Second, IOTimeout: 10 * time.Second, LockWait: 5 * time.Second,
	}
}

// Validate checks the section at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.ExpectAddr(key+".addr", cfg.Addr, "127.0.0.1:3306")
	c.Expect(cfg.Username != "", key+".username", "an account's name")
	c.Expect(cfg.Database != "", key+".database", "a database's name")
	c.Expect(cfg.MaxOpen > 0, key+".max_open", "a number above 0")
	c.Expect(cfg.MaxIdle > 0, key+".max_idle", "a number above 0")
	c.Expect(cfg.LockWait >= time.Second, key+".lock_wait", "a duration of at least 1s")
	c.ExpectSecret(key+".password", cfg.Password)
}

// maxIdleTime bounds how long an idle connection stays open. Until then as many stay open as were needed: under load a new
// one is expensive.
const maxIdleTime = 5 * time.Minute

// Open returns the database without connecting, so that a program can start while the server is unavailable. The pool's
// metrics (go_sql_*) go to reg, a span for each statement to tp. The caller closes the *sql.DB that DB() returns.
func Open(cfg Config, tp trace.TracerProvider, reg prometheus.Registerer) (*gorm.DB, error) {
	dc := driver.NewConfig()
	dc.Net, dc.Addr, dc.User, dc.Passwd, dc.DBName = "tcp", cfg.Addr, cfg.Username, cfg.Password.Reveal(), cfg.Database
	dc.Collation = "utf8mb4_unicode_ci"
	dc.ParseTime, dc.Loc = true, time.UTC
	dc.Timeout, dc.ReadTimeout, dc.WriteTimeout = cfg.DialTimeout, cfg.IOTimeout, cfg.IOTimeout
	// One round trip a statement, without GORM's cache of prepared ones: there, a caller that waits while another prepares the same statement
	// gets the other's error, so that a client that disconnects fails another user's request.
	dc.InterpolateParams = true
	dc.ClientFoundRows = true   // an UPDATE counts the rows it found, also where nothing changed
	dc.RejectReadOnly = true    // a connection to a replica that was the primary is not used again
	dc.Logger = discardLogger{} // its messages also come back as errors
	connector, err := driver.NewConnector(dc)
	if err != nil {
		return nil, fmt.Errorf("configure database %s: %w", cfg.Database, err)
	}
	settings := session.Settings{
		SQLMode: "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION", RowWait: cfg.LockWait,
	}
	pool := otelsql.OpenDB(session.NewConnector(connector, settings), otelsql.WithTracerProvider(tp), otelsql.WithAttributes(attribute.String("db.system.name", "mysql"), attribute.String("db.namespace", cfg.Database)),
		otelsql.WithSpanOptions(otelsql.SpanOptions{OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true, OmitConnectorConnect: true, DisableErrSkip: true, SpanFilter: isInTrace}))
	pool.SetMaxOpenConns(cfg.MaxOpen)
	pool.SetMaxIdleConns(cfg.MaxIdle)
	pool.SetConnMaxLifetime(cfg.MaxLifetime)
	pool.SetConnMaxIdleTime(maxIdleTime)
	if err := reg.Register(collectors.NewDBStatsCollector(pool, cfg.Database)); err != nil {
		pool.Close()
		return nil, fmt.Errorf("register pool metrics: %w", err)
	}
	db, err := gorm.Open(gormmysql.New(gormmysql.Config{Conn: pool, SkipInitializeWithVersion: true}), &gorm.Config{
		SkipDefaultTransaction: true, TranslateError: true, DisableAutomaticPing: true,
		Logger:  logger.Discard, // errors are returned and logged once, at the edge
		NowFunc: func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database %s: %w", cfg.Database, err)
	}
	return db, nil
}

// isInTrace leaves out statements outside of a request, such as the relay's read of the outbox each second: each would be a
// trace of its own.
func isInTrace(ctx context.Context, _ otelsql.Method, _ string, _ []drivers.NamedValue) bool {
	return trace.SpanFromContext(ctx).IsRecording()
}

// discardLogger drops what the driver would print to stderr.
type discardLogger struct{}

func (discardLogger) Print(...any) {}
