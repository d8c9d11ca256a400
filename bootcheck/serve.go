package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"pgo/bootcheck/binary"
	"pgo/bootcheck/gate"
	"pgo/bootcheck/web"
	"pgo/pkg/health"
	"pgo/pkg/httpx"
	"pgo/pkg/metrics"
	"pgo/pkg/serve"
)

// runServer passes the chain while it already shows its state, says that it is ready, and stays up.
func runServer(ctx context.Context, a *app, _ []string) error {
	gateway, err := url.Parse(a.cfg.GatewayURL)
	if err != nil {
		return fmt.Errorf("read gateway_url: %w", err)
	}
	registry := metrics.NewRegistry(a.build)
	registry.MustRegister(gate.NewCollector(a.gate.Status()))
	ready := readiness(a.gate.Status())
	engine, err := httpx.NewEngine(httpx.Options{
		Config: a.cfg.HTTP.Config, Log: a.log.Logger, Tracer: noop.NewTracerProvider(), Registry: registry, Health: ready,
	})
	if err != nil {
		return &gate.Failure{Code: gate.ExitConfig, Err: fmt.Errorf("http.trusted_proxies: %w", err)}
	}
	web.Routes(engine, web.Options{Build: a.build, Status: a.gate.Status(), Registry: registry, Binaries: a.binaries(), GatewayURL: gateway})

	err = serve.Program{
		Config: a.cfg.HTTP, Log: a.log.Logger, Health: ready, AcceptBeforeReady: true,
		Public:  engine,
		Admin:   serve.NewAdminHandler(registry, a.log, func() any { return a.cfg }),
		Workers: []serve.Worker{{Name: "gate", Run: a.pass}},
	}.Run(ctx)
	if failure, ok := errors.AsType[*gate.Failure](err); ok {
		return failure // without the words about workers around it
	}
	return err
}

// pass is the gate as a worker: the chain, then the watch.
func (a *app) pass(ctx context.Context) error {
	if err := a.gate.Pass(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		a.log.Error("services may not start: " + err.Error())
		return err
	}
	var waking sync.WaitGroup
	defer waking.Wait()
	if a.cfg.Wake != "" {
		waking.Go(func() { a.wake(ctx) })
	}
	a.gate.Watch(ctx)
	return nil
}

// readiness: ready once the chain has passed; a server that is away later makes it degraded, since services have
// their own word to say about that.
func readiness(st *gate.Status) *health.Health {
	h := health.New(zap.NewNop()) // the gate tells what it waits for
	h.Require("gate", func(context.Context) error {
		if !st.Snapshot().Ready {
			return errors.New("the chain has not passed yet")
		}
		return nil
	})
	for _, s := range st.Snapshot().Servers {
		h.Optional(s.Name, func(context.Context) error {
			for _, now := range st.Snapshot().Servers {
				if now.Name == s.Name && !now.Up {
					return errors.New(now.Error)
				}
			}
			return nil
		})
	}
	return h
}

func (a *app) binaries() []binary.Binary {
	var out []binary.Binary
	for _, s := range a.gate.Status().Snapshot().Services {
		out = append(out, binary.Binary{Service: s.Name, Path: s.Binary})
	}
	return out
}
