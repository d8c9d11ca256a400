package main

import (
	"context"
	"errors"
	"io"
	"time"

	"pgo/pkg/serve"
	"pgo/pkg/service"
	"pgo/services/task"
	"pgo/services/task/events"
	"pgo/services/task/httpapi"
	"pgo/services/task/migrations"
	"pgo/services/task/openapi"
	"pgo/services/task/store"
)

const (
	pruneInterval = 10 * time.Minute
	sweepInterval = 2 * time.Second // for the rows of deleted classes
)

// runService opens the service's parts, builds its domain on them, and serves until ctx ends.
func runService(ctx context.Context, environ []string, stdout io.Writer) (err error) {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	rt, err := service.Open(ctx, service.Options{Name: name, Config: cfg.Config, Migrations: migrations.FS, Environ: environ, Stdout: stdout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	current := service.NewReloadable(rt, cfg, func() (Config, error) { return load(environ) })

	verifier, err := rt.NewRemoteVerifier(ctx, cfg.Auth)
	if err != nil {
		return err
	}
	tasks := store.New(rt.DB, rt.Cache, name, rt.Relay.Notify)
	fanOut := task.NewFanOut(tasks, rt.Log.Logger)
	domain := &task.Service{Reader: tasks, Submissions: tasks, Writer: tasks, Wake: fanOut.Wake, Now: func() time.Time { return time.Now().UTC() }}

	engine, err := rt.NewEngine(openapi.JSON)
	if err != nil {
		return err
	}
	httpapi.New(domain).Register(engine, verifier)
	return service.Run(ctx, rt, current, engine,
		rt.NewConsumer("view", events.NewConsumer(tasks)),
		serve.Worker{Name: "fan-out", Run: fanOut.Run},
		serve.Periodic("sweep", sweepInterval, tasks.Sweep, rt.Log.Logger),
		serve.Periodic("prune", pruneInterval, func(ctx context.Context) error { return tasks.Prune(ctx, events.Queue) }, rt.Log.Logger))
}
