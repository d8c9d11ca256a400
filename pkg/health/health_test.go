package health_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/health"
)

func get(h http.Handler) (int, string) {
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/", nil))
	return res.Code, strings.TrimSpace(res.Body.String())
}

func TestReadinessHandler(t *testing.T) {
	down := errors.New("dial tcp 10.0.0.1: secret detail")
	for _, tc := range []struct {
		name                string
		mysql, redis, queue error
		drain               bool
		status              int
		body                string
	}{
		{name: "all there", status: 200, body: `{"status":"ready"}`},
		{name: "Redis down", redis: down, status: 200, body: `{"status":"ready","degraded":["redis"]}`},
		{name: "both down", redis: down, queue: down, status: 200, body: `{"status":"ready","degraded":["redis","rabbitmq"]}`},
		{name: "MySQL down", mysql: down, status: 503, body: `{"status":"not_ready","failing":["mysql"]}`},
		{name: "draining", drain: true, status: 503, body: `{"status":"draining"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := health.New(zap.NewNop())
			h.Require("mysql", func(context.Context) error { return tc.mysql })
			h.Optional("redis", func(context.Context) error { return tc.redis })
			h.Optional("rabbitmq", func(context.Context) error { return tc.queue })
			if tc.drain {
				h.StartDrain()
			}
			status, body := get(h.ReadinessHandler())
			if status != tc.status || body != tc.body {
				t.Errorf("got %d %s, want %d %s", status, body, tc.status, tc.body)
			}
			if status, _ := get(h.LivenessHandler()); status != 200 {
				t.Errorf("livez answers %d", status)
			}
		})
	}
}

func TestConcurrentProbesShareOneCheck(t *testing.T) {
	var probes atomic.Int32
	h := health.New(zap.NewNop())
	h.Require("mysql", func(context.Context) error { probes.Add(1); return nil })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { get(h.ReadinessHandler()) })
	}
	wg.Wait()
	if n := probes.Load(); n > 5 {
		t.Errorf("50 askers made %d probes", n)
	}
}

func TestStartedStaysStarted(t *testing.T) {
	h := health.New(zap.NewNop())
	h.Require("mysql", func(context.Context) error { return nil })
	get(h.ReadinessHandler())
	h.StartDrain()
	if status, _ := get(h.StartupHandler()); status != 200 {
		t.Errorf("startupz answers %d after the start", status)
	}
}

// A start is not held up by an answer from before it: what is not there yet is asked for again soon. Once the program has been
// ready, askers share an answer for longer.
func TestAnswersAreFreshAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := health.New(zap.NewNop())
		began, asked := time.Now(), 0
		h.Require("keys", func(context.Context) error {
			if asked++; time.Since(began) < 30*time.Millisecond {
				return errors.New("not there yet")
			}
			return nil
		})
		for h.State(t.Context()).Status != health.StatusReady {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("ready after %v, the dependency was there after 30ms", took)
		}
		asked = 0
		for range 400 {
			h.State(t.Context())
			time.Sleep(time.Millisecond)
		}
		if asked > 0 {
			t.Errorf("asked %d times within 400ms", asked)
		}
	})
}

// What does not answer is said once, and only when it is more than a moment.
func TestFailureIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		h := health.New(zap.New(core))
		var down error
		h.Optional("redis", func(context.Context) error { return down })
		during := func(d time.Duration) []string {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				h.State(t.Context())
			}
			var said []string
			for _, e := range logs.TakeAll() {
				said = append(said, e.Message)
			}
			return said
		}
		for _, step := range []struct {
			name string
			down error
			want []string
		}{
			{"there", nil, nil},
			{"down", errors.New("connection refused"), []string{"a dependency does not answer"}},
			{"still down", errors.New("connection refused"), nil},
			{"back", nil, []string{"a dependency answers again"}},
		} {
			down = step.down
			if got := during(3 * time.Second); !slices.Equal(got, step.want) {
				t.Errorf("%s: it prints %q, want %q", step.name, got, step.want)
			}
		}
	})
}
