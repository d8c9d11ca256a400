package httpx

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"pgo/pkg/health"
	"pgo/pkg/problem"
)

// Options are the parts of an engine.
type Options struct {
	Config   Config
	Log      *zap.Logger
	Tracer   trace.TracerProvider
	Registry prometheus.Registerer
	Health   *health.Health
	OpenAPI  []byte // served at /openapi.json; nil: not served
}

// NewEngine returns an engine with the rules and the routes that every service has. It answers unknown paths and methods,
// panics and errors with a problem. It returns an error if a trusted proxy is invalid.
func NewEngine(o Options) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode) // otherwise gin prints to stdout, between the lines of the log
	e := gin.New()
	if err := e.SetTrustedProxies(o.Config.TrustedProxies); err != nil {
		return nil, err
	}
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.ContextWithFallback = true // a *gin.Context is then the request's context
	e.Use(newObserver(o).observe, limitBody(int64(o.Config.MaxBody)))
	e.NoRoute(Handle(func(*gin.Context) error { return problem.NotFound() }))
	e.NoMethod(Handle(func(*gin.Context) error {
		return problem.New(problem.KindUnsupportedMethod, "method_not_allowed", "This resource does not take that method.")
	}))
	e.GET("/livez", gin.WrapH(o.Health.LivenessHandler()))
	e.GET("/readyz", gin.WrapH(o.Health.ReadinessHandler()))
	e.GET("/startupz", gin.WrapH(o.Health.StartupHandler()))
	if o.OpenAPI != nil {
		e.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", o.OpenAPI) })
	}
	return e, nil
}

// Handler is a Gin handler that returns its error instead of writing it.
type Handler func(c *gin.Context) error

// Handle adapts h to Gin: its error is answered as a problem.
func Handle(h Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			WriteProblem(c, err)
		}
	}
}
