package httpx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"pgo/pkg/health"
)

// Worker is something that runs beside the HTTP servers: a relay, a consumer.
type Worker struct {
	Name string
	Run  func(context.Context) error // returns when its context ends and what it held is finished
}

// Program is what serves: two handlers, the workers beside them, and when it is ready.
type Program struct {
	Config  Config
	Log     *zap.Logger
	Health  *health.Health
	Public  http.Handler
	Admin   http.Handler
	Workers []Worker

	// OnReady is called once when the program serves, with the addresses it serves on. May be nil.
	OnReady func(public, admin net.Addr)
}

const (
	readyPoll    = 100 * time.Millisecond // how often readiness is asked for before it is there
	shutdownHard = 3 * time.Second        // after the drain: for Shutdown and for the workers' last steps
)

// Run serves until ctx ends, then drains as described at drain, and returns nil. It takes connections only
// once Health is ready, so that those that come earlier wait in the listener's backlog instead of failing,
// and tells NOTIFY_SOCKET about READY, STOPPING and WATCHDOG. A listener that fails and a worker that ends
// early are errors.
func (p Program) Run(ctx context.Context) error {
	public, admin, err := listeners(p.Config)
	if err != nil {
		return err
	}
	adminServer := &http.Server{Handler: p.Admin, ReadHeaderTimeout: 5 * time.Second, ErrorLog: zap.NewStdLog(p.Log)}
	var conns connections
	var draining atomic.Bool
	server := &http.Server{
		Handler:           closeWhen(&draining, p.Public),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ConnState:         conns.track,
		ErrorLog:          zap.NewStdLog(p.Log),
	}

	failed := make(chan error, 2+len(p.Workers)) // room for all, so that nobody waits to report
	var wg sync.WaitGroup
	defer wg.Wait()
	workCtx, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	serve := func(s *http.Server, l net.Listener, name string) {
		wg.Go(func() {
			if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !draining.Load() {
				failed <- fmt.Errorf("serve %s: %w", name, err)
			}
		})
	}
	serve(adminServer, admin, AdminListener)
	defer adminServer.Close()
	var workers sync.WaitGroup
	for _, w := range p.Workers {
		workers.Go(func() {
			if err := w.Run(workCtx); workCtx.Err() == nil {
				failed <- fmt.Errorf("worker %s ended: %w", w.Name, errors.Join(err, errors.New("it should not")))
			} else if err != nil {
				p.Log.Error("a worker did not end well", zap.String("worker", w.Name), zap.Error(err))
			}
		})
	}
	defer server.Close()
	defer public.Close()

	if err := p.awaitReady(ctx, failed); err != nil || ctx.Err() != nil {
		draining.Store(true)
		stopWork()
		workers.Wait()
		return err
	}
	serve(server, public, PublicListener)
	p.notify(daemon.SdNotifyReady)
	wg.Go(func() { p.watchdog(workCtx) })
	p.Log.Info("ready", zap.Stringer("http", public.Addr()), zap.Stringer("admin", admin.Addr()))
	if p.OnReady != nil {
		p.OnReady(public.Addr(), admin.Addr())
	}

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	draining.Store(true)
	p.drain(server, public, &conns, stopWork, &workers)
	return err
}

// drain ends the program without dropping a request. http.Server.Shutdown alone does: it closes connections
// on which a request is on its way (golang/go#65802, golang/go#75591). So first the program says that it is
// not ready, closes its copy of the listener, asks each connection to close after its next answer, and waits
// until none is open or the drain time is over; then Shutdown.
func (p Program) drain(server *http.Server, public net.Listener, conns *connections, stopWork func(), workers *sync.WaitGroup) {
	p.Health.Drain()
	p.notify(daemon.SdNotifyStopping)
	p.Log.Info("draining", zap.Int("connections", conns.count()))
	stopWork()
	if err := public.Close(); err != nil {
		p.Log.Warn("closing the listener", zap.Error(err))
	}
	began := time.Now()
	select {
	case <-conns.idle():
	case <-time.After(p.Config.DrainTimeout):
	}
	left := conns.count()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownHard)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		p.Log.Warn("requests were cut off at the end of the drain", zap.Int("connections", conns.count()), zap.Error(err))
	}
	workers.Wait()
	p.Log.Info("stopped", zap.Duration("drained_for", time.Since(began)), zap.Int("connections_left", left))
}

// awaitReady returns nil when the program is ready or ctx has ended, and the failure of a part.
func (p Program) awaitReady(ctx context.Context, failed <-chan error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if s := p.Health.State(ctx); s.Status == health.Ready {
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

func (p Program) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		p.Log.Warn("telling the process manager", zap.String("state", state), zap.Error(err))
	}
}

func (p Program) watchdog(ctx context.Context) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.notify(daemon.SdNotifyWatchdog)
		}
	}
}

// closeWhen asks clients to close their connection once draining is set.
func closeWhen(draining *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
