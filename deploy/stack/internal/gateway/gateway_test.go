package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
)

func TestGatewayRoutes(t *testing.T) {
	gateway := startGateway(t)
	tests := []struct {
		method, path string
		status       int
		from         string // the service, "" is the gateway itself
		servicePath  string // the path that the service received
		code         string // of the gateway's own problem document
	}{
		{"GET", "/", 200, "", "", ""},
		{"GET", "/page.js", 200, "", "", ""},
		{"GET", "/page.css", 200, "", "", ""},
		{"GET", "/icon.svg", 200, "", "", ""},
		{"POST", "/", 405, "", "", "method_not_allowed"},
		{"GET", "/gateway/livez", 200, "", "", ""},
		{"GET", "/api/v1/users/me?x=%2F1", 200, "user", "/api/v1/users/me?x=%2F1", ""},
		{"PATCH", "/api/v1/users/a%2Fb", 200, "user", "/api/v1/users/a%2Fb", ""},
		{"GET", "/api/v1/users", 200, "user", "/api/v1/users", ""},
		{"POST", "/api/v1/auth/login", 200, "user", "/api/v1/auth/login", ""},
		{"GET", "/api/v1/usersandmore", 404, "", "", "not_found"},
		{"GET", "/api/v1/schools?limit=1", 200, "school", "/api/v1/schools?limit=1", ""},
		{"POST", "/api/v1/schools/1/classes", 200, "school", "/api/v1/schools/1/classes", ""},
		{"POST", "/api/v1/invites/a-b_c/accept", 200, "school", "/api/v1/invites/a-b_c/accept", ""},
		{"PUT", "/api/v1/classes/1/members/2", 200, "school", "/api/v1/classes/1/members/2", ""},
		{"GET", "/api/v1/tasks", 200, "task", "/api/v1/tasks", ""},
		{"GET", "/api/v1/tasks/1/grades.csv", 200, "task", "/api/v1/tasks/1/grades.csv", ""},
		{"GET", "/api/v1/tasksandmore", 404, "", "", "not_found"},
		{"GET", "/api/v1/schools.json", 404, "", "", "not_found"},
		{"GET", "/internal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "/api/v1/internal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "/api/internal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "/services/user/internal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "//internal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "/api/v1/users/../../../internal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "/api/v1/users/%2e%2e/%2e%2e/%2e%2e/internal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "/api/v1/users/..%2f..%2f..%2finternal/ended-sessions", 404, "", "", "not_found"},
		{"GET", "/api/v2/users", 404, "", "", "not_found"},
		{"GET", "/.well-known/jwks.json", 200, "user", "/.well-known/jwks.json", ""},
		{"GET", "/swagger", 308, "", "", ""},
		{"GET", "/swagger/index.html", 200, "bootcheck", "/swagger/index.html", ""},
		{"GET", "/services/user/readyz", 200, "user", "/readyz", ""},
		{"GET", "/services/user/openapi.json", 200, "user", "/openapi.json", ""},
		{"GET", "/services/school/readyz", 200, "school", "/readyz", ""},
		{"GET", "/services/school/openapi.json", 200, "school", "/openapi.json", ""},
		{"GET", "/services/task/readyz", 200, "task", "/readyz", ""},
		{"GET", "/services/task/openapi.json", 200, "task", "/openapi.json", ""},
		{"GET", "/services/task/startupz", 404, "", "", "not_found"},
		{"GET", "/services/other/readyz", 404, "", "", "not_found"},
		{"GET", "/services/user/metrics", 404, "", "", "not_found"},
		{"GET", "/services/bootcheck/readyz", 200, "bootcheck", "/readyz", ""},
		{"GET", "/services/bootcheck/status", 200, "bootcheck", "/status", ""},
		{"GET", "/metrics", 404, "", "", "not_found"},
		{"GET", "/stub_status", 404, "", "", "not_found"},
		{"GET", "/internal/ended-sessions?since=2026-01-02T03:04:05Z", 404, "", "", "not_found"},
		{"GET", "/debug/pprof/", 404, "", "", "not_found"},
		{"GET", "/readyz", 404, "", "", "not_found"},
		{"GET", "/index.html.bak", 404, "", "", "not_found"},
		{"GET", "/.git/config", 404, "", "", "not_found"},
		{"TRACE", "/api/v1/users/me", 405, "", "", "method_not_allowed"},
		{"GET", "/..%2f..%2fgo.work", 400, "", "", "bad_request"},
		{"GET", "/" + strings.Repeat("a", 9000), 414, "", "", "uri_too_long"},
	}
	for _, tc := range tests {
		t.Run(tc.method+" "+tc.path[:min(len(tc.path), 40)], func(t *testing.T) {
			a := call(t, tc.method, gateway+tc.path, "", nil)
			if a.status != tc.status || a.header.Get("X-From") != tc.from || a.header.Get("X-Saw") != tc.servicePath {
				t.Errorf("%d from %q, which received %q", a.status, a.header.Get("X-From"), a.header.Get("X-Saw"))
			}
			if tc.code != "" {
				assertProblem(t, a, tc.status, tc.code)
			}
			if got := a.header.Get("Server"); got != "nginx" {
				t.Errorf("Server: %s", got)
			}
		})
	}
}

func TestGatewayHeaders(t *testing.T) {
	gateway := startGateway(t)
	tests := []struct {
		name, header, sent string
		want               func(got string) bool
	}{
		{"a request id is kept", "X-Request-Id", "abc-1.2_3", func(s string) bool { return s == "abc-1.2_3" }},
		{"an invalid request id is replaced", "X-Request-Id", `a"b`, func(s string) bool { return len(s) == 32 }},
		{"a long request id is replaced", "X-Request-Id", strings.Repeat("a", 65), func(s string) bool { return len(s) == 32 }},
		{"a missing request id is generated", "X-Request-Id", "", func(s string) bool { return len(s) == 32 }},
		{"a client's X-Forwarded-For is dropped", "X-Forwarded-For", "6.6.6.6", func(s string) bool { return s == "127.0.0.1" }},
		{"so is its Forwarded", "Forwarded", "for=6.6.6.6", func(s string) bool { return s == "" }},
		{"so is its X-Real-IP", "X-Real-Ip", "6.6.6.6", func(s string) bool { return s == "" }},
		{"a trace is passed on", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", func(s string) bool { return strings.Contains(s, "0af7651916cd43dd8448eb211c80319c") }},
		{"authorization is passed on", "Authorization", "Bearer x", func(s string) bool { return s == "Bearer x" }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			header := http.Header{}
			if tc.sent != "" {
				header.Set(tc.header, tc.sent)
			}
			a := call(t, "GET", gateway+"/api/v1/users/me", "", header)
			var seen http.Header
			if err := json.Unmarshal(a.body, &seen); err != nil {
				t.Fatal(err)
			}
			if !tc.want(seen.Get(tc.header)) {
				t.Errorf("the service received %q", seen.Get(tc.header))
			}
		})
	}
}

func TestGatewayBodies(t *testing.T) {
	gateway := startGateway(t)
	a := call(t, "POST", gateway+"/api/v1/auth/login", strings.Repeat("x", 1<<20+1), nil)
	if a.header.Get("X-From") != "user" {
		t.Errorf("a body just over the services' limit: %d, not answered by them", a.status)
	}
	a = call(t, "POST", gateway+"/api/v1/auth/login", strings.Repeat("x", 3<<20), nil)
	assertProblem(t, a, 413, "body_too_large")
}

func TestGatewayWithoutItsServices(t *testing.T) {
	gateway := startNginx(t, func(string) string { return "127.0.0.1:1" })
	header := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "X-Request-Id": {"abc"}}
	a := call(t, "POST", gateway+`/api/v1/auth/login`, "{}", header)
	p := assertProblem(t, a, 502, "bad_gateway")
	if p["trace_id"] != "0af7651916cd43dd8448eb211c80319c" || p["request_id"] != "abc" || p["instance"] != "/api/v1/auth/login" {
		t.Errorf("problem %v", p)
	}
	// The problem document contains the path as JSON.
	a = call(t, "GET", gateway+`/api/v1/users/%22,%22x`, "", nil)
	assertProblem(t, a, 502, "bad_gateway")
}

