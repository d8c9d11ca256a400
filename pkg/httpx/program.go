package httpx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"pgo/pkg/health"
)

// Program is what serves: two handlers, the workers beside them, and when it is ready.
type Program struct {
	Config  Config
	Log     *zap.Logger
	Health  *health.Health
	Public  http.Handler
	Admin   http.Handler
	Workers []Worker

	// AcceptBeforeReady makes the program take connections before it is ready, for one whose waiting people want to watch.
	AcceptBeforeReady bool

	// OnReady is called once when the program serves, with the addresses it serves on. May be nil.
	OnReady func(public, admin net.Addr)
}

const (
	readyPoll    = 20 * time.Millisecond // how often readiness is asked for before it is there
	shutdownHard = 3 * time.Second       // after the drain: for Shutdown and for the workers' last steps

	// A caller that reads or sends slower than these is cut off; the answer's time counts from the request's header.
	readTimeout  = 30 * time.Second
	writeTimeout = 2 * time.Minute
)

// Run serves until ctx ends, then drains as described at drain, and returns nil. It takes connections only
// once Health is ready (unless Early), so that those that come earlier wait in the listener's backlog instead of failing,
// and tells NOTIFY_SOCKET about READY, STOPPING and WATCHDOG, and PM2 about READY. A listener that fails and a worker that ends
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
		Handler:           closeWhen(&draining, headAsGet(p.Public)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + p.Config.RequestTimeout + writeTimeout,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ConnState:         conns.track,
		ErrorLog:          zap.NewStdLog(p.Log),
	}

	failed := make(chan error, 2+len(p.Workers)) // room for all, so that nobody waits to report
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
	workers := p.work(workCtx, failed)
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
		p.notify(daemon.SdNotifyReady)
		if err := tellNode(); err != nil {
			p.Log.Warn("telling the process manager", zap.Error(err))
		}
		go p.watchdog(lifetime)
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
	p.awaitWorkers(workers, began.Add(p.Config.DrainTimeout+shutdownHard))
	p.Log.Info("stopped", zap.Duration("drained_for", time.Since(began)))
	return err
}

// drain ends the program without dropping a request. http.Server.Shutdown alone does: it closes connections
// on which a request is on its way (golang/go#65802, golang/go#75591). So first the program says that it is
// not ready, closes its copy of the listener, asks each connection to close after its next answer, and waits
// until none is open or the drain time is over; then Shutdown.
func (p Program) drain(server *http.Server, public net.Listener, accepting <-chan struct{}, conns *connections) {
	p.Health.StartDrain()
	p.notify(daemon.SdNotifyStopping)
	p.Log.Info("draining", zap.Int("connections", conns.count()))
	over, done := context.WithTimeout(context.Background(), p.Config.DrainTimeout)
	defer done()
	// Closing waits for an Accept under way, which may take until the next connection when another process made
	// the shared listener blocking (golang/go#43894).
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		public.Close()
		if accepting != nil {
			<-accepting // then every connection that was taken is also counted
		}
	}()
	select {
	case <-closed:
	case <-over.Done():
	}
	select {
	case <-conns.idle():
	case <-over.Done():
		p.Log.Info("connections are still open at the end of the drain", zap.Int("connections", conns.count()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownHard)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		p.Log.Warn("requests were cut off at the end of the drain", zap.Int("connections", conns.count()), zap.Error(err))
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
