package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"pgo/pkg/health"
)

// Program is two HTTP handlers and the workers beside them.
type Program struct {
	Config  Config
	Log     *zap.Logger
	Health  *health.Health
	Public  http.Handler
	Admin   http.Handler
	Workers []Worker

	// AcceptBeforeReady makes the program accept connections before it is ready, for a program whose progress towards
	// readiness is worth watching.
	AcceptBeforeReady bool

	// OnReady is called once when the program serves, with the addresses it serves on. May be nil.
	OnReady func(public, admin net.Addr)
}

const (
	readyPoll       = 20 * time.Millisecond // pause between two readiness checks before the program is ready
	shutdownTimeout = 3 * time.Second       // after the drain: for Shutdown and for the workers' last steps

	// A caller that reads or sends slower than these is cut off; the answer's time counts from the request's header.
	readTimeout  = 30 * time.Second
	writeTimeout = 2 * time.Minute
)

// Run serves until ctx ends, then drains as described at drain, and returns nil. It accepts connections only once Health is
// ready (unless AcceptBeforeReady), so that those that come earlier wait in the listener's backlog instead of failing. It
// notifies NOTIFY_SOCKET of READY, STOPPING and WATCHDOG, and PM2 of READY. It returns an error if a listener fails or a worker
// ends early.
func (p Program) Run(ctx context.Context) error {
	public, admin, err := openListeners(p.Config)
	if err != nil {
		return err
	}
	var conns connections
	var draining atomic.Bool
	adminServer := &http.Server{Handler: p.Admin, ReadHeaderTimeout: 5 * time.Second, ErrorLog: zap.NewStdLog(p.Log)}
	server := p.newPublicServer(&conns, &draining)

	failed := make(chan error, 2+len(p.Workers)) // room for all, so that a report never blocks
	lifetime, ended := context.WithCancel(context.WithoutCancel(ctx))
	defer ended()
	workCtx, stopWork := context.WithCancel(lifetime)
	defer stopWork()
	serve := func(s *http.Server, l net.Listener, name string) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !draining.Load() {
				failed <- fmt.Errorf("serve %s: %w", name, err)
			}
		}()
		return done
	}
	serve(adminServer, admin, AdminListener)
	defer adminServer.Close()
	workers := p.startWorkers(workCtx, failed)
	defer server.Close()

	var accepting <-chan struct{} // closed when no more connections come from the listener, nil before any can
	if p.AcceptBeforeReady {
		accepting = serve(server, public, PublicListener)
	}
	err = p.awaitReady(ctx, failed)
	if err == nil && ctx.Err() == nil {
		if !p.AcceptBeforeReady {
			accepting = serve(server, public, PublicListener)
		}
		p.notifyReady()
		go p.feedWatchdog(lifetime)
		p.Log.Info("ready", zap.Stringer("http", public.Addr()), zap.Stringer("admin", admin.Addr()))
		if p.OnReady != nil {
			p.OnReady(public.Addr(), admin.Addr())
		}
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	draining.Store(true)
	stopWork()
	began := time.Now()
	p.drain(server, public, accepting, &conns)
	p.awaitWorkers(workers, began.Add(p.Config.DrainTimeout+shutdownTimeout))
	p.Log.Info("stopped", zap.Duration("drained_for", time.Since(began)))
	return err
}

func (p Program) newPublicServer(conns *connections, draining *atomic.Bool) *http.Server {
	return &http.Server{
		Handler:           closeWhenDraining(draining, headAsGet(p.Public)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + p.Config.RequestTimeout + writeTimeout,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ConnState:         conns.trackState,
		ErrorLog:          zap.NewStdLog(p.Log),
	}
}

// awaitReady returns nil when the program is ready or ctx has ended, and the failure of a part.
func (p Program) awaitReady(ctx context.Context, failed <-chan error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if s := p.Health.State(ctx); s.Status == health.StatusReady {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
	}
}
