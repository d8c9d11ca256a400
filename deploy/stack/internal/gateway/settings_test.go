package gateway

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgo/deploy/stack/internal/certs"
	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
)

// The checkout's file has the values of the code: deleting it changes nothing.
func TestCheckoutSettingsEqualDefaults(t *testing.T) {
	s, err := LoadSettings(checkout.Checkout{Root: repositoryRoot(t), Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Settings{Limits: DefaultLimits(), HTTPS: OptionalHTTPS, CORS: CORS{Origins: []string{}, MaxAge: 10 * time.Minute}, LoadBalancers: []string{}, Upstreams: map[string]Upstream{}}); !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, want %+v", s, want)
	}
}

func TestMachineSettingsOverrideCheckout(t *testing.T) {
	co := writeSettings(t, "limits: {rate: 50r/s, burst: 7}\nload_balancers: [10.0.0.0/8]\n", "limits: {rate: 9r/m}\nupstreams: {user: {balance: ip_hash, servers: ['10.0.0.7:8081 weight=3', '10.0.0.8:8081']}}\n")
	o := Options{Upstreams: map[string]Upstream{"user": {Servers: []string{"a:1"}, Resolve: true}, "school": {Servers: []string{"b:1"}}}}
	if err := ApplySettings(co, &o); err != nil {
		t.Fatal(err)
	}
	want := Options{
		Limits: Limits{Rate: "9r/m", Burst: 7, Connections: 512, Body: "2m"},
		HTTPS:  OptionalHTTPS, CORS: CORS{MaxAge: 10 * time.Minute},
		RealIP: []string{"10.0.0.0/8"},
		Upstreams: map[string]Upstream{
			"user":   {Servers: []string{"10.0.0.7:8081 weight=3", "10.0.0.8:8081"}, Balance: "ip_hash", Resolve: true},
			"school": {Servers: []string{"b:1"}},
		},
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("%+v, want %+v", o, want)
	}
}

