package serve_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"pgo/pkg/buildinfo"
	"pgo/pkg/config"
	"pgo/pkg/logging"
	"pgo/pkg/metrics"
	"pgo/pkg/serve"
)

func TestAdminHandler(t *testing.T) {
	var out bytes.Buffer
	log, err := logging.New(&out, logging.Config{Level: "info"}, logging.Identity{Service: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var current any = struct{ Password config.Secret }{"hunter2hunter2"}
	h := serve.NewAdminHandler(metrics.NewRegistry(buildinfo.Read(0)), log, func() any { return current })
	do := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	for _, tc := range []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"GET", "/metrics", "", 200, "go_goroutines"},
		{"GET", "/loglevel", "", 200, `"level":"info"`},
		{"PUT", "/loglevel", `{"level":"debug"}`, 200, `"level":"debug"`},
		{"PUT", "/loglevel", `{"level":"loud"}`, 400, ""},
		{"GET", "/loglevel", "", 200, `"level":"debug"`},
		{"GET", "/config", "", 200, `"Password": "***"`},
		{"POST", "/config", "", 405, ""},
		{"GET", "/debug/pprof/", "", 200, "goroutine"},
		{"GET", "/debug/pprof/heap?debug=1", "", 200, "heap profile"},
		{"GET", "/", "", 404, ""},
	} {
		w := do(tc.method, tc.path, tc.body)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.contains) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s shows a secret", tc.path)
		}
	}
	if !json.Valid(do("GET", "/config", "").Body.Bytes()) {
		t.Error("/config is not JSON")
	}
	log.Debug("now shown")
	if !strings.Contains(out.String(), "now shown") {
		t.Error("the level did not change")
	}
	current = make(chan int)
	if w := do("GET", "/config", ""); w.Code != 500 {
		t.Errorf("a configuration that cannot be shown: %d %s", w.Code, w.Body)
	}
}
