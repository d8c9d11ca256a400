//go:build compose

package e2e

import (
	"bytes"
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

	"pgo/pkg/testkit"
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
		{"what the gateway shows", gatewayShows},
		{"the first admin can sign in", firstAdmin},
		{"Swagger UI in a browser", swaggerUI},
		{"up again changes nothing", containersUpAgain},
		{"who runs as whom", whoRuns},
		{"what is reachable from where", scan},
		{"secrets are nowhere else", secretsNowhereElse},
		{"restart, kill and pause each part", disturbEach},
		{"infra that comes late", lateInfra},
		{"the engine is started anew", engineAnew},
		{"down and up keeps the data", downKeepsData},
	} {
		t.Run(step.name, func(t *testing.T) {
			s.t = t
			step.run(t, s)
		})
		s.t = t
	}
	s.must("native", "clean")
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
	return strings.TrimSpace(s.must("native", append([]string{"compose"}, args...)...))
}

// container is what `docker inspect` tells of one.
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
			t.Errorf("%s was started anew", part)
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

// A writer signs people up as fast as one person at a time can be, and notes who was told that it worked.
type writer struct {
	stop, done chan struct{}
	ids        []string
	failed     int
}

func (s *stack) write() *writer {
	w := &writer{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			a, err := s.call("POST", "/api/v1/auth/register", "", map[string]string{"email": newEmail(), "password": password, "name": "Kept"})
			if err == nil && a.Status == 201 {
				w.ids = append(w.ids, a.text("id"))
				continue
			}
			w.failed++
			<-time.After(50 * time.Millisecond) // a part that is away is not helped by a storm
		}
	}()
	return w
}

// check ends the writing and looks for everyone who was told that it worked.
func (w *writer) check(t *testing.T, s *stack) {
	t.Helper()
	close(w.stop)
	<-w.done
	login := s.want(t, 200, "POST", "/api/v1/auth/login", "", map[string]string{"email": "admin@pgo.local", "password": s.secret("admin_password")})
	for _, id := range w.ids {
		a := s.want(t, 200, "GET", "/api/v1/users/"+id, login.text("access_token"), nil)
		if a.text("id") != id {
			t.Errorf("an acknowledged account is not there: %s", a.Body)
		}
	}
	if len(w.ids) == 0 {
		t.Error("nothing was ever acknowledged")
	}
	t.Logf("%d acknowledged, all there; %d calls failed meanwhile", len(w.ids), w.failed)
}

func disturbEach(t *testing.T, s *stack) {
	if os.Geteuid() != 0 {
		t.Fatal("killing what is in a container, as the kernel does when memory is short, wants root")
	}
	for _, way := range []struct {
		name    string
		disturb func(part string)
	}{
		{"restart", func(part string) { s.compose("restart", part) }},
		{"kill", func(part string) {
			before := s.inspect(part)
			if err := syscall.Kill(before.State.Pid, syscall.SIGKILL); err != nil {
				s.t.Fatal(err)
			}
			testkit.Eventually(s.t, part+" is started again", func() error {
				if c := s.inspect(part); c.State.StartedAt == before.State.StartedAt || c.State.Status != "running" {
					return fmt.Errorf("%s since %s", c.State.Status, c.State.StartedAt)
				}
				return nil
			})
		}},
		{"pause", func(part string) {
			s.compose("pause", part)
			<-time.After(pauseFor)
			s.compose("unpause", part)
		}},
	} {
		for _, part := range parts() {
			t.Run(way.name+" "+part, func(t *testing.T) {
				s.t = t
				w := s.write()
				began := time.Now()
				way.disturb(part)
				testkit.Eventually(t, "the calls pass again", s.journey)
				t.Logf("healed %s after the beginning", time.Since(began).Round(100*time.Millisecond))
				w.check(t, s)
				s.mailArrives(t)
				s.healthy(t)
			})
		}
	}
}

const pauseFor = 30 * time.Second

// lateInfra starts the runtime while no server is there, as after a reboot in the wrong order.
func lateInfra(t *testing.T, s *stack) {
	s.compose("stop", "mysql", "redis", "rabbitmq", "runtime", "gateway")
	s.compose("start", "runtime") // compose start, unlike up, starts what it depends on as little as a reboot does
	s.docker("start", s.inspect("gateway").ID)
	testkit.Eventually(t, "the gateway answers while nothing else does", func() error {
		_, err := s.expect(200, "GET", "/gateway/livez", "", nil)
		return err
	})
	testkit.Eventually(t, "bootcheck says what it waits for", func() error {
		a, err := s.expect(200, "GET", "/services/bootcheck/status", "", nil)
		if err == nil && !strings.Contains(a.Body, `"ready":false`) {
			err = fmt.Errorf("status %s", a.Body)
		}
		return err
	})
	if a, err := s.call("GET", "/services/user/readyz", "", nil); err == nil && a.Status == 200 {
		t.Errorf("user serves without a server: %s", a.Body)
	}
	for _, part := range []string{"rabbitmq", "redis", "mysql"} {
		s.docker("start", s.inspect(part).ID)
	}
	testkit.Eventually(t, "the calls pass", s.journey)
	s.mailArrives(t)
	s.healthy(t)
}

// engineAnew restarts the engine with the command in PGO_TEST_ENGINE_RESTART, as a host's reboot does it.
func engineAnew(t *testing.T, s *stack) {
	command := os.Getenv("PGO_TEST_ENGINE_RESTART")
	if command == "" {
		command = "systemctl restart docker"
	}
	w := s.write()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	restart := exec.CommandContext(ctx, "sh", "-c", command)
	var said bytes.Buffer
	restart.Stdout, restart.Stderr = &said, &said
	restart.WaitDelay = time.Second
	if err := restart.Run(); err != nil {
		close(w.stop)
		t.Fatalf("%s (PGO_TEST_ENGINE_RESTART): %v\n%s", command, err, &said)
	}
	testkit.Eventually(t, "the calls pass again", s.journey)
	t.Logf("healed %s after the beginning", time.Since(began).Round(100*time.Millisecond))
	w.check(t, s)
	s.mailArrives(t)
	s.healthy(t)
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
