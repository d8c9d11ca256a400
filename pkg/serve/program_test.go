package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/serve"
	"pgo/pkg/testing/testkit"
)

// serving is a program that runs in the test's process.
type serving struct {
	public, admin string
	stop          func()
	ended         chan error
	logs          *observer.ObservedLogs
}

// newProgram returns a program on ports of its own with GET /ok, which is ready at once.
func newProgram(t testing.TB, drain time.Duration) (serve.Program, edge) {
	t.Helper()
	e := newEdge(t)
	e.GET("/ok", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	cfg := serve.Defaults()
	cfg.Addr, cfg.AdminAddr, cfg.DrainTimeout = testkit.ReserveAddr(t), testkit.ReserveAddr(t), drain
	return serve.Program{
		Config: cfg, Log: zap.NewNop(), Health: e.health, Public: e,
		Admin: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	}, e
}

// start runs p and waits until it is ready.
func start(t testing.TB, p serve.Program) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	core, logs := observer.New(zap.DebugLevel)
	p.Log = zap.New(core)
	s := &serving{stop: cancel, ended: make(chan error, 1), logs: logs}
	ready := make(chan struct{})
	p.OnReady = func(public, admin net.Addr) {
		s.public, s.admin = public.String(), admin.String()
		close(ready)
	}
	go func() { s.ended <- p.Run(ctx) }()
	t.Cleanup(cancel)
	select {
	case <-ready:
	case err := <-s.ended:
		t.Fatalf("ended before it was ready: %v", err)
	case <-soon():
		t.Fatal("not ready")
	}
	return s
}

func (s *serving) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-soon():
		t.Fatal("the program did not end")
		return nil
	}
}

// refused waits until no listener is left on addr.
func refused(t testing.TB, addr string) {
	t.Helper()
	testkit.Eventually(t, "the listener is closed", func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return errors.New("still open")
		}
		return nil
	})
}

func TestProgramServesAndStops(t *testing.T) {
	t.Parallel()
	p, _ := newProgram(t, time.Minute)
	s := start(t, p)
	c := mustDial(t, s.public)
	if status, body, closes, err := c.do("GET", "/ok", ""); status != 200 || body != "ok" || closes || err != nil {
		t.Errorf("got %d %q, closes %v, %v", status, body, closes, err)
	}
	if status, _, _, err := mustDial(t, s.admin).do("GET", "/", ""); status != 204 || err != nil {
		t.Errorf("admin: %d %v", status, err)
	}
	c.conn.Close()
	s.stop()
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	refused(t, s.public)
	refused(t, s.admin)
}

func TestRequestInFlightFinishes(t *testing.T) {
	t.Parallel()
	p, e := newProgram(t, time.Minute)
	inside, release := make(chan struct{}), make(chan struct{})
	e.POST("/slow", func(c *gin.Context) {
		close(inside)
		<-release
		c.String(http.StatusCreated, "made")
	})
	s := start(t, p)
	c := mustDial(t, s.public)
	if err := c.send("POST", "/slow", "{}"); err != nil {
		t.Fatal(err)
	}
	<-inside
	s.stop()
	refused(t, s.public)
	close(release)
	status, body, closes, err := c.receive()
	if status != 201 || body != "made" || err != nil {
		t.Errorf("got %d %q, %v", status, body, err)
	}
	if !closes {
		t.Error("the answer does not say Connection: close, though it began after the drain")
	}
	if err := s.wait(t); err != nil { // well before the minute is over
		t.Error(err)
	}
}

