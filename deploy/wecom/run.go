package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Exit codes, after sysexits.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
	exitConfig = 78
)

// run serves until ctx ends and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
			fmt.Fprint(stdout, usage)
			return exitOK
		}
		fmt.Fprintf(stderr, "wecom takes no arguments\n%s", usage)
		return exitUsage
	}
	cfg, err := readConfig(getenv)
	if err != nil {
		fmt.Fprintf(stderr, "wecom: %v\n", err)
		return exitConfig
	}
	log := slog.New(slog.NewJSONHandler(stdout, nil)).With("service", "wecom")
	if err := serve(ctx, cfg, log); err != nil {
		log.Error("ended", "error", err.Error())
		return exitFailed
	}
	return exitOK
}

// serve listens until ctx ends, then finishes what it holds.
func serve(ctx context.Context, cfg Config, log *slog.Logger) error {
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	handler, deadman := newHandlers(cfg, log)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go deadman.Run(watching)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	log.Info("ready", "addr", l.Addr().String())
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(over); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// newHandlers puts the program together.
func newHandlers(cfg Config, log *slog.Logger) (http.Handler, *Deadman) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := NewMetrics(reg, func() bool { key, err := cfg.readKey(); return err == nil && key != "" })
	robot := Robot{
		URL: cfg.URL, Key: cfg.readKey, Client: &http.Client{Timeout: cfg.Timeout},
		// Together less than Alertmanager waits for an answer; what is refused after that, it sends again.
		Pauses: []time.Duration{500 * time.Millisecond, 2 * time.Second},
	}
	bridge := NewBridge(robot, cfg.Lang, log, metrics)
	deadman := NewDeadman(cfg.WatchdogTimeout, cfg.Lang, bridge.Robot.Send, log, reg)
	mux := http.NewServeMux()
	mux.Handle("POST /alerts", bridge)
	mux.Handle("POST /watchdog", deadman)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux, deadman
}
