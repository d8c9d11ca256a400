package mq

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"pgo/pkg/event"
)

const traceHeader = "traceparent"

func newTracer(tp trace.TracerProvider) trace.Tracer {
	if tp == nil {
		tp = noop.NewTracerProvider()
	}
	return tp.Tracer("pgo/pkg/mq")
}

// startPublishSpan begins the span of publishing m in the trace of its event, because a batch has events of many traces,
// otherwise in the trace of ctx. headers go along with the message.
func startPublishSpan(ctx context.Context, t trace.Tracer, m Publishing) (headers propagation.MapCarrier, span trace.Span) {
	ctx = event.ParseTrace(m.Body).WithTrace(ctx)
	span = noop.Span{}
	if trace.SpanContextFromContext(ctx).IsSampled() {
		ctx, span = t.Start(ctx, "publish "+m.exchangeName(), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			attribute.String("messaging.system", "rabbitmq"), attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.name", m.exchangeName()), attribute.String("messaging.message.id", m.MessageID),
			attribute.String("messaging.rabbitmq.destination.routing_key", m.RoutingKey)))
	}
	headers = propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	return headers, span
}

// startHandleSpan begins the span of handling d.
func startHandleSpan(ctx context.Context, t trace.Tracer, queue string, e event.Event, d amqp.Delivery) (context.Context, trace.Span) {
	ctx = withDeliveryTrace(ctx, e, d)
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, noop.Span{} // ctx keeps the trace's id for the log
	}
	return t.Start(ctx, "process "+queue, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("messaging.system", "rabbitmq"), attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", queue), attribute.String("messaging.message.id", e.ID),
		attribute.String("pgo.event.type", e.Type), attribute.Int("pgo.event.attempt", countAttempts(d)+1)))
}

// withDeliveryTrace returns ctx with the trace in which the event happened or, if the event names none, was published.
// Within one trace, the span of publishing is the parent.
func withDeliveryTrace(ctx context.Context, e event.Event, d amqp.Delivery) context.Context {
	header, _ := d.Headers[traceHeader].(string)
	published := propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceHeader: header})
	happened := e.WithTrace(ctx)
	own := trace.SpanContextFromContext(happened)
	if !own.IsValid() || own.TraceID() == trace.SpanContextFromContext(published).TraceID() {
		return published
	}
	return happened
}

// endSpan ends a span with its result.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
