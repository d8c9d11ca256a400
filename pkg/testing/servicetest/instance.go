package servicetest

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

const readyTimeout = 30 * time.Second

// Instance is a running service.
type Instance struct {
	Base string // http://host:port
	Stop func() int
	Logs *Logs
	DB   *sql.DB // a connection of the test's own

	client *http.Client
}

// Logs holds an instance's output so far.
type Logs struct {
	mu    sync.Mutex
	lines []string
}

func (l *Logs) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// LinesWith returns the lines that contain text.
func (l *Logs) LinesWith(what string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

// Start runs the service as main does, on a free port, until Stop or the end of the test. Stop returns the exit code when
// the log is complete. Start returns when the service is ready; one that ends before fails the test. At the end the log must
// show no secret.
func (w *Env) Start(t testing.TB, environ ...string) *Instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	exit := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		exit <- w.service.Run(ctx, nil, slices.Concat(w.Environ, environ), in, &stderr)
		_ = in.Close() // ends the log
	}()
	// The client closes an idle connection before the service does: else a request may meet the service's closing of it.
	transport := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}
	s := &Instance{Logs: &Logs{}, DB: w.DB.Open(t), client: &http.Client{Transport: transport}}
	var log sync.WaitGroup
	s.Stop = sync.OnceValue(func() int {
		s.client.CloseIdleConnections() // else the drain waits for them
		cancel()
		code := <-exit
		log.Wait() // until its last line
		return code
	})
	ready := make(chan string, 1)
	log.Go(func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line struct{ Msg, HTTP, Level string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				ready <- line.HTTP
			}
			if line.Level == "error" {
				t.Logf("%s", lines.Bytes())
			}
			s.Logs.add(lines.Text())
		}
	})
	t.Cleanup(func() {
		s.Stop()
		for _, secret := range append([]string{"eyJ"}, w.service.Secrets...) {
			if lines := s.Logs.LinesWith(secret); len(lines) > 0 {
				t.Errorf("the log shows %q: %s", secret, lines[0])
			}
		}
	})
	select {
	case addr := <-ready:
		s.Base = "http://" + addr
	case code := <-exit:
		exit <- code
		t.Fatalf("%s ended with %d: %s", w.service.Name, code, &stderr)
	case <-time.After(readyTimeout):
		t.Fatalf("%s is not ready after %v", w.service.Name, readyTimeout)
	}
	return s
}

// ReadReadiness returns the content of /readyz.
func (s *Instance) ReadReadiness(t testing.TB) (status int, failing, degraded []string) {
	t.Helper()
	res := s.Do(t, Request{Method: http.MethodGet, Path: "/readyz"})
	var state struct{ Failing, Degraded []string }
	if err := json.Unmarshal(res.Body, &state); err != nil {
		t.Fatalf("%s: %v", res.Body, err)
	}
	return res.Status, state.Failing, state.Degraded
}

// AwaitReadiness waits until the instance is ready (200) or not (503), with missing among its failing or degraded
// dependencies; "" waits until it has none.
func (s *Instance) AwaitReadiness(t testing.TB, status int, missing string) {
	t.Helper()
	testkit.Eventually(t, "readiness", func() error {
		got, failing, degraded := s.ReadReadiness(t)
		lacks := slices.Concat(failing, degraded)
		if got != status || missing != "" && !slices.Contains(lacks, missing) || missing == "" && len(lacks) > 0 {
			return fmt.Errorf("%d, failing %v, degraded %v", got, failing, degraded)
		}
		return nil
	})
}
