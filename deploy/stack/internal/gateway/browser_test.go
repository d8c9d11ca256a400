package gateway

import (
	"compress/gzip"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgo/deploy/stack/internal/certs"
)

func TestCompression(t *testing.T) {
	long, short := `{"items":"`+strings.Repeat("a", 4096)+`"}`, `{"items":""}`
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"3"`)
		w.Header().Set("Content-Type", "application/json")
		body := short
		if r.URL.Query().Has("long") {
			body = long
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(service.Close)
	here := Upstream{Servers: []string{strings.TrimPrefix(service.URL, "http://")}}
	g := startOptions(t, Options{Upstreams: map[string]Upstream{"user": here, "task": here}})
	for _, tc := range []struct{ name, path, accepts, coding, want string }{
		{"a long answer", "/api/v1/tasks?long", "gzip", "gzip", long},
		{"a short answer", "/api/v1/tasks", "gzip", "", short},
		{"a client that does not ask", "/api/v1/tasks?long", "identity", "", long},
		{"a user list", "/api/v1/users?long", "gzip", "gzip", long},
		{"an answer with tokens", "/api/v1/auth/login?long", "gzip", "", long},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := call(t, "GET", g.http+tc.path, "", http.Header{"Accept-Encoding": {tc.accepts}})
			if a.status != 200 || a.header.Get("Content-Encoding") != tc.coding {
				t.Fatalf("%d with Content-Encoding %q, want %q", a.status, a.header.Get("Content-Encoding"), tc.coding)
			}
			body := string(a.body)
			if tc.coding == "gzip" {
				zr, err := gzip.NewReader(strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(zr)
				if err != nil {
					t.Fatal(err)
				}
				if len(a.body) > len(text)/4 || a.header.Get("Vary") != "Accept-Encoding" {
					t.Errorf("%d bytes for %d, Vary %q", len(a.body), len(text), a.header.Get("Vary"))
				}
				body = string(text)
			}
			if body != tc.want {
				t.Errorf("got %.80s", body)
			}
		})
	}
}

func TestCORS(t *testing.T) {
	const app, other = "https://app.example.org", "https://evil.example.org"
	g := startOptions(t, Options{CORS: CORS{Origins: []string{app}, Credentials: true, MaxAge: 10 * time.Minute}})
	for _, tc := range []struct {
		name, method, path, origin, asks string
		status                           int
		allowed, cached                  string
	}{
		{"a preflight", "OPTIONS", "/api/v1/users/me", app, "PATCH", 204, app, "600"},
		{"a preflight of another origin", "OPTIONS", "/api/v1/users/me", other, "PATCH", 200, "", ""},
		{"OPTIONS that is no preflight", "OPTIONS", "/api/v1/users/me", app, "", 200, app, ""},
		{"a call", "GET", "/api/v1/users/me", app, "", 200, app, ""},
		{"a call of another origin", "GET", "/api/v1/users/me", other, "", 200, "", ""},
		{"an origin that begins the same", "GET", "/api/v1/users/me", app + ".evil.example", "", 200, "", ""},
		{"a call without an origin", "GET", "/api/v1/users/me", "", "", 200, "", ""},
		{"the gateway's own errors", "GET", "/api/v1/nothing", app, "", 404, app, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			if tc.origin != "" {
				h.Set("Origin", tc.origin)
			}
			if tc.asks != "" {
				h.Set("Access-Control-Request-Method", tc.asks)
			}
			a := call(t, tc.method, g.http+tc.path, "", h)
			credentials := ""
			if tc.allowed != "" {
				credentials = "true"
			}
			if a.status != tc.status || a.header.Get("Access-Control-Allow-Origin") != tc.allowed ||
				a.header.Get("Access-Control-Allow-Credentials") != credentials || a.header.Get("Access-Control-Max-Age") != tc.cached ||
				!strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
				t.Errorf("%d %v", a.status, a.header)
			}
			if (tc.status == 204) != strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "PATCH") {
				t.Errorf("methods %q", a.header.Get("Access-Control-Allow-Methods"))
			}
		})
	}
	t.Run("none by default", func(t *testing.T) {
		a := call(t, "GET", startOptions(t, Options{}).http+"/api/v1/users/me", "", http.Header{"Origin": {app}})
		if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%d %v", a.status, a.header)
		}
	})
}

func TestRedirectToHTTPS(t *testing.T) {
	dir := t.TempDir()
	if _, err := certs.Ensure(dir, certs.DefaultHosts(), time.Now()); err != nil {
		t.Fatal(err)
	}
	g := startOptions(t, Options{HTTPS: RedirectToHTTPS, TLS: TLS{Certificate: filepath.Join(dir, certs.Certificate), Key: filepath.Join(dir, certs.Key)}})
	secure, err := url.Parse(g.https)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 308}, {"GET", "/api/v1/users/me?a=b", 308}, {"POST", "/api/v1/auth/login", 308}, {"GET", "/nothing", 308},
		{"GET", "/gateway/livez", 200}, {"GET", "/.well-known/acme-challenge/x", 404},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			a := call(t, tc.method, g.http+tc.path, "", nil)
			want := ""
			if tc.status == 308 {
				want = "https://" + net.JoinHostPort("127.0.0.1", secure.Port()) + tc.path
			}
			if a.status != tc.status || a.header.Get("Location") != want {
				t.Errorf("%d to %q, want %d to %q", a.status, a.header.Get("Location"), tc.status, want)
			}
		})
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // another test checks the certificate
	t.Cleanup(client.CloseIdleConnections)
	req, err := http.NewRequest(http.MethodGet, g.https+"/api/v1/users/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "api.example.org"
	res, err := client.Do(req)
	if err := checkOK(res, err); err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Strict-Transport-Security") == "" {
		t.Error("HTTPS has no HSTS")
	}
	if err := WriteConfig(Options{HTTPS: RedirectToHTTPS, Root: repositoryRoot(t), Out: t.TempDir(), HTTP: "a", Status: "b", Limits: DefaultLimits()}); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a redirect without a certificate: %v", err)
	}
}
