package httpx_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"

	"pgo/pkg/httpx"
	"pgo/pkg/logging"
)

func TestRequestID(t *testing.T) {
	e := newEdge(t, nil, nil)
	e.GET("/x", func(c *gin.Context) { c.String(http.StatusOK, httpx.RequestID(c)) })
	for _, tc := range []struct {
		name, id string
		taken    bool
	}{
		{"ours", "01900000-0000-7000-8000-00000000000a", true},
		{"another form", "req_1.A-b", true},
		{"none", "", false},
		{"too long", strings.Repeat("a", 65), false},
		{"a line break", "a\nlevel=error", false},
		{"a quote", `a"b`, false},
		{"a space", "a b", false},
		{"markup", "<script>", false},
		{"not ASCII", "é", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := e.do(http.MethodGet, "/x", "", "X-Request-ID", tc.id)
			got := w.Header().Get("X-Request-ID")
			if got != w.Body.String() {
				t.Errorf("the handler sees %q, the caller %q", w.Body, got)
			}
			if tc.taken {
				if got != tc.id {
					t.Errorf("got %q", got)
				}
				return
			}
			if id, err := uuid.Parse(got); err != nil || id.Version() != 7 {
				t.Errorf("got %q, want a new UUIDv7", got)
			}
		})
	}
}

func TestTraceIsContinued(t *testing.T) {
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, tc := range []struct {
		name, header string
		continued    bool
	}{
		{"sampled", "00-" + traceID + "-" + parent + "-01", true},
		{"not sampled", "00-" + traceID + "-" + parent + "-00", true},
		{"none", "", false},
		{"broken", "00-zz-" + parent + "-01", false},
		{"all zero", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newEdge(t, nil, nil).do(http.MethodGet, "/nothing", "", "traceparent", tc.header)
			p := readProblem(t, w.Header(), 404, w.Body.Bytes())
			if (p.TraceID == traceID) != tc.continued {
				t.Errorf("trace id %s", p.TraceID)
			}
		})
	}
	t.Run("spans", func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		e := newEdge(t, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), nil)
		e.GET("/things/:id", httpx.Handle(func(*gin.Context) error { return errors.New("x") }))
		w := e.do(http.MethodGet, "/things/7", "", "traceparent", "00-"+traceID+"-"+parent+"-01")
		readProblem(t, w.Header(), 500, w.Body.Bytes())
		ended := spans.Ended()
		if len(ended) != 1 {
			t.Fatalf("%d spans", len(ended))
		}
		s := ended[0]
		if s.Name() != "GET /things/:id" || s.Parent().SpanID().String() != parent || s.SpanContext().TraceID().String() != traceID || s.Status().Code != codes.Error {
			t.Errorf("span %s, parent %s, trace %s, status %v", s.Name(), s.Parent().SpanID(), s.SpanContext().TraceID(), s.Status())
		}
		line := e.logs.FilterMessage("request").All()[0].ContextMap()
		if line["trace_id"] != traceID || line["span_id"] != s.SpanContext().SpanID().String() {
			t.Errorf("log line %v", line)
		}
	})
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	e := newEdge(t, nil, nil)
	e.GET("/things/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for i := range 50 {
		e.do(http.MethodGet, fmt.Sprintf("/things/%d?x=%d", i, i), "")
		e.do(http.MethodGet, fmt.Sprintf("/wp-admin/%d", i), "")
		e.do(fmt.Sprintf("BREW%d", i), "/things/1", "")
	}
	want := map[string]int{"GET /things/:id 204": 50, "GET unmatched 404": 50, "_OTHER unmatched 405": 50}
	if diff := cmp.Diff(want, e.requests(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAccessLog(t *testing.T) {
	e := newEdge(t, nil, nil)
	e.GET("/things/:id", func(c *gin.Context) {
		httpx.SetUserID(c, "u1")
		logging.FromContext(c, zap.NewNop()).Info("inside")
		c.String(http.StatusOK, "four")
	})
	w := e.do(http.MethodGet, "/things/7?token=hidden", "", "X-Request-ID", "r1")
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("headers %v", w.Header())
	}
	lines := e.logs.All()
	if len(lines) != 2 || lines[0].Message != "inside" || lines[0].ContextMap()["request_id"] != "r1" {
		t.Fatalf("lines %v", lines)
	}
	got := lines[1].ContextMap()
	for k, want := range map[string]any{"method": "GET", "route": "/things/:id", "status": int64(200), "bytes": int64(4), "user_id": "u1", "request_id": "r1"} {
		if got[k] != want {
			t.Errorf("%s is %v, want %v", k, got[k], want)
		}
	}
	if strings.Contains(fmt.Sprint(got), "hidden") {
		t.Errorf("the log shows the query: %v", got)
	}
}

// TestPolledRoutesAreCountedButNotLogged asks as another service does, four times a second.
func TestPolledRoutesAreCountedButNotLogged(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	e := newEdge(t, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), nil)
	e.GET(httpx.InternalPrefix+"list", httpx.Handle(func(c *gin.Context) error {
		if c.Query("bad") != "" {
			return errors.New("x")
		}
		c.Status(http.StatusNoContent)
		return nil
	}))
	for range 10 {
		e.do(http.MethodGet, "/internal/list", "")
		e.do(http.MethodGet, "/readyz", "")
	}
	if n := e.logs.FilterLevelExact(zap.InfoLevel).Len(); n != 0 || len(spans.Ended()) != 0 {
		t.Errorf("%d lines at info and %d spans", n, len(spans.Ended()))
	}
	e.do(http.MethodGet, "/internal/list?bad=1", "")
	if n := e.logs.FilterLevelExact(zap.ErrorLevel).Len(); n != 1 {
		t.Errorf("%d lines about a failure, want one", n)
	}
	e.do(http.MethodGet, "/internal/nothing", "")
	want := map[string]int{"GET /internal/list 204": 10, "GET /internal/list 500": 1, "GET /readyz 200": 10, "GET unmatched 404": 1}
	if diff := cmp.Diff(want, e.requests(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryServiceAnswers(t *testing.T) {
	e := newEdge(t, nil, nil)
	for path, want := range map[string]string{
		"/livez": `{"status":"alive"}`, "/readyz": `{"status":"ready"}`, "/startupz": `{"status":"started"}`, "/openapi.json": `{"openapi":"x"}`,
	} {
		if w := e.do(http.MethodGet, path, ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if n := e.logs.FilterMessage("request").FilterLevelExact(zap.InfoLevel).Len(); n != 1 {
		t.Errorf("%d lines at info, want one: what is asked for ever is not logged", n)
	}
}

func TestForwardedAddressIsTrustedFromProxiesOnly(t *testing.T) {
	e := newEdge(t, nil, func(c *httpx.Config) { c.TrustedProxies = []string{"10.0.0.0/8"} })
	e.GET("/ip", func(c *gin.Context) { c.String(http.StatusOK, c.ClientIP()) })
	for from, want := range map[string]string{"10.1.2.3:4": "203.0.113.7", "192.0.2.1:4": "192.0.2.1"} {
		r := httptest.NewRequest(http.MethodGet, "/ip", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Body.String() != want {
			t.Errorf("from %s: %s, want %s", from, w.Body, want)
		}
	}
	if _, err := httpx.NewEngine(httpx.Options{Config: httpx.Config{TrustedProxies: []string{"gateway"}}, Registry: prometheus.NewRegistry()}); err == nil {
		t.Error("a proxy that is not an address is accepted")
	}
}
