package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pgo/pkg/buildinfo"
	"pgo/pkg/metrics"
)

func TestRegistry(t *testing.T) {
	reg := metrics.NewRegistry(buildinfo.Info{Version: "v1", Commit: "abc", Go: "go1"})
	w := httptest.NewRecorder()
	metrics.Handler(reg).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{`pgo_build_info{commit="abc",go="go1",version="v1"} 1`, "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(w.Body.String(), "\n"+want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}

func TestDurationBucketsGrow(t *testing.T) {
	if !slices.IsSorted(metrics.DurationBuckets()) {
		t.Errorf("buckets are %v", metrics.DurationBuckets())
	}
}
