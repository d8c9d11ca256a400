package serve_test

import (
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"pgo/pkg/health"
	"pgo/pkg/httpx"
)

// edge is an engine with its health.
type edge struct {
	*gin.Engine
	health *health.Health
}

func newEdge(t testing.TB) edge {
	t.Helper()
	h := health.New(zap.NewNop())
	e, err := httpx.NewEngine(httpx.Options{
		Config: httpx.Defaults(), Log: zap.NewNop(), Tracer: noop.NewTracerProvider(), Registry: prometheus.NewRegistry(), Health: h,
	})
	if err != nil {
		t.Fatal(err)
	}
	return edge{e, h}
}

// soon bounds every wait for something that should come at once.
func soon() <-chan time.Time { return time.After(30 * time.Second) }
