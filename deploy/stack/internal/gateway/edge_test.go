package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/stack/internal/certs"
	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
)

func TestBalance(t *testing.T) {
	tests := []struct {
		name    string
		params  [3]string // after each server's address
		balance string
		want    func(counts map[string]int) bool // of 60 calls
	}{
		{"round robin", [3]string{}, "", func(n map[string]int) bool { return n["a"] == 20 && n["b"] == 20 && n["c"] == 20 }},
		{"by weight", [3]string{" weight=3", "", " weight=2"}, "", func(n map[string]int) bool { return n["a"] == 30 && n["b"] == 10 && n["c"] == 20 }},
		{"a server that is down is left out", [3]string{"", " down", ""}, "", func(n map[string]int) bool { return n["a"] == 30 && n["c"] == 30 }},
		{"by address", [3]string{}, "ip_hash", func(n map[string]int) bool { return len(n) == 1 }},
		{"to the least busy", [3]string{}, "least_conn", func(n map[string]int) bool { return n["a"]+n["b"]+n["c"] == 60 && len(n) == 3 }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			u := Upstream{Balance: tc.balance}
			for i, name := range []string{"a", "b", "c"} {
				u.Servers = append(u.Servers, startBackend(t, name)+tc.params[i])
			}
			g := startOptions(t, Options{Upstreams: map[string]Upstream{"user": u}})
			counts := map[string]int{}
			for range 60 {
				counts[call(t, "GET", g.http+"/api/v1/users/me", "", nil).header.Get("X-From")]++
			}
			if !tc.want(counts) {
				t.Errorf("calls went to %v", counts)
			}
		})
	}
}

func TestUnavailableServerFailsNoRequest(t *testing.T) {
	g := startOptions(t, Options{Upstreams: map[string]Upstream{"user": {Servers: []string{startBackend(t, "a"), "127.0.0.1:1"}}}})
	for i := range 20 {
		if a := call(t, "POST", g.http+"/api/v1/auth/login", "{}", nil); a.status != 200 {
			t.Fatalf("call %d: %d", i, a.status)
		}
	}
}

// A request that a service may have started is sent again only if repeating it does no harm.
func TestRetry(t *testing.T) {
	tests := []struct {
		method string
		calls  int64
	}{{"GET", 2}, {"PUT", 2}, {"DELETE", 2}, {"POST", 1}, {"PATCH", 1}}
	for _, tc := range tests {
		t.Run(tc.method, func(t *testing.T) {
			var calls atomic.Int64
			dies := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				calls.Add(1)
				panic(http.ErrAbortHandler) // the connection ends without an answer
			}))
			t.Cleanup(dies.Close)
			g := startOptions(t, Options{Upstreams: map[string]Upstream{"user": {Servers: []string{strings.TrimPrefix(dies.URL, "http://")}}}})
			a := call(t, tc.method, g.http+"/api/v1/users/me", "", nil)
			assertProblem(t, a, 502, "bad_gateway")
			if calls.Load() != tc.calls {
				t.Errorf("the service was called %d times, want %d", calls.Load(), tc.calls)
			}
		})
	}
}

func TestBadUpstreams(t *testing.T) {
	for name, u := range map[string]Upstream{
		"no server":         {},
		"an empty server":   {Servers: []string{" "}},
		"a strange balance": {Servers: []string{"a:1"}, Balance: "random"},
		"a directive":       {Servers: []string{"a:1; return 200"}},
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := u.serverLines(); err == nil {
				t.Errorf("it was accepted: %s", text)
			}
		})
	}
}

func TestRateLimit(t *testing.T) {
	g := startOptions(t, Options{Limits: Limits{Rate: "1r/m", Burst: 4, Connections: 100, Body: "2m"}})
	counts := map[int]int{}
	for range 20 {
		a := call(t, "GET", g.http+"/api/v1/users/me", "", nil)
		if counts[a.status]++; a.status != 200 {
			assertProblem(t, a, 429, "rate_limited")
			if a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After header")
			}
		}
	}
	if counts[200] != 5 {
		t.Errorf("statuses %v, want 5 that passed", counts)
	}
	if a := call(t, "GET", g.http+"/gateway/livez", "", nil); a.status != 200 {
		t.Errorf("the gateway's health answers %d", a.status)
	}
}

func TestConnectionLimit(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-release }))
	t.Cleanup(slow.Close)
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { close(release) }) })
	g := startOptions(t, Options{
		Limits:    Limits{Rate: "1000r/s", Burst: 100, Connections: 3, Body: "2m"},
		Upstreams: map[string]Upstream{"user": {Servers: []string{strings.TrimPrefix(slow.URL, "http://")}}},
	})
	statuses := make(chan int, 8)
	for range 8 {
		go func() {
			res, err := http.Get(g.http + "/api/v1/users/me")
			if err != nil {
				statuses <- 0
				return
			}
			res.Body.Close()
			statuses <- res.StatusCode
		}()
	}
	for range 5 {
		if status := <-statuses; status != 429 {
			t.Errorf("got %d, want 429", status)
		}
	}
	once.Do(func() { close(release) })
	for range 3 {
		if status := <-statuses; status != 200 {
			t.Errorf("got %d, want 200", status)
		}
	}
}

