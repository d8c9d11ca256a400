package tracing_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"pgo/pkg/tracing"
)

func TestEnsureTraceID(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, tc := range []struct {
		name, header string
		continued    bool
	}{
		{"continues the caller's", parent, true},
		{"begins one", "", false},
		{"refuses a broken one", "00-zzzz-1-1", false},
		{"refuses zeros", "00-00000000000000000000000000000000-0000000000000000-01", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := tracing.EnsureTraceID(tracing.Extract(context.Background(), propagation.MapCarrier{"traceparent": tc.header}))
			got := trace.SpanContextFromContext(ctx)
			if (got.TraceID().String() == parent[3:35]) != tc.continued || !got.IsValid() {
				t.Errorf("got %v", got.TraceID())
			}
		})
	}
}

func TestSpansReachTheEndpoint(t *testing.T) {
	received := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received <- r.URL.Path }))
	defer srv.Close()
	tp, stop, err := tracing.New(context.Background(), tracing.Config{Endpoint: srv.URL, Ratio: 1}, "user", "v1")
	if err != nil {
		t.Fatal(err)
	}
	_, span := tp.Tracer("test").Start(context.Background(), "x")
	span.End()
	if err := stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if path := <-received; path != "/v1/traces" {
		t.Errorf("sent to %s", path)
	}
}

func TestWithoutAnEndpointNothingIsRecorded(t *testing.T) {
	tp, stop, err := tracing.New(context.Background(), tracing.Config{}, "user", "v1")
	if err != nil {
		t.Fatal(err)
	}
	_, span := tp.Tracer("test").Start(context.Background(), "x")
	if span.IsRecording() {
		t.Error("a span is recorded")
	}
	if err := stop(context.Background()); err != nil {
		t.Error(err)
	}
}
