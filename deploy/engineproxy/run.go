package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const usage = `usage: engineproxy

Serves the part of a Docker engine's API that cAdvisor reads, on a socket of its own: versions, the engine's description, lists of
containers and images, and a container's description without its environment. It refuses everything else. It also counts
out-of-memory kills by container, at /metrics.

environment:
  ENGINE_SOCKET   the engine's socket (/var/run/docker.sock)
  ENGINE_PROXY    the socket to serve (/run/engine/engine.sock)
  ENGINE_PROJECT  the compose project whose containers are counted; required
  ENGINE_HTTP     address of /metrics and /livez (127.0.0.1:9097)
`

// Exit codes, after sysexits.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
	exitConfig = 78
)

// Config is everything that can be set.
type Config struct {
	Engine  string // path of the engine's socket
	Proxy   string // path of the socket to serve
	Project string // compose project
	Addr    string // of /metrics
}

// readConfig reads the environment. Its error names the variable.
func readConfig(getenv func(string) string) (Config, error) {
	c := Config{Engine: "/var/run/docker.sock", Proxy: "/run/engine/engine.sock", Addr: "127.0.0.1:9097"}
	for name, target := range map[string]*string{"ENGINE_SOCKET": &c.Engine, "ENGINE_PROXY": &c.Proxy, "ENGINE_PROJECT": &c.Project, "ENGINE_HTTP": &c.Addr} {
		if v := getenv(name); v != "" {
			*target = v
		}
	}
	if c.Project == "" {
		return c, errors.New("ENGINE_PROJECT is not set: it names the compose project whose containers are counted")
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return c, fmt.Errorf("ENGINE_HTTP: %q is not an address such as 127.0.0.1:9097", c.Addr)
	}
	return c, nil
}

// run serves until ctx ends and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
			fmt.Fprint(stdout, usage)
			return exitOK
		}
		fmt.Fprintf(stderr, "engineproxy takes no arguments\n%s", usage)
		return exitUsage
	}
	cfg, err := readConfig(getenv)
	if err != nil {
		fmt.Fprintf(stderr, "engineproxy: %v\n", err)
		return exitConfig
	}
	log := slog.New(slog.NewJSONHandler(stdout, nil)).With("service", "engineproxy")
	if err := serve(ctx, cfg, log); err != nil {
		log.Error("ended", "error", err.Error())
		return exitFailed
	}
	return exitOK
}

// serve listens on both addresses until ctx ends.
func serve(ctx context.Context, cfg Config, log *slog.Logger) error {
	// A killed predecessor leaves its socket.
	if err := os.Remove(cfg.Proxy); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the previous socket: %w", err)
	}
	api, err := net.Listen("unix", cfg.Proxy)
	if err != nil {
		return fmt.Errorf("listen for cAdvisor: %w", err)
	}
	// cAdvisor is another user. The directory is in a volume that only the two containers mount.
	if err := os.Chmod(cfg.Proxy, 0o666); err != nil {
		return errors.Join(fmt.Errorf("open the socket to cAdvisor: %w", err), api.Close())
	}
	metrics, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for Prometheus: %w", err), api.Close())
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	engine := newEngineClient(cfg.Engine)
	watcher := NewOOMWatcher(engine, cfg.Project, log, reg)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watcher.Run(watching)
	}()
	defer func() {
		stop()
		<-watched
	}()

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	servers := []*http.Server{
		{Handler: NewProxy(engine.Transport, log), ReadHeaderTimeout: 5 * time.Second},
		{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
	}
	ended := make(chan error, len(servers))
	for i, l := range []net.Listener{api, metrics} {
		go func() { ended <- servers[i].Serve(l) }()
	}
	log.Info("ready", "addr", metrics.Addr().String(), "socket", cfg.Proxy)
	var failure error
	select {
	case err := <-ended:
		failure = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	for _, s := range servers {
		_ = s.Close() // no answer takes long, and cAdvisor asks again
	}
	return failure
}

// newEngineClient returns a client of the engine that listens on a socket. URLs name it by any host.
func newEngineClient(socket string) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns:          4,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}}
}
