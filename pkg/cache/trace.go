package cache

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// AddTracing makes each command of client that is part of a sampled trace a span with the command's name, never its keys or
// values. A command outside of a trace, such as a health check, makes no span.
func AddTracing(client *redis.Client, tp trace.TracerProvider) {
	client.AddHook(tracingHook{tp.Tracer("pgo/pkg/cache")})
}

// tracingHook replaces the library's hook, which cannot look at the context before it begins a trace.
type tracingHook struct{ tracer trace.Tracer }

// DialHook implements redis.Hook.
func (tracingHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (h tracingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !trace.SpanFromContext(ctx).IsRecording() {
			return next(ctx, cmd)
		}
		ctx, span := h.startSpan(ctx, cmd.FullName())
		defer span.End()
		return recordError(span, next(ctx, cmd))
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h tracingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !trace.SpanFromContext(ctx).IsRecording() {
			return next(ctx, cmds)
		}
		ctx, span := h.startSpan(ctx, "pipeline", attribute.Int("db.operation.batch.size", len(cmds)))
		defer span.End()
		return recordError(span, next(ctx, cmds))
	}
}

func (h tracingHook) startSpan(ctx context.Context, command string, more ...attribute.KeyValue) (context.Context, trace.Span) {
	return h.tracer.Start(ctx, "redis "+command, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(append(more,
		attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", command))...))
}

// recordError marks the span as failed. A missing key is an answer, not a failure.
func recordError(span trace.Span, err error) error {
	if err != nil && !errors.Is(err, redis.Nil) {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}
