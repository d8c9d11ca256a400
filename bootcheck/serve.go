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
	"pgo/pkg/config"
	"pgo/pkg/health"
	"pgo/pkg/httpx"
	"pgo/pkg/metrics"
	"pgo/pkg/serve"
)

// runServer publishes its state while it passes the gate, reports ready, and stays up until ctx ends.
func runServer(ctx context.Context, a *app) error {
	gateway, err := url.Parse(a.cfg.GatewayURL)
	if err != nil {
		return fmt.Errorf("read gateway_url: %w", err)
	}
	registry := metrics.NewRegistry(a.build)
	registry.MustRegister(gate.NewCollector(a.gate.Status()))
	ready := newHealth(a.gate.Status())
	engine, err := httpx.NewEngine(httpx.Options{
		Config: a.cfg.HTTP.Config, Log: a.log.Logger, Tracer: noop.NewTracerProvider(), Registry: registry, Health: ready,
	})
	if err != nil {
		return &gate.Failure{Code: gate.ExitConfig, Err: fmt.Errorf("http.trusted_proxies: %w", err)}
	}
	web.AddRoutes(engine, web.Options{Build: a.build, Status: a.gate.Status(), Registry: registry, Binaries: a.serviceBinaries(), GatewayURL: gateway})

	err = serve.Program{
		Config: a.cfg.HTTP, Log: a.log.Logger, Health: ready, AcceptBeforeReady: true,
		Public:  engine,
		Admin:   serve.NewAdminHandler(registry, a.log, func() any { return config.DescribeKeys(a.cfg) }),
		Workers: []serve.Worker{{Name: "gate", Run: a.runGate}},
	}.Run(ctx)
	if failure, ok := errors.AsType[*gate.Failure](err); ok {
		return failure // without the worker's wrapping
	}
	return err
}

// runGate passes the gate and then watches the servers until ctx ends. It runs as a worker of the program.
func (a *app) runGate(ctx context.Context) error {
	if err := a.gate.Pass(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		a.log.Error("services may not start: " + err.Error())
		return err
	}
	var waiting sync.WaitGroup
	defer waiting.Wait()
	if a.cfg.Wake != "" {
		waiting.Go(func() { a.wakeServices(ctx) })
	}
	a.gate.Watch(ctx)
	return nil
}

// newHealth returns a check that is ready once the gate has passed. A server that becomes unavailable later makes it
// degraded, not unready: services report their own readiness.
func newHealth(st *gate.Status) *health.Health {
	h := health.New(zap.NewNop()) // the gate logs what it waits for
	h.Require("gate", func(context.Context) error {
		if !st.Snapshot().Ready {
			return errors.New("the gate has not passed yet")
		}
		return nil
	})
	for _, s := range st.Snapshot().Servers {
		h.Optional(s.Name, func(context.Context) error {
			for _, current := range st.Snapshot().Servers {
				if current.Name == s.Name && !current.Up {
					return errors.New(current.Error)
				}
			}
			return nil
		})
	}
	return h
}

func (a *app) serviceBinaries() []binary.Binary {
	var out []binary.Binary
	for _, s := range a.gate.Status().Snapshot().Services {
		out = append(out, binary.Binary{Service: s.Name, Path: s.Binary})
	}
	return out
}
