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

// Options is what an engine is made of.
type Options struct {
	Config   Config
	Log      *zap.Logger
	Tracer   trace.TracerProvider
	Registry prometheus.Registerer
	Health   *health.Health
	OpenAPI  []byte // served at /openapi.json; nil: not served
}

// NewEngine returns an engine with the rules every service keeps and the routes every service has. Unknown
// paths and methods, panics and errors are answered with a problem. The error is a bad trusted proxy.
func NewEngine(o Options) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode) // else gin prints to stdout, where the log is
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

// Handler is a Gin handler that returns what went wrong instead of writing it.
type Handler func(c *gin.Context) error

// Handle adapts h: its error is answered as a problem.
func Handle(h Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			WriteProblem(c, err)
		}
	}
}