func TestRealIP(t *testing.T) {
	tests := []struct {
		name    string
		trusted []string
		want    string
	}{
		{"no address is trusted", nil, "127.0.0.1"},
		{"the load balancer is trusted", []string{"127.0.0.0/8"}, "203.0.113.9"},
		{"another address is not", []string{"10.0.0.0/8"}, "127.0.0.1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			g := startOptions(t, Options{RealIP: tc.trusted})
			a := call(t, "GET", g.http+"/api/v1/users/me", "", http.Header{"X-Forwarded-For": {"6.6.6.6, 203.0.113.9"}})
			if !strings.Contains(string(a.body), `"X-Forwarded-For":["`+tc.want+`"]`) {
				t.Errorf("the service received %s, want %s", a.body, tc.want)
			}
		})
	}
}

func TestHTTPS(t *testing.T) {
	dir := t.TempDir()
	if _, err := certs.Ensure(dir, append(certs.DefaultHosts(), "api.example.org"), time.Now()); err != nil {
		t.Fatal(err)
	}
	g := startOptions(t, Options{TLS: TLS{Certificate: filepath.Join(dir, certs.Certificate), Key: filepath.Join(dir, certs.Key)}})
	ca, err := os.ReadFile(filepath.Join(dir, certs.Authority))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)

	for _, tc := range []struct{ name, base, host, path, hsts string }{
		{"a public name", g.https, "api.example.org", "/api/v1/users/me", "max-age=31536000"},
		{"a public name's start page", g.https, "api.example.org", "/", "max-age=31536000"},
		{"a public name's errors", g.https, "api.example.org", "/nothing", "max-age=31536000"},
		{"a developer's name", g.https, "localhost", "/api/v1/users/me", ""},
		{"an address", g.https, "127.0.0.1", "/api/v1/users/me", ""},
		{"HTTP", g.http, "api.example.org", "/api/v1/users/me", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodGet, tc.base+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tc.host
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if got := res.Header.Get("Strict-Transport-Security"); got != tc.hsts {
				t.Errorf("HSTS %q, want %q", got, tc.hsts)
			}
			scheme, protocol, _ := strings.Cut(tc.base, "://")
			if want := map[string]int{"https": 2, "http": 1}[scheme]; res.ProtoMajor != want {
				t.Errorf("HTTP/%d over %s %s", res.ProtoMajor, scheme, protocol)
			}
			if strings.HasPrefix(tc.path, "/api/") && !strings.Contains(string(body), `"X-Forwarded-Proto":["`+scheme+`"]`) {
				t.Errorf("the service received %s", body)
			}
		})
	}

	for version, taken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(g.https, "https://"), &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version})
		if (err == nil) != taken {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			conn.Close()
		}
	}
	// Plain HTTP on the HTTPS port gets a readable answer.
	assertProblem(t, call(t, "GET", "http"+strings.TrimPrefix(g.https, "https"), "", nil), 400, "bad_request")
}

func TestACMEChallengesAreServedOverHTTP(t *testing.T) {
	acme := t.TempDir()
	if err := os.MkdirAll(filepath.Join(acme, ".well-known", "acme-challenge"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(acme, ".well-known", "acme-challenge", "token"), []byte("token.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	g := startOptions(t, Options{ACME: acme})
	if a := call(t, "GET", g.http+"/.well-known/acme-challenge/token", "", nil); a.status != 200 || string(a.body) != "token.key" {
		t.Errorf("%d %s", a.status, a.body)
	}
	assertProblem(t, call(t, "GET", g.http+"/.well-known/acme-challenge/other", "", nil), 404, "not_found")
}

type running struct {
	dir          string // with nginx's files and its log
	http, https  string
	pid, version int
}

// startBackend runs a service that answers with its name and the request it received.
func startBackend(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(echoRequest(name))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// startOptions runs nginx with o, completed by default values.
func startOptions(t *testing.T, o Options) running {
	t.Helper()
	ports, err := localserver.FindFreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	program, err := localserver.HostPrograms().Nginx()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o.Root, o.Out, o.Etc, o.Data = repositoryRoot(t), dir, dir, dir
	o.HTML = filepath.Join(o.Root, "deploy", "nginx", "html")
	if o.ACME == "" {
		o.ACME = dir
	}
	if os.Geteuid() == 0 {
		o.User = "root"
	}
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	o.HTTP, o.TLS.Addr = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	o.Status = fmt.Sprintf("127.0.0.1:%d", ports[2])
	o.Version = nginxVersion(context.Background(), program)
	upstreams := map[string]Upstream{"bootcheck": {Servers: []string{startBackend(t, "bootcheck")}}}
	for _, s := range checkout.Services() {
		upstreams[s.Name] = Upstream{Servers: []string{startBackend(t, s.Name)}}
	}
	maps.Copy(upstreams, o.Upstreams)
	o.Upstreams = upstreams
	if err := WriteConfig(o); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	p, err := localserver.Start(localserver.Command{Path: program, Args: []string{"-c", filepath.Join(dir, "nginx.conf"), "-p", dir, "-e", "stderr"}, Dir: dir}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(syscall.SIGQUIT, 20*time.Second)
		out, _ := os.ReadFile(log)
		assertLog(t, string(out))
	})
	g := running{dir: dir, http: "http://" + o.HTTP, https: "https://" + o.TLS.Addr, pid: p.PID(), version: o.Version}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		res, err := http.Get(g.http + "/gateway/livez")
		if err == nil {
			res.Body.Close()
			return g
		}
		if time.Now().After(deadline) {
			out, _ := os.ReadFile(log)
			t.Fatalf("nginx does not answer: %v\n%s", err, out)
		}
	}
}
