//go:build compose

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parts are the containers, in the order of the chain.
func parts() []string { return []string{"mysql", "redis", "rabbitmq", "runtime", "gateway"} }

// TestCompose runs one stack of containers through its life. Without an engine it fails.
func TestCompose(t *testing.T) {
	s := newStackIn(t, "docker")
	for _, step := range []struct {
		name string
		run  func(*testing.T, *stack)
	}{
		{"journey over HTTP", func(t *testing.T, s *stack) { s.travel(t) }},
		{"journey over HTTPS", overHTTPS},
		{"TLS", tlsTable},
		{"nginx takes its configuration", func(t *testing.T, s *stack) {
			s.compose("exec", "-T", "gateway", "nginx", "-t", "-q", "-e", "stderr", "-c", "/etc/gateway/nginx.conf")
		}},
		{"docker compose config is clean", composeConfig},
		{"a school's way through the gateway", schoolJourney},
		{"a certificate that is renewed", renewedCertificate},
		{"what the gateway shows", gatewayShows},
		{"the first admin can sign in", firstAdmin},
		{"Swagger UI in a browser", swaggerUI},
		{"up again changes nothing", containersUpAgain},
		{"who runs as whom", whoRuns},
		{"what is reachable from where", scan},
		{"Prometheus is answered by the runtime's name", answersPrometheus},
		{"secrets are nowhere else", secretsNowhereElse},
		{"down and up keeps the data", downKeepsData},
	} {
		t.Run(step.name, func(t *testing.T) {
			s.t = t
			step.run(t, s)
		})
		s.t = t
	}
}

func (s *stack) travel(t *testing.T) {
	t.Helper()
	if err := s.journey(); err != nil {
		t.Error(err)
	}
}

// docker runs the docker program.
func (s *stack) docker(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *stack) compose(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.must("stack", append([]string{"compose"}, args...)...))
}

// container holds the parts of `docker inspect` that tests compare.
type container struct {
	ID    string `json:"Id"`
	State struct {
		Status    string
		Pid       int
		StartedAt string
		Health    struct{ Status string }
	}
	Config struct {
		User string
		Env  []string
	}
	HostConfig struct {
		Memory         int64
		NanoCpus       int64
		PidsLimit      int64
		ReadonlyRootfs bool
		Privileged     bool
		CapAdd         []string
		CapDrop        []string
		SecurityOpt    []string
		LogConfig      struct{ Config map[string]string }
		RestartPolicy  struct{ Name string }
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string } `json:"Ports"`
		Networks map[string]struct{ IPAddress string }
	}
}

func (s *stack) inspect(part string) container {
	s.t.Helper()
	id := s.compose("ps", "--all", "--quiet", part)
	var list []container
	if err := json.Unmarshal([]byte(s.docker("inspect", id)), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("inspect %s: %d of them, %v", part, len(list), err)
	}
	return list[0]
}

func overHTTPS(t *testing.T, s *stack) {
	client := s.client
	s.client, s.https = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority(t)}, ForceAttemptHTTP2: true}}, true
	defer func() { s.client, s.https = client, false }()
	s.travel(t)
}

func (s *stack) authority(t *testing.T) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.home, "certs", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

func tlsTable(t *testing.T, s *stack) {
	tests := []struct {
		name    string
		version uint16
		ciphers []uint16
		taken   bool
	}{
		{"TLS 1.0", tls.VersionTLS10, nil, false},
		{"TLS 1.1", tls.VersionTLS11, nil, false},
		{"TLS 1.2", tls.VersionTLS12, nil, true},
		{"TLS 1.2 without forward secrecy", tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, false},
		{"TLS 1.2 with CBC", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
		{"TLS 1.3", tls.VersionTLS13, nil, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			config := &tls.Config{RootCAs: s.authority(t), MinVersion: tc.version, MaxVersion: tc.version, CipherSuites: tc.ciphers, NextProtos: []string{"h2", "http/1.1"}}
			conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", 8443+s.offset), config)
			if (err == nil) != tc.taken {
				t.Fatalf("error %v, want it taken: %v", err, tc.taken)
			}
			if err == nil {
				if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
					t.Errorf("protocol %q, want h2", got)
				}
				conn.Close()
			}
		})
	}
}

