package main

import (
	"context"
	"errors"
	"io"
	"time"

	"pgo/pkg/serve"
	"pgo/pkg/service"
	"pgo/services/school"
	"pgo/services/school/events"
	"pgo/services/school/httpapi"
	"pgo/services/school/migrations"
	"pgo/services/school/openapi"
	"pgo/services/school/store"
)

const pruneInterval = 10 * time.Minute

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
	schools := store.New(rt.DB, rt.Cache, name, rt.Relay.Notify)
	domain := &school.Service{Reader: schools, Lister: schools, Writer: schools, Now: func() time.Time { return time.Now().UTC() }}
	people := &school.People{Store: schools, Schools: domain}

	engine, err := rt.NewEngine(openapi.JSON)
	if err != nil {
		return err
	}
	httpapi.New(domain).Register(engine, verifier)
	return service.Run(ctx, rt, current, engine,
		rt.NewConsumer("users' events", events.NewConsumer(people, rt.Log.Logger)),
		serve.Periodic("prune", pruneInterval, schools.Prune, rt.Log.Logger))
}