func TestIdleConnectionIsAskedToClose(t *testing.T) {
	t.Parallel()
	p, _ := newProgram(t, time.Minute)
	s := start(t, p)
	c := mustDial(t, s.public)
	if _, _, closes, err := c.do("GET", "/ok", ""); closes || err != nil {
		t.Fatalf("closes %v, %v", closes, err)
	}
	s.stop()
	refused(t, s.public)
	status, body, closes, err := c.do("GET", "/readyz", "")
	if status != 503 || strings.TrimSpace(body) != `{"status":"draining"}` || !closes || err != nil {
		t.Errorf("got %d %s, closes %v, %v", status, body, closes, err)
	}
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestSilentConnectionsEndWithTheDrain(t *testing.T) {
	t.Parallel()
	const drain = 400 * time.Millisecond
	p, _ := newProgram(t, drain)
	s := start(t, p)
	idle, untouched := mustDial(t, s.public), mustDial(t, s.public)
	if _, _, _, err := idle.do("GET", "/ok", ""); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.stop()
	if _, err := idle.in.ReadByte(); err != io.EOF {
		t.Errorf("idle connection: %v, want its end", err)
	}
	if took := time.Since(began); took < drain {
		t.Errorf("closed after %v, without having been asked to close", took)
	}
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if _, err := untouched.in.ReadByte(); err == nil {
		t.Error("a connection outlives the program")
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	probe := func(addr, path string) (int, error) {
		c, err := dial(addr)
		if err != nil {
			return 0, err
		}
		defer c.conn.Close()
		status, _, _, err := c.do("GET", path, "")
		return status, err
	}
	t.Run("early", func(t *testing.T) {
		t.Parallel()
		p, _ := newProgram(t, time.Second)
		p.AcceptBeforeReady = true
		var open atomic.Bool
		p.Health.Require("gate", func(context.Context) error {
			if !open.Load() {
				return errors.New("closed")
			}
			return nil
		})
		ready := make(chan struct{})
		p.OnReady = func(net.Addr, net.Addr) { close(ready) }
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		testkit.Eventually(t, "it answers before it is ready", func() error {
			if status, err := probe(p.Config.Addr, "/readyz"); status != 503 {
				return fmt.Errorf("%d %w", status, err)
			}
			return nil
		})
		select {
		case <-ready:
			t.Error("ready while a check fails")
		default:
		}
		open.Store(true)
		select {
		case <-ready:
		case <-soon():
			t.Fatal("not ready")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Run("stopped before it is ready", func(t *testing.T) {
		t.Parallel()
		p, _ := newProgram(t, time.Minute)
		asked := make(chan struct{}, 100)
		p.Health.Require("gate", func(context.Context) error { asked <- struct{}{}; return errors.New("closed") })
		finished := make(chan struct{})
		p.Workers = []serve.Worker{{Name: "relay", Run: func(ctx context.Context) error { <-ctx.Done(); close(finished); return nil }}}
		p.OnReady = func(net.Addr, net.Addr) { t.Error("ready") }
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		<-asked
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		<-finished
	})
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	waits := func(err error) func(context.Context) error {
		return func(ctx context.Context) error { <-ctx.Done(); return err }
	}
	for _, tc := range []struct {
		name string
		run  func(context.Context) error
		stop bool
		want string // of the error
		log  string
	}{
		{name: "ends early with an error", run: func(context.Context) error { return boom }, want: "worker w ended: boom"},
		{name: "ends early without one", run: func(context.Context) error { return nil }, want: "worker w ended: it should run"},
		{name: "ends when asked", run: waits(nil), stop: true},
		{name: "ends with its context's error", run: waits(context.Canceled), stop: true},
		{name: "ends badly", run: waits(boom), stop: true, log: "a worker did not end well"},
		{name: "hangs", run: func(context.Context) error { select {} }, stop: true, log: "a worker did not end in time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, _ := newProgram(t, 100*time.Millisecond)
			gate := make(chan struct{})
			p.Workers = []serve.Worker{
				{Name: "w", Run: func(ctx context.Context) error { <-gate; return tc.run(ctx) }},
				{Name: "other", Run: waits(nil)},
			}
			s := start(t, p)
			close(gate)
			if tc.stop {
				s.stop()
			}
			err := s.wait(t)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if tc.log != "" && s.logs.FilterMessage(tc.log).Len() != 1 {
				t.Errorf("the log lacks %q: %v", tc.log, s.logs.All())
			}
			if n := s.logs.FilterLevelExact(zap.ErrorLevel).Len(); tc.log == "" && n != 0 {
				t.Errorf("%d errors in the log: %v", n, s.logs.All())
			}
		})
	}
}

func TestWorkerFailsBeforeReadiness(t *testing.T) {
	t.Parallel()
	p, _ := newProgram(t, time.Minute)
	p.Health.Require("never", func(context.Context) error { return errors.New("closed") })
	p.Workers = []serve.Worker{{Name: "w", Run: func(context.Context) error { return errors.New("boom") }}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := p.Run(ctx); err == nil || !strings.Contains(err.Error(), "worker w ended: boom") {
		t.Errorf("got %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	addr := taken.Listener.Addr().String()
	for _, name := range []string{serve.PublicListener, serve.AdminListener} {
		p, _ := newProgram(t, time.Minute)
		if name == serve.PublicListener {
			p.Config.Addr = addr
		} else {
			p.Config.AdminAddr = addr
		}
		err := p.Run(context.Background())
		if err == nil || !strings.Contains(err.Error(), "listen for "+name) || !strings.Contains(err.Error(), addr+": bind: address already in use") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
