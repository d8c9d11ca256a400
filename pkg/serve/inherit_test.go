package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"pgo/pkg/health"
	"pgo/pkg/httpx"
	"pgo/pkg/serve"
	"pgo/pkg/testing/testkit"
)

// childVariable makes the test binary a program with inherited listeners instead of running tests.
const childVariable = "PGO_SERVE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child serves POST /echo until SIGTERM. It is ready once a line came on its standard input.
func child() error {
	// A manager's shim does this after the fork: the number is only known then.
	if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var ready atomic.Bool
	go func() {
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		ready.Store(err == nil)
	}()
	h := health.New(zap.NewNop())
	h.Require("line", func(context.Context) error {
		if !ready.Load() {
			return errors.New("no line yet")
		}
		return nil
	})
	cfg := serve.Defaults()
	cfg.Addr, cfg.DrainTimeout = "127.0.0.1:1", time.Minute // an ordinary account may not bind port 1: the listener must be inherited
	e, err := httpx.NewEngine(httpx.Options{Config: cfg.Config, Log: zap.NewNop(), Tracer: noop.NewTracerProvider(), Registry: prometheus.NewRegistry(), Health: h})
	if err != nil {
		return err
	}
	e.POST("/echo", httpx.Handle(func(c *gin.Context) error {
		var in struct {
			N int `json:"n"`
		}
		if err := httpx.ReadJSON(c, &in); err != nil {
			return err
		}
		c.JSON(http.StatusCreated, echo{in.N, os.Getpid()})
		return nil
	}))
	admin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("LISTEN_FDS")) })
	return serve.Program{Config: cfg, Log: zap.NewNop(), Health: h, Public: e, Admin: admin}.Run(ctx)
}

type echo struct{ N, PID int }

// process is a running child.
type process struct {
	*exec.Cmd
	in       io.WriteCloser
	notified <-chan string
	out      *strings.Builder
}

// spawn starts a child on the listeners. It must be a fresh file for each, as a manager passes it.
func spawn(t testing.TB, names string, listeners ...net.Listener) *process {
	t.Helper()
	socket, notified := notifySocket(t)
	p := &process{Cmd: exec.Command(os.Args[0]), notified: notified, out: &strings.Builder{}}
	p.Env = append(os.Environ(), childVariable+"=1", "NOTIFY_SOCKET="+socket, "LISTEN_FDS="+strconv.Itoa(len(listeners)), "LISTEN_FDNAMES="+names)
	p.Stderr = p.out
	for _, l := range listeners {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p.ExtraFiles = append(p.ExtraFiles, f)
	}
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners { // exec cleared it on the open file that all share (golang/go#43894)
		nonblocking(t, l.(*net.TCPListener))
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	return p
}

func nonblocking(t testing.TB, l *net.TCPListener) {
	t.Helper()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(raw.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), true) }), err); err != nil {
		t.Fatal(err)
	}
}

func (p *process) expect(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-p.notified:
		if got != want {
			t.Fatalf("child prints %q, want %q", got, want)
		}
	case <-soon():
		t.Fatalf("child does not say %q: %s", want, p.out)
	}
}

// ready makes the child ready and waits until it is ready.
func (p *process) ready(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "READY=1")
}

// end asks the child to stop and waits until it has.
func (p *process) end(t testing.TB) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "STOPPING=1")
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("child ended with %v: %s", err, p.out)
		}
	case <-soon():
		t.Fatal("the child did not end")
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestConnectionsBeforeReadinessWait(t *testing.T) {
	t.Parallel()
	public, admin := listen(t), listen(t)
	p := spawn(t, "http:admin", public, admin)
	early := mustDial(t, public.Addr().String())
	if err := early.send("POST", "/echo", `{"n":7}`); err != nil {
		t.Fatal(err)
	}
	// The admin listener answers at once, and shows that the program runs.
	if status, body, _, err := mustDial(t, admin.Addr().String()).do("GET", "/", ""); status != 200 || body != "" || err != nil {
		t.Fatalf("admin: %d %q %v: LISTEN_FDS must not reach its children", status, body, err)
	}
	if err := early.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := early.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("an answer before it is ready: %v", err)
	}
	if err := early.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p.ready(t)
	if status, body, _, err := early.receive(); status != 201 || err != nil {
		t.Errorf("got %d %s %v", status, body, err)
	}
	early.conn.Close()
	p.end(t)
}

func TestUnknownInheritedListenersAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, names, want string }{
		{"another name", "http:debug", `inherited listener "debug"`},
		{"no name", "http", "inherited listener \"LISTEN_FD_4\""},
		{"two of a name", "http:http", "inherited 2 listeners named http"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := spawn(t, tc.names, listen(t), listen(t))
			if err := p.Wait(); err == nil || !strings.Contains(p.out.String(), tc.want) {
				t.Errorf("ended with %v: %s", err, p.out)
			}
		})
	}
}

// TestReplacingDropsNoRequest puts a new process beside the old on one listener, several times, while clients
// send POSTs that are not repeated.
func TestReplacingDropsNoRequest(t *testing.T) {
	const replacements, enough = 4, 2000
	public := listen(t)
	addr := public.Addr().String()
	old := spawn(t, "http", public)
	old.ready(t)

	var sent, failed atomic.Int64
	var pids sync.Map
	stop := make(chan struct{})
	stopped := func() bool {
		select {
		case <-stop:
			return sent.Load() >= enough || failed.Load() > 0
		default:
			return false
		}
	}
	one := func(c *client, n int) (closes bool) {
		sent.Add(1)
		status, body, closes, err := c.do("POST", "/echo", fmt.Sprintf(`{"n":%d}`, n))
		var got echo
		if err == nil {
			err = json.Unmarshal([]byte(body), &got)
		}
		if err != nil || status != 201 || got.N != n {
			t.Errorf("request %d: %d %s %v", n, status, body, err)
			failed.Add(1)
			return true
		}
		pids.Store(got.PID, true)
		return closes
	}
	var wg sync.WaitGroup
	run := func(keepAlive bool) {
		wg.Go(func() {
			var c *client
			for n := 0; !stopped(); n++ {
				if c == nil {
					var err error
					if c, err = dial(addr); err != nil {
						t.Errorf("dial: %v", err)
						failed.Add(1)
						return
					}
				}
				if one(c, n) || !keepAlive {
					c.conn.Close()
					c = nil
				}
			}
			if c != nil {
				c.conn.Close()
			}
		})
	}
	for range 4 {
		run(true)
	}
	for range 2 {
		run(false)
	}
	served := func(p *process) {
		testkit.Eventually(t, "the new process answers", func() error {
			if _, ok := pids.Load(p.Process.Pid); !ok {
				return errors.New("no answer from it yet")
			}
			return nil
		})
	}
	served(old)
	for range replacements {
		next := spawn(t, "http", public)
		next.ready(t)
		old.end(t)
		served(next)
		old = next
	}
	close(stop)
	wg.Wait()
	old.end(t)
	t.Logf("%d requests over %d replacements, %d failed", sent.Load(), replacements, failed.Load())
}
