// Package tracing makes a program's tracer and carries the W3C trace context.
package tracing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"pgo/pkg/config"
)

// Config sets where spans go. Without an endpoint no span is made, and trace ids are still passed on.
type Config struct {
	Endpoint string  `config:"endpoint"` // the base URL of OTLP over HTTP, for example http://127.0.0.1:4318
	Ratio    float64 `config:"ratio"`    // share of the traces that begin here which are kept: 0..1
}

// Validate checks the section at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.Expect(cfg.Ratio >= 0 && cfg.Ratio <= 1, key+".ratio", "a number from 0 to 1")
}

// New returns the provider and the function that stops it, which sends the remaining spans until its context ends.
func New(ctx context.Context, cfg Config, service, version string) (trace.TracerProvider, func(context.Context) error, error) {
	if cfg.Endpoint == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	target, err := url.JoinPath(cfg.Endpoint, "v1/traces")
	if err != nil {
		return nil, nil, fmt.Errorf("read trace endpoint %s: %w", cfg.Endpoint, err)
	}
	exp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target))
	if err != nil {
		return nil, nil, fmt.Errorf("make trace exporter for %s: %w", cfg.Endpoint, err)
	}
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exp),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Ratio))),
		// Grafana's links see the tags of a process, among which Jaeger does not keep service.name.
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service", service), attribute.String("service.version", version))),
	)
	return tp, tp.Shutdown, nil
}

// Extract continues the caller's trace; without one, or with a broken one, it returns ctx.
func Extract(ctx context.Context, from propagation.TextMapCarrier) context.Context {
	return propagation.TraceContext{}.Extract(ctx, from)
}

// EnsureTraceID gives ctx the identity of an unsampled trace unless it has one, so that logs, problems and events
// have a trace id also where no span is made. Call it after starting a span, which decides about sampling.
func EnsureTraceID(ctx context.Context) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	var id trace.TraceID
	var span trace.SpanID
	fillRandom(id[:])
	fillRandom(span[:])
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, Remote: true}))
}

func fillRandom(b []byte) {
	for i := range b {
		b[i] = byte(rand.Uint32()) // unique is enough: an id is not a secret
	}
	b[0] |= 1 // never all zero, which is invalid
}
