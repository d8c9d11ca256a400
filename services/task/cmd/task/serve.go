package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"pgo/pkg/auth"
	"pgo/pkg/buildinfo"
	"pgo/pkg/cache"
	"pgo/pkg/command"
	"pgo/pkg/config"
	"pgo/pkg/health"
	"pgo/pkg/httpx"
	"pgo/pkg/logging"
	"pgo/pkg/metrics"
	"pgo/pkg/migrate"
	"pgo/pkg/mq"
	"pgo/pkg/mysql"
	"pgo/pkg/outbox"
	"pgo/pkg/serve"
	"pgo/pkg/tracing"
	"pgo/services/task"
	"pgo/services/task/events"
	"pgo/services/task/httpapi"
	"pgo/services/task/migrations"
	"pgo/services/task/openapi"
	"pgo/services/task/store"
)

const (
	pruneEvery = 10 * time.Minute
	sweepEvery = 2 * time.Second // for what belonged to deleted classes
)

// runService puts the service together and runs it until ctx ends.
func runService(ctx context.Context, environ []string, stdout io.Writer) (err error) {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	ms, err := migrate.Read(migrations.FS)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	schema := migrate.Latest(ms)
	build := buildinfo.Read(schema)
	log, err := logging.New(stdout, cfg.Log, logging.Identity{Service: "task", Instance: logging.InstanceName(environ), Version: build.Version})
	if err != nil {
		return err
	}
	reg := metrics.NewRegistry(build)
	live := config.NewReloadable(cfg, func() (Config, error) {
		defer serve.NotifyReloading()()
		return load(environ)
	}, reg)
	live.OnChange(func(c Config) { log.ApplyConfig(c.Log) })

	tracer, stopTracing, err := tracing.New(ctx, cfg.Tracing, "task", build.Version)
	if err != nil {
		return err
	}
	defer command.CloseAndJoin(&err, stopTracing)
	db, err := mysql.Open(cfg.MySQL, tracer, reg)
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("take the pool: %w", err)
	}
	defer command.CloseAndJoin(&err, func(context.Context) error { return pool.Close() })
	cache.SetLibraryLogger(log.Logger)
	redis := cache.Open(cfg.Redis)
	cache.AddTracing(redis, tracer)
	defer command.CloseAndJoin(&err, func(context.Context) error { return redis.Close() })
	brokerConfig := cfg.RabbitMQ.Config("task")
	brokerConfig.Tracer = tracer
	broker := mq.Connect(brokerConfig, log.Logger)
	reg.MustRegister(broker)
	defer command.CloseAndJoin(&err, broker.Close)

	relay, err := outbox.NewRelay(pool, broker, log.Logger, reg, outbox.Options{})
	if err != nil {
		return err
	}
	now := func() time.Time { return time.Now().UTC() }
	verifier, ended, err := auth.NewRemoteVerifier(ctx, cfg.Auth, reg, log.Logger)
	if err != nil {
		return err
	}
	tasks := store.New(db, cache.New(redis, cfg.Redis, reg, log.Logger), "task", relay.Notify)
	fanOut := task.NewFanOut(tasks, log.Logger)
	service := &task.Service{Reader: tasks, Submissions: tasks, Writer: tasks, Wake: fanOut.Wake, Now: now}

	h := health.New(log.Logger)
	h.Require("mysql", migrate.SchemaCompatible(pool, schema))
	h.Require("ended_sessions", ended.HasSynced)
	h.Optional("ended_sessions", ended.IsFresh)
	h.Optional("redis", cache.NewPingCheck(redis))
	h.Optional("rabbitmq", broker.Check)
	engine, err := httpx.NewEngine(httpx.Options{Config: cfg.HTTP.Config, Log: log.Logger, Tracer: tracer, Registry: reg, Health: h, OpenAPI: openapi.JSON})
	if err != nil {
		return err
	}
	httpapi.New(service).Register(engine, verifier)

	reconfigure, stop := serve.NewReloadWorker(live, config.OptionsFromEnviron("task", environ).Dir, log.Logger)
	defer stop()
	return serve.Program{
		Config: cfg.HTTP, Log: log.Logger, Health: h, Public: engine,
		Admin: serve.NewAdminHandler(reg, log, func() any { return live.Current() }),
		Workers: []serve.Worker{
			reconfigure,
			{Name: "outbox", Run: func(ctx context.Context) error { relay.Run(ctx); return nil }},
			{Name: "ended sessions", Run: ended.Run},
			{Name: "view", Run: func(ctx context.Context) error { return broker.Consume(ctx, events.NewConsumer(tasks)) }},
			{Name: "fan-out", Run: fanOut.Run},
			serve.Periodic("sweep", sweepEvery, tasks.Sweep, log.Logger),
			serve.Periodic("prune", pruneEvery, func(ctx context.Context) error { return tasks.Prune(ctx, events.Queue) }, log.Logger),
		},
	}.Run(ctx)
}
