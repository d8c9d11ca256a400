package httpx_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/health"
	"pgo/pkg/httpx"
	"pgo/pkg/problem"
)

// edge is an engine with what a test looks at.
type edge struct {
	*gin.Engine
	reg    *prometheus.Registry
	logs   *observer.ObservedLogs
	health *health.Health
}

func newEdge(t testing.TB, tracer trace.TracerProvider, change func(*httpx.Config)) edge {
	t.Helper()
	if tracer == nil {
		tracer = noop.NewTracerProvider()
	}
	cfg := httpx.Defaults()
	if change != nil {
		change(&cfg)
	}
	core, logs := observer.New(zap.DebugLevel)
	reg, h := prometheus.NewRegistry(), health.New(zap.NewNop())
	e, err := httpx.NewEngine(httpx.Options{
		Config: cfg, Log: zap.New(core), Tracer: tracer, Registry: reg, Health: h, OpenAPI: []byte(`{"openapi":"x"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return edge{e, reg, logs, h}
}

// do serves one request without a socket.
func (e edge) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// requests returns how many requests the metric has counted, by "method route status".
func (e edge) requests(t testing.TB) map[string]int {
	t.Helper()
	families, err := e.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, f := range families {
		if f.GetName() != "http_server_request_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			key := labels["http_request_method"] + " " + labels["http_route"] + " " + labels["http_response_status_code"]
			counts[key] = int(m.GetHistogram().GetSampleCount())
		}
	}
	return counts
}

// readProblem reads an answer that must be a problem as every caller may expect it.
func readProblem(t testing.TB, h http.Header, status int, body []byte) problem.Body {
	t.Helper()
	var p problem.Body
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("the body is no problem: %v: %s", err, body)
	}
	if got := h.Get("Content-Type"); got != problem.ContentType {
		t.Errorf("content type %q", got)
	}
	want := problem.Body{Type: "about:blank", Title: http.StatusText(status), Status: status, Instance: p.Instance, Code: p.Code,
		Detail: p.Detail, RequestID: h.Get("X-Request-ID"), TraceID: p.TraceID, Errors: p.Errors}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("problem (-want +got):\n%s", diff)
	}
	if p.Code == "" || p.Detail == "" || p.RequestID == "" || len(p.TraceID) != 32 || p.TraceID == strings.Repeat("0", 32) {
		t.Errorf("something is missing: %s", body)
	}
	for _, leak := range []string{"goroutine", "json:", "Go value", "secret", "SELECT", ".go"} {
		if strings.Contains(string(body), leak) {
			t.Errorf("the body shows %q: %s", leak, body)
		}
	}
	return p
}