func TestWriteNativeConfigNamesMissingValues(t *testing.T) {
	co := checkout.Checkout{Root: repositoryRoot(t), Home: t.TempDir()}
	if err := co.MakeHome(); err != nil {
		t.Fatal(err)
	}
	if err := WriteNativeConfig(co, map[string]string{"GATEWAY_HTTP": "127.0.0.1:1", "GATEWAY_STATUS": "127.0.0.1:1", "BOOTCHECK_HTTP": "127.0.0.1:1", "USER_HTTP": "127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "SCHOOL_HTTP") {
		t.Errorf("error %v", err)
	}
	co.Home = filepath.Join(t.TempDir(), `a"b`)
	if err := WriteNativeConfig(co, nil); err == nil {
		t.Error("a path that breaks out of its quotes was accepted")
	}
}

// startGateway runs nginx in front of services that answer with the requests they received.
func startGateway(t *testing.T) string {
	t.Helper()
	service := func(name string) string {
		s := httptest.NewServer(echoRequest(name))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	return startNginx(t, service)
}

// echoRequest answers with the request it received.
func echoRequest(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-From", name)
		w.Header().Set("X-Saw", r.RequestURI)
		_ = json.NewEncoder(w).Encode(r.Header)
	})
}

// startNginx runs nginx in front of services; addr returns each service's address.
func startNginx(t *testing.T, addr func(service string) string) string {
	t.Helper()
	ports, err := localserver.FindFreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("127.0.0.1:%d", ports[0])
	env := map[string]string{"GATEWAY_HTTP": own, "GATEWAY_STATUS": fmt.Sprintf("127.0.0.1:%d", ports[1]), "BOOTCHECK_HTTP": addr("bootcheck")}
	for _, s := range checkout.Services() {
		env[s.AddressKey()] = addr(s.Name)
	}
	co := checkout.Checkout{Root: repositoryRoot(t), Home: filepath.Join(t.TempDir(), "a home")}
	if err := co.MakeHome(); err != nil {
		t.Fatal(err)
	}
	if err := WriteNativeConfig(co, env); err != nil {
		t.Fatal(err)
	}
	command, err := NewCommand(context.Background(), co, localserver.HostPrograms())
	if err != nil {
		t.Fatal(err)
	}
	log := co.Path("logs", "gateway.log")
	p, err := localserver.Start(command, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(syscall.SIGQUIT, 20*time.Second)
		out, _ := os.ReadFile(log)
		assertLog(t, string(out))
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		res, err := http.Get("http://" + own + "/gateway/livez")
		if err == nil {
			res.Body.Close()
			return "http://" + own
		}
		if time.Now().After(deadline) {
			out, _ := os.ReadFile(log)
			t.Fatalf("nginx does not answer: %v\n%s", err, out)
		}
	}
}

// assertLog checks that every line of the access log is JSON without a query.
func assertLog(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "{") {
			continue // nginx's own messages
		}
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("a log line is not JSON: %v: %s", err, line)
		}
		if strings.Contains(fmt.Sprint(entry["path"]), "?") {
			t.Errorf("a query is in the log: %s", line)
		}
	}
}

func assertProblem(t *testing.T, a response, status int, code string) map[string]any {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%d is not JSON: %v: %s", a.status, err, a.body)
	}
	if a.status != status || p["status"] != float64(status) || p["code"] != code ||
		a.header.Get("Content-Type") != "application/problem+json" || p["request_id"] != a.header.Get("X-Request-ID") {
		t.Errorf("%d %s %s, want %d %s", a.status, a.header.Get("Content-Type"), a.body, status, code)
	}
	if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", a.header)
	}
	return p
}

// response is a response with its whole body.
type response struct {
	status int
	header http.Header
	body   []byte
}

func call(t *testing.T, method, url, body string, header http.Header) response {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, out}
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}
