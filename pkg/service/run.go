package service

import (
	"context"

	"github.com/gin-gonic/gin"

	"pgo/pkg/auth"
	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/httpx"
	"pgo/pkg/mq"
	"pgo/pkg/serve"
)

// NewReloadable returns the configuration that Run reloads with load. Each new one sets the log level at once. Call it once.
func NewReloadable[C interface{ Common() Config }](r *Runtime, initial C, load func() (C, error)) *config.Reloadable[C] {
	current := config.NewReloadable(initial, func() (C, error) {
		defer serve.NotifyReloading()()
		return load()
	}, r.Registry)
	current.MarkLive("log.level")
	current.OnChange(func(next C) { r.Log.ApplyConfig(next.Common().Log) })
	return current
}

// FollowRevocations makes Run follow the list of ended sessions. The service is not ready before the list was read, and
// degraded while it is old.
func (r *Runtime) FollowRevocations(list *auth.RevocationList) {
	r.Health.Require("ended_sessions", list.HasSynced)
	r.Health.Optional("ended_sessions", list.IsFresh)
	r.workers = append(r.workers, serve.Worker{Name: "ended sessions", Run: list.Run})
}

// NewRemoteVerifier returns a verifier of another service's tokens and follows that service's list of ended sessions. ctx is
// the service's own.
func (r *Runtime) NewRemoteVerifier(ctx context.Context, cfg auth.Config) (*auth.Verifier, error) {
	verifier, ended, err := auth.NewRemoteVerifier(ctx, cfg, r.Registry, r.Log.Logger)
	if err != nil {
		return nil, err
	}
	r.FollowRevocations(ended)
	return verifier, nil
}

// NewEngine returns the engine of the public API, with the routes every service has. openAPI is served at /openapi.json.
func (r *Runtime) NewEngine(openAPI []byte) (*gin.Engine, error) {
	return httpx.NewEngine(httpx.Options{
		Config: r.config.HTTP.Config, Log: r.Log.Logger, Tracer: r.Tracer, Registry: r.Registry, Health: r.Health, OpenAPI: openAPI,
	})
}

// NewConsumer returns a worker that consumes a queue.
func (r *Runtime) NewConsumer(name string, c mq.Consumer) serve.Worker {
	return serve.Worker{Name: name, Run: func(ctx context.Context) error { return r.Broker.Consume(ctx, c) }}
}

// Run serves engine until ctx ends, with the workers beside it: the reload of the configuration, the outbox relay, the list of
// ended sessions and the service's own. The service is degraded, not unready, while Redis or RabbitMQ is unavailable.
func Run[C any](ctx context.Context, r *Runtime, current *config.Reloadable[C], engine *gin.Engine, workers ...serve.Worker) error {
	r.Health.Optional("redis", cache.NewPingCheck(r.Redis))
	r.Health.Optional("rabbitmq", r.Broker.Check)
	reload, stop := serve.NewReloadWorker(current, config.OptionsFromEnviron(r.Name, r.environ), r.Log.Logger)
	defer stop()
	all := []serve.Worker{reload, {Name: "outbox", Run: func(ctx context.Context) error { r.Relay.Run(ctx); return nil }}}
	all = append(all, r.workers...)
	return serve.Program{
		Config: r.config.HTTP, Log: r.Log.Logger, Health: r.Health, Public: engine,
		Admin:   serve.NewAdminHandler(r.Registry, r.Log, func() any { return current.Describe() }),
		Workers: append(all, workers...),
	}.Run(ctx)
}
