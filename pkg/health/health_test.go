package health_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"pgo/pkg/health"
)

func get(h http.Handler) (int, string) {
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/", nil))
	return res.Code, strings.TrimSpace(res.Body.String())
}

func TestReady(t *testing.T) {
	away := errors.New("dial tcp 10.0.0.1: secret detail")
	for _, tc := range []struct {
		name                string
		mysql, redis, queue error
		drain               bool
		status              int
		body                string
	}{
		{name: "all there", status: 200, body: `{"status":"ready"}`},
		{name: "Redis away", redis: away, status: 200, body: `{"status":"ready","degraded":["redis"]}`},
		{name: "both away", redis: away, queue: away, status: 200, body: `{"status":"ready","degraded":["redis","rabbitmq"]}`},
		{name: "MySQL away", mysql: away, status: 503, body: `{"status":"not_ready","failing":["mysql"]}`},
		{name: "draining", drain: true, status: 503, body: `{"status":"draining"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := health.New(zap.NewNop())
			h.Require("mysql", func(context.Context) error { return tc.mysql })
			h.Degrade("redis", func(context.Context) error { return tc.redis })
			h.Degrade("rabbitmq", func(context.Context) error { return tc.queue })
			if tc.drain {
				h.Drain()
			}
			status, body := get(h.ReadyHandler())
			if status != tc.status || body != tc.body {
				t.Errorf("got %d %s, want %d %s", status, body, tc.status, tc.body)
			}
			if status, _ := get(h.Live()); status != 200 {
				t.Errorf("livez answers %d", status)
			}
		})
	}
}

func TestManyAskOneProbe(t *testing.T) {
	var probes atomic.Int32
	h := health.New(zap.NewNop())
	h.Require("mysql", func(context.Context) error { probes.Add(1); return nil })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { get(h.ReadyHandler()) })
	}
	wg.Wait()
	if n := probes.Load(); n > 5 {
		t.Errorf("50 askers made %d probes", n)
	}
}

func TestStartedStaysStarted(t *testing.T) {
	h := health.New(zap.NewNop())
	h.Require("mysql", func(context.Context) error { return nil })
	get(h.ReadyHandler())
	h.Drain()
	if status, _ := get(h.Started()); status != 200 {
		t.Errorf("startupz answers %d after the start", status)
	}
}
