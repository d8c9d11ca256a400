package httpx_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func TestRequestsUnderWayAreCounted(t *testing.T) {
	e := newEdge(t, nil, nil)
	metric := func(n string) string {
		return "# HELP http_server_active_requests Requests that are being answered.\n# TYPE http_server_active_requests gauge\nhttp_server_active_requests " + n + "\n"
	}
	look := func(n string) {
		if err := testutil.GatherAndCompare(e.reg, strings.NewReader(metric(n)), "http_server_active_requests"); err != nil {
			t.Error(err)
		}
	}
	e.GET("/x", func(*gin.Context) { look("1") })
	e.GET("/panic", func(*gin.Context) { panic("x") })
	e.do(http.MethodGet, "/x", "")
	e.do(http.MethodGet, "/panic", "")
	look("0")
}

// An exemplar leads to a trace, so there is one only where the trace is kept.
func TestExemplars(t *testing.T) {
	const sampled = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"
	for _, tc := range []struct {
		name, traceparent string
		want              string
	}{
		{"a trace that is kept", sampled, "0102030405060708090a0b0c0d0e0f10"},
		{"a trace that is not", strings.TrimSuffix(sampled, "1") + "0", ""},
		{"no trace", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEdge(t, sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample()))), nil)
			e.GET("/x", func(c *gin.Context) { c.Status(http.StatusNoContent) })
			e.do(http.MethodGet, "/x", "", "traceparent", tc.traceparent)
			families, err := e.reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range families {
				for _, m := range f.GetMetric() {
					for _, b := range m.GetHistogram().GetBucket() {
						for _, l := range b.GetExemplar().GetLabel() {
							got += l.GetValue()
						}
					}
				}
			}
			if got != tc.want {
				t.Errorf("the exemplar is %q, want %q", got, tc.want)
			}
		})
	}
}
