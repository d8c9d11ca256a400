// Package web is what bootcheck serves: its own state, and one Swagger UI over all services' specifications.
package web

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"pgo/bootcheck/binary"
	"pgo/bootcheck/gate"
	"pgo/pkg/buildinfo"
	"pgo/pkg/httpx"
	"pgo/pkg/metrics"
)

// Options is what the pages are made of.
type Options struct {
	Build      buildinfo.Info
	Status     *gate.Status
	Registry   *prometheus.Registry
	Binaries   []binary.Binary
	GatewayURL *url.URL // where the services' API is for a browser
}

// Routes adds /status, /metrics and /swagger/ to e.
func Routes(e *gin.Engine, o Options) {
	e.GET("/status", func(c *gin.Context) {
		c.JSON(http.StatusOK, statusBody{Build: o.Build, Snapshot: o.Status.Snapshot()})
	})
	e.GET("/metrics", gin.WrapH(metrics.Handler(o.Registry)))

	s := &swagger{gateway: o.GatewayURL, specs: newSpecs(o.Binaries), names: names(o.Binaries), assets: newAssets()}
	e.GET("/swagger", func(c *gin.Context) { c.Redirect(http.StatusMovedPermanently, "/swagger/") })
	e.GET("/swagger/*file", httpx.Handle(s.serve))
}

// statusBody is the whole of /status.
type statusBody struct {
	Build buildinfo.Info `json:"build"`
	gate.Snapshot
}

func names(bs []binary.Binary) []string {
	out := make([]string, 0, len(bs))
	for _, b := range bs {
		out = append(out, b.Service)
	}
	return out
}
