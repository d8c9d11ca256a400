package httpx

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pgo/pkg/logging"
	"pgo/pkg/metrics"
	"pgo/pkg/tracing"
)

// InternalPrefix begins the paths that services serve to each other beside their APIs. The gateway does not publish them.
const InternalPrefix = "/internal/"

const (
	requestIDKey = "pgo.request_id"
	userIDKey    = "pgo.user_id"
	cutOffKey    = "pgo.cut_off"
)

// wellFormedID matches the values of X-Request-ID that are accepted from a caller; any other could forge log lines.
var wellFormedID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// RequestID returns the id of the request, as in the log and in X-Request-ID.
func RequestID(c *gin.Context) string { return c.GetString(requestIDKey) }

// SetUserID names the caller for the access log.
func SetUserID(c *gin.Context, id string) { c.Set(userIDKey, id) }

// observer is one middleware for request id, trace, deadline, panics, access log and metrics. It costs less than half of a
// middleware for each.
type observer struct {
	log      *zap.Logger
	tracer   trace.Tracer
	untraced trace.Tracer
	duration *prometheus.HistogramVec
	active   prometheus.Gauge
	timeout  time.Duration
}

func newObserver(o Options) *observer {
	ob := &observer{
		log: o.Log, tracer: o.Tracer.Tracer("pgo/pkg/httpx"), untraced: noop.NewTracerProvider().Tracer(""), timeout: o.Config.RequestTimeout,
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_request_duration_seconds", Help: "How long requests took.", Buckets: metrics.DurationBuckets(),
		}, []string{"http_request_method", "http_route", "http_response_status_code"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_server_active_requests", Help: "Requests that are being answered."}),
	}
	o.Registry.MustRegister(ob.duration, ob.active)
	return ob
}

// answerPolicy is the Content-Security-Policy of answers that no browser is to show as a page.
const answerPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (o *observer) observe(c *gin.Context) {
	began := time.Now()
	id := c.GetHeader("X-Request-ID")
	if !wellFormedID.MatchString(id) {
		id = uuid.Must(uuid.NewV7()).String()
	}
	c.Set(requestIDKey, id)
	c.Header("X-Request-ID", id)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Content-Security-Policy", answerPolicy) // a page sets its own
	c.Header("Cache-Control", "no-store")             // a handler that allows more sets it again

	route := c.FullPath()
	if route == "" {
		route = "unmatched" // a bounded label, whatever paths are tried
	}
	method := boundedMethod(c.Request.Method)

	ctx, cancel := context.WithTimeout(c.Request.Context(), o.timeout)
	defer cancel()
	tracer := o.tracer
	if isPolled(route) {
		tracer = o.untraced
	}
	ctx, span := tracer.Start(tracing.Extract(ctx, propagation.HeaderCarrier(c.Request.Header)), method+" "+route, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	ctx = tracing.EnsureTraceID(ctx)
	ids := trace.SpanContextFromContext(ctx)
	log := o.log.With(zap.String("request_id", id), zap.String("trace_id", ids.TraceID().String()), zap.String("span_id", ids.SpanID().String()))
	c.Request = c.Request.WithContext(logging.WithLogger(ctx, log))

	isUsers := !isPolled(route) // a request that waits for news is not work in progress
	if isUsers {
		o.active.Inc()
	}
	o.runHandlers(c, log)
	if isUsers {
		o.active.Dec()
	}
	if c.GetBool(cutOffKey) {
		defer panic(http.ErrAbortHandler) // net/http's way to end a connection in the middle of an answer
	}

	status := c.Writer.Status()
	took := time.Since(began)
	o.observeDuration(ids, took, method, route, strconv.Itoa(status))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= 500 {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
	}
	level := zapcore.InfoLevel
	switch {
	case isProbe(route), isPolled(route) && status < 400:
		level = zapcore.DebugLevel
	case status >= 500:
		level = zapcore.ErrorLevel
	}
	if e := log.Check(level, "request"); e != nil {
		fields := []zap.Field{zap.String("method", method), zap.String("route", route), zap.Int("status", status), zap.Duration("duration", took), zap.Int("bytes", c.Writer.Size())}
		if user := c.GetString(userIDKey); user != "" {
			fields = append(fields, zap.String("user_id", user))
		}
		if last := c.Errors.Last(); last != nil {
			fields = append(fields, zap.Error(last.Err))
		}
		e.Write(fields...)
	}
}

// observeDuration records how long a request took, with its trace as an exemplar if the trace is sampled.
func (o *observer) observeDuration(ids trace.SpanContext, took time.Duration, labels ...string) {
	h := o.duration.WithLabelValues(labels...)
	if e, ok := h.(prometheus.ExemplarObserver); ok && ids.IsSampled() {
		e.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": ids.TraceID().String()})
		return
	}
	h.Observe(took.Seconds())
}

// runHandlers runs the handlers and turns a panic into a 500.
func (o *observer) runHandlers(c *gin.Context, log *zap.Logger) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
			c.Set(cutOffKey, true)
			return
		}
		log.Error("panic in a handler", zap.Any("panic", p), zap.String("stack", string(debug.Stack())))
		WriteProblem(c, fmt.Errorf("panic: %v", p))
	}()
	c.Next()
}

// isProbe reports whether the route is a health check, whose failures package health logs.
func isProbe(route string) bool {
	return route == "/livez" || route == "/readyz" || route == "/startupz"
}

// isPolled reports whether the route is requested all the time. Such requests are counted, each route for itself, but not
// logged or traced one by one.
func isPolled(route string) bool { return isProbe(route) || strings.HasPrefix(route, InternalPrefix) }

func boundedMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "_OTHER"
}
