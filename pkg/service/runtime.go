// Package service opens what every service needs and runs it: logger, metrics, tracer, database, Redis, broker, outbox relay
// and health. A service's own main reads its configuration, calls Open, builds its domain on the Runtime's fields, and calls
// Run.
package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"pgo/pkg/buildinfo"
	"pgo/pkg/cache"
	"pgo/pkg/health"
	"pgo/pkg/logging"
	"pgo/pkg/metrics"
	"pgo/pkg/migrate"
	"pgo/pkg/mq"
	"pgo/pkg/mysql"
	"pgo/pkg/outbox"
	"pgo/pkg/serve"
	"pgo/pkg/tracing"
)

// closeTimeout bounds how long closing one part of a Runtime may take: sending the last spans, closing connections.
const closeTimeout = 3 * time.Second

// Options describe the service to open.
type Options struct {
	Name       string
	Config     Config
	Migrations fs.FS     // *.sql; the newest is the schema that the code needs
	Environ    []string  // the process's environment: it names the instance and the configuration directory
	Stdout     io.Writer // takes the log
}

// Runtime holds the opened parts of a service. Its fields are safe for concurrent use and valid until Close.
type Runtime struct {
	Name     string
	Log      *logging.Logger
	Registry *prometheus.Registry
	Tracer   trace.TracerProvider
	DB       *gorm.DB
	Pool     *sql.DB // DB's connections
	Redis    *redis.Client
	Cache    *cache.Cache
	Broker   *mq.Conn
	Relay    *outbox.Relay
	Health   *health.Health // requires the database with a compatible schema

	config  Config
	environ []string
	build   buildinfo.Info
	workers []serve.Worker
	closers []func(context.Context) error
}

// step opens one part of a Runtime.
type step struct {
	name string
	open func(context.Context) error
}

// Open opens the parts of a service without waiting for any server: a Runtime connects when its parts are used. The error names
// the part that could not be opened; the parts before it are closed then.
func Open(ctx context.Context, o Options) (*Runtime, error) {
	ms, err := migrate.Read(o.Migrations)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	schema := migrate.Latest(ms)
	r := &Runtime{Name: o.Name, config: o.Config, environ: o.Environ, build: buildinfo.Read(schema)}
	r.Registry = metrics.NewRegistry(r.build)
	err = r.openAll(ctx, []step{
		{"logger", func(context.Context) error { return r.openLogger(o.Stdout) }},
		{"tracer", r.openTracer},
		{"database", r.openDatabase},
		{"Redis", r.openRedis},
		{"broker", r.openBroker},
		{"outbox relay", r.openRelay},
	})
	if err != nil {
		return nil, err
	}
	r.Health = health.New(r.Log.Logger)
	r.Health.Require("mysql", migrate.SchemaCompatible(r.Pool, schema))
	return r, nil
}

// openAll runs the steps in order. When one fails it closes what the earlier ones opened.
func (r *Runtime) openAll(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := s.open(ctx); err != nil {
			return errors.Join(fmt.Errorf("open the %s: %w", s.name, err), r.Close())
		}
	}
	return nil
}

// Close closes the parts in the reverse order of their opening, each within 3 s, and joins their errors. A second call has no
// effect.
func (r *Runtime) Close() error {
	var errs []error
	for _, closePart := range slices.Backward(r.closers) {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		errs = append(errs, closePart(ctx))
		cancel()
	}
	r.closers = nil
	return errors.Join(errs...)
}

func (r *Runtime) onClose(closePart func(context.Context) error) {
	r.closers = append(r.closers, closePart)
}

func (r *Runtime) openLogger(stdout io.Writer) (err error) {
	r.Log, err = logging.New(stdout, r.config.Log, logging.Identity{
		Service: r.Name, Instance: logging.InstanceName(r.environ), Version: r.build.Version,
	})
	return err
}

func (r *Runtime) openTracer(ctx context.Context) error {
	provider, stop, err := tracing.New(ctx, r.config.Tracing, r.Name, r.build.Version)
	if err != nil {
		return err
	}
	r.Tracer = provider
	r.onClose(stop)
	return nil
}

func (r *Runtime) openDatabase(context.Context) error {
	db, err := mysql.Open(r.config.MySQL, r.Tracer, r.Registry)
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("take its connections: %w", err)
	}
	r.DB, r.Pool = db, pool
	r.onClose(func(context.Context) error { return pool.Close() })
	return nil
}

func (r *Runtime) openRedis(context.Context) error {
	cache.SetLibraryLogger(r.Log.Logger)
	r.Redis = cache.Open(r.config.Redis)
	cache.AddTracing(r.Redis, r.Tracer)
	r.onClose(func(context.Context) error { return r.Redis.Close() })
	r.Cache = cache.New(r.Redis, r.config.Redis, r.Registry, r.Log.Logger)
	return nil
}

func (r *Runtime) openBroker(context.Context) error {
	cfg := r.config.RabbitMQ.Config(r.Name)
	cfg.Tracer = r.Tracer
	r.Broker = mq.Connect(cfg, r.Log.Logger)
	r.onClose(r.Broker.Close)
	return r.Registry.Register(r.Broker)
}

func (r *Runtime) openRelay(context.Context) (err error) {
	r.Relay, err = outbox.NewRelay(r.Pool, r.Broker, r.Log.Logger, r.Registry, outbox.Options{})
	return err
}