// composeConfig checks that Compose has nothing to say about the file, with and without the optional parts.
func composeConfig(t *testing.T, s *stack) {
	for _, profiles := range [][]string{nil, {"--profile", "*"}} {
		out, err := exec.Command("docker", slices.Concat([]string{"compose", "--env-file", filepath.Join(s.home, "docker", "compose.env"), "--project-directory", s.root}, profiles, []string{"config", "--quiet"})...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("docker compose config %v: %v\n%s", profiles, err, out)
		}
	}
}

// renewedCertificate puts another certificate where certbot does, and waits until the gateway serves it by itself.
func renewedCertificate(t *testing.T, s *stack) {
	serial := func() string {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", 8443+s.offset), &tls.Config{RootCAs: s.authority(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old := serial()
	s.must("stack", "certs", "api.example.org") // with a signal to the gateway
	s.eventually(t, "the replaced certificate is served", func() error {
		if now := serial(); now == old {
			return fmt.Errorf("still %s", now)
		}
		return nil
	})
	old = serial()
	// As certbot's container does: the files alone, and nobody tells the gateway.
	other := filepath.Join(t.TempDir(), "home")
	cmd := exec.Command(filepath.Join(s.root, "bin", "stack"), "certs", "api.example.org")
	cmd.Dir, cmd.Env = s.root, append(os.Environ(), "PGO_HOME="+other)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"gateway.key", "gateway.crt"} {
		run(t, "install", "-m", "0444", filepath.Join(other, "certs", name), filepath.Join(s.home, "docker", "gateway", "certs", name))
	}
	s.eventually(t, "the gateway notices by itself", func() error {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", 8443+s.offset), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // another authority's
		if err != nil {
			return err
		}
		defer conn.Close()
		if now := conn.ConnectionState().PeerCertificates[0].SerialNumber.String(); now == old {
			return fmt.Errorf("still %s", now)
		}
		return nil
	})
	s.must("stack", "up") // its own one again
}

// answersPrometheus asks what Prometheus asks in its container, which is on the same networks.
func answersPrometheus(_ *testing.T, s *stack) {
	s.compose("exec", "-T", "mysql", probePath("mysql"), "http", "http://runtime:9900/metrics", "http://runtime:9900/sd", "http://runtime:8090/metrics", "http://rabbitmq:15692/metrics")
}

func containersUpAgain(t *testing.T, s *stack) {
	before := map[string]container{}
	for _, part := range parts() {
		before[part] = s.inspect(part)
	}
	out := s.up()
	for _, want := range []string{s.url(""), "admin@pgo.local", "MySQL", "Redis", "RabbitMQ", "user"} {
		if !strings.Contains(out, want) {
			t.Errorf("up's table has no %s: %s", want, out)
		}
	}
	for _, part := range parts() {
		if now := s.inspect(part); now.ID != before[part].ID || now.State.StartedAt != before[part].State.StartedAt {
			t.Errorf("%s was restarted", part)
		}
	}
}

// healthy waits until every container's check passes.
func (s *stack) healthy(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for _, part := range parts() {
		for {
			c := s.inspect(part)
			if c.State.Status == "running" && c.State.Health.Status == "healthy" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is %s, %s", part, c.State.Status, c.State.Health.Status)
			}
			<-time.After(200 * time.Millisecond)
		}
	}
}

func secretsNowhereElse(t *testing.T, s *stack) {
	names, err := os.ReadDir(filepath.Join(s.home, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	config := s.compose("config")
	containers := map[string]container{}
	for _, part := range parts() {
		containers[part] = s.inspect(part)
	}
	for _, name := range names {
		secret := s.secret(name.Name())
		if strings.Contains(config, secret) {
			t.Errorf("%s is in docker compose config", name.Name())
		}
		for part, c := range containers {
			if slices.ContainsFunc(c.Config.Env, func(e string) bool { return strings.Contains(e, secret) }) {
				t.Errorf("%s is in the environment of %s", name.Name(), part)
			}
		}
	}
	// Nobody but the owner gets as far as the files.
	nobody := exec.Command("sh", "-c", "ls "+strconv.Quote(s.home)+"/docker/secrets")
	nobody.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := nobody.CombinedOutput(); err == nil {
		t.Errorf("anybody may look at the secrets: %s", out)
	}
}