func TestBadSettings(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"an unknown key", "limit: {}\n", "field limit not found"},
		{"a wrong type", "limits: {burst: many}\n", "line 1"},
		{"a rate without a time", "limits: {rate: 1000}\n", "limits.rate"},
		{"a directive as a rate", "limits: {rate: '1r/s; return 200'}\n", "limits.rate"},
		{"no burst", "limits: {burst: 0}\n", "limits.burst"},
		{"no connection", "limits: {connections: 0}\n", "limits.connections"},
		{"a body limit that is not a size", "limits: {body: big}\n", "limits.body"},
		{"a load balancer's name", "load_balancers: [lb.example.org]\n", "load_balancers"},
		{"an unknown value of https", "https: on\n", "https"},
		{"every origin", "cors: {origins: ['*']}\n", "cors.origins"},
		{"an origin with a path", "cors: {origins: ['https://a.example/']}\n", "cors.origins"},
		{"a directive as an origin", "cors: {origins: ['https://a\" 1; return 200']}\n", "cors.origins"},
		{"a preflight for a week", "cors: {max_age: 168h}\n", "cors.max_age"},
		{"an unknown service", "upstreams: {usr: {servers: ['a:1']}}\n", "upstreams.usr"},
		{"an unknown balance", "upstreams: {user: {servers: ['a:1'], balance: random}}\n", "ip_hash or least_conn"},
		{"a directive as a server", "upstreams: {user: {servers: ['a:1; return 200']}}\n", "is not a server"},
		{"an unknown balance alone", "upstreams: {user: {balance: random}}\n", "ip_hash or least_conn"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			co := writeSettings(t, "", tc.text)
			if err := ApplySettings(co, &Options{}); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), co.Path("gateway.yaml")) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func writeSettings(t *testing.T, shared, machine string) checkout.Checkout {
	t.Helper()
	co := checkout.Checkout{Root: t.TempDir(), Home: t.TempDir()}
	if err := os.Mkdir(filepath.Join(co.Root, "configs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{filepath.Join(co.Root, "configs", "gateway.yaml"): shared, co.Path("gateway.yaml"): machine} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return co
}

// nginx accepts every variant that settings can produce.
func TestNginxAcceptsEveryVariant(t *testing.T) {
	program, err := localserver.HostPrograms().Nginx()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := certs.Ensure(dir, certs.DefaultHosts(), time.Now()); err != nil {
		t.Fatal(err)
	}
	ports, err := localserver.FindFreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	tls := TLS{Addr: fmt.Sprintf("127.0.0.1:%d", ports[1]), Certificate: filepath.Join(dir, certs.Certificate), Key: filepath.Join(dir, certs.Key)}
	two := []string{"127.0.0.1:8081 weight=3", "127.0.0.1:8082"}
	for _, tc := range []struct {
		name     string
		settings string
		tls      TLS
	}{
		{"defaults", "", TLS{}},
		{"HTTPS", "", tls},
		{"two servers, round robin", upstreamSettings("", two), TLS{}},
		{"ip_hash", upstreamSettings("ip_hash", two), tls},
		{"ip_hash on one server", upstreamSettings("ip_hash", nil), TLS{}},
		{"least_conn", upstreamSettings("least_conn", two), TLS{}},
		{"behind load balancers", "load_balancers: [10.0.0.0/8, '2001:db8::/32', 192.0.2.1]\n", tls},
		{"redirect to HTTPS", "https: redirect\n", tls},
		{"origins", "cors: {origins: ['https://app.example.org', 'http://localhost:5173'], credentials: true, max_age: 1h}\n", tls},
		{"other limits", "limits: {rate: 5r/m, burst: 1, connections: 1, body: 512k}\n", tls},
	} {
		t.Run(tc.name, func(t *testing.T) {
			co := writeSettings(t, "", tc.settings)
			out := t.TempDir()
			o := Options{Root: repositoryRoot(t), Out: out, Etc: out, Data: out, HTML: out, ACME: out, HTTP: fmt.Sprintf("127.0.0.1:%d", ports[0]), Status: fmt.Sprintf("127.0.0.1:%d", ports[2]), TLS: tc.tls, Upstreams: map[string]Upstream{}}
			o.Version = nginxVersion(context.Background(), program)
			for _, name := range append([]string{"bootcheck"}, serviceNames()...) {
				o.Upstreams[name] = Upstream{Servers: []string{"127.0.0.1:1"}}
			}
			if err := ApplySettings(co, &o); err != nil {
				t.Fatal(err)
			}
			if err := WriteConfig(o); err != nil {
				t.Fatal(err)
			}
			if said, err := exec.Command(program, "-t", "-c", filepath.Join(out, "nginx.conf"), "-p", out, "-e", "stderr").CombinedOutput(); err != nil {
				t.Errorf("nginx -t: %v\n%s", err, said)
			}
		})
	}
}

func serviceNames() (names []string) {
	for _, s := range checkout.Services() {
		names = append(names, s.Name)
	}
	return names
}

func upstreamSettings(balance string, servers []string) string {
	list := ""
	for _, server := range servers {
		list += "'" + server + "', "
	}
	return fmt.Sprintf("upstreams: {user: {balance: %q, servers: [%s]}}\n", balance, list)
}

// The limit of bodies is a setting.
func TestBodyLimit(t *testing.T) {
	limits := DefaultLimits()
	limits.Body = "1k"
	g := startOptions(t, Options{Limits: limits})
	if a := call(t, "POST", g.http+"/api/v1/auth/login", strings.Repeat("x", 1000), nil); a.status != 200 {
		t.Errorf("a body within the limit: %d", a.status)
	}
	assertProblem(t, call(t, "POST", g.http+"/api/v1/auth/login", strings.Repeat("x", 1100), nil), 413, "body_too_large")
}

// The ciphers that openssl finds are: TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3.
func TestProtocolsAndCiphersByOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := certs.Ensure(dir, certs.DefaultHosts(), time.Now()); err != nil {
		t.Fatal(err)
	}
	g := startOptions(t, Options{TLS: TLS{Certificate: filepath.Join(dir, certs.Certificate), Key: filepath.Join(dir, certs.Key)}})
	taken := map[string]bool{
		"-tls1_2 ECDHE-ECDSA-AES128-GCM-SHA256": true, "-tls1_2 ECDHE-ECDSA-AES256-GCM-SHA384": true, "-tls1_2 ECDHE-ECDSA-CHACHA20-POLY1305": true,
		"-tls1_3 TLS_AES_128_GCM_SHA256": true, "-tls1_3 TLS_AES_256_GCM_SHA384": true, "-tls1_3 TLS_CHACHA20_POLY1305_SHA256": true,
	}
	tries := maps.Clone(taken)
	listed, err := exec.Command(openssl, "ciphers", "ALL:COMPLEMENTOFALL@SECLEVEL=0").Output()
	if err != nil {
		t.Fatal(err)
	}
	for cipher := range strings.SplitSeq(strings.TrimSpace(string(listed)), ":") {
		if strings.HasPrefix(cipher, "TLS_") {
			continue
		}
		for _, protocol := range []string{"-tls1", "-tls1_1", "-tls1_2"} {
			tries[protocol+" "+cipher] = taken[protocol+" "+cipher]
		}
	}
	for try, want := range tries {
		protocol, cipher, _ := strings.Cut(try, " ")
		option, value := "-cipher", cipher+"@SECLEVEL=0"
		if protocol == "-tls1_3" {
			option, value = "-ciphersuites", cipher
		}
		cmd := exec.Command(openssl, "s_client", "-connect", strings.TrimPrefix(g.https, "https://"), protocol, option, value, "-CAfile", filepath.Join(dir, certs.Authority), "-verify_return_error")
		said, err := cmd.CombinedOutput()
		if got := err == nil && strings.Contains(string(said), cipher); got != want {
			t.Errorf("%s is accepted: %v, want %v\n%s", try, got, want, said)
		}
	}
	t.Logf("%d pairs of a protocol and a cipher tried, %d taken", len(tries), len(taken))
}
