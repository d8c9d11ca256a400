// Package web serves bootcheck's state, its metrics and a Swagger UI for the specifications of all services.
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

// Options holds the data of the pages.
type Options struct {
	Build      buildinfo.Info
	Status     *gate.Status
	Registry   *prometheus.Registry
	Binaries   []binary.Binary
	GatewayURL *url.URL // the services' API as a browser reaches it
}

// AddRoutes adds /status, /metrics and /swagger/ to e.
func AddRoutes(e *gin.Engine, o Options) {
	e.GET("/status", func(c *gin.Context) {
		c.JSON(http.StatusOK, statusBody{Build: o.Build, Snapshot: o.Status.Snapshot()})
	})
	e.GET("/metrics", gin.WrapH(metrics.Handler(o.Registry)))

	s := &swagger{gateway: o.GatewayURL, specs: newSpecs(o.Binaries), names: serviceNames(o.Binaries), assets: newAssets()}
	e.GET("/swagger", func(c *gin.Context) { c.Redirect(http.StatusMovedPermanently, "/swagger/") })
	e.GET("/swagger/*file", httpx.Handle(s.serve))
}

// statusBody is the response of /status.
type statusBody struct {
	Build buildinfo.Info `json:"build"`
	gate.Snapshot
}

func serviceNames(bs []binary.Binary) []string {
	out := make([]string, 0, len(bs))
	for _, b := range bs {
		out = append(out, b.Service)
	}
	return out
}
