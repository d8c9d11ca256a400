package gateway

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A process that drains answers 503 on connections that it has accepted; only a new connection reaches its successor.
func TestReadinessDuringReload(t *testing.T) {
	var generation atomic.Int64
	var accepted sync.Map // the generation that accepted a connection, by the client's address
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, _ := accepted.LoadOrStore(r.RemoteAddr, generation.Load())
		if by != generation.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(service.Close)
	g := startOptions(t, Options{Upstreams: map[string]Upstream{"user": {Servers: []string{strings.TrimPrefix(service.URL, "http://")}}}})
	for range 50 {
		for range 4 { // both workers of nginx keep connections
			call(t, "GET", g.http+"/api/v1/users/me", "", nil)
			call(t, "GET", g.http+"/services/user/readyz", "", nil)
		}
		generation.Add(1)
		if a := call(t, "GET", g.http+"/services/user/readyz", "", nil); a.status != 200 {
			t.Fatalf("after reload %d: %d", generation.Load(), a.status)
		}
	}
}

// A process may begin to drain after it has accepted a connection and before it answers.
func TestReadinessOfProcessThatDrainsAtThatMoment(t *testing.T) {
	var calls atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(service.Close)
	g := startOptions(t, Options{Upstreams: map[string]Upstream{"user": {Servers: []string{strings.TrimPrefix(service.URL, "http://")}}}})
	if a := call(t, "GET", g.http+"/services/user/readyz", "", nil); a.status != 200 || calls.Load() != 2 {
		t.Errorf("%d after %d calls", a.status, calls.Load())
	}
}

// A service that is not ready says so itself, with its body.
func TestReadinessOfServiceThatIsNotReady(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not ready: mysql", http.StatusServiceUnavailable)
	}))
	t.Cleanup(service.Close)
	g := startOptions(t, Options{Upstreams: map[string]Upstream{"user": {Servers: []string{strings.TrimPrefix(service.URL, "http://")}}}})
	if a := call(t, "GET", g.http+"/services/user/readyz", "", nil); a.status != 503 || !strings.Contains(string(a.body), "not ready: mysql") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Invite codes are in paths. No log has one, whatever happens to the request.
func TestLogHasNoInviteCode(t *testing.T) {
	const code = "kQ7secretcode0123456789"
	breaks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accept") {
			panic(http.ErrAbortHandler) // nginx logs an error with the request
		}
	}))
	t.Cleanup(breaks.Close)
	limits := DefaultLimits()
	limits.Rate, limits.Burst = "1r/m", 6
	g := startOptions(t, Options{Limits: limits, Upstreams: map[string]Upstream{"school": {Servers: []string{strings.TrimPrefix(breaks.URL, "http://")}}}})
	for _, path := range []string{"/api/v1/invites/", "/api/v1//invites/", "/api/v1/./invites/", "/api/v1/Invites/"} {
		call(t, "DELETE", g.http+path+code, "", nil)
		call(t, "POST", g.http+path+code+"/accept", "", nil)
	}
	log, err := os.ReadFile(filepath.Join(g.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "/api/v1/invites/-/accept") {
		t.Errorf("the log has no line of the call:\n%s", log)
	}
	if strings.Contains(string(log), code) {
		t.Errorf("the log has the code:\n%s", log)
	}
}
