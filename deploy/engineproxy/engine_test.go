package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgo/pkg/testing/testkit"
)

// engine is a stand-in of a Docker engine on a socket. It records what reaches it.
type engine struct {
	socket string
	mu     sync.Mutex
	asked  []string
	events chan string
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{socket: filepath.Join(socketDir(t), "docker.sock"), events: make(chan string)}
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(e.answer))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return e
}

func (e *engine) answer(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.asked = append(e.asked, r.Method+" "+r.URL.Path)
	e.mu.Unlock()
	switch {
	case r.URL.Path == "/events":
		http.NewResponseController(w).Flush()
		for {
			select {
			case text, ok := <-e.events:
				if !ok || text == "" {
					return
				}
				fmt.Fprintln(w, text)
				http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	case strings.HasSuffix(r.URL.Path, "/containers/json"):
		fmt.Fprint(w, `[{"Labels":{"com.docker.compose.service":"mysql"}}]`)
	case strings.HasSuffix(r.URL.Path, "/json"):
		fmt.Fprint(w, `{"Id":"abc","Args":["a-secret"],"State":{"Pid":7},"Config":{"Image":"mysql","Labels":{"l":"v"},"Env":["PASSWORD=a-secret"],"Cmd":["a-secret"],"Entrypoint":["a-secret"]},"SizeRw":12345678901234567890}`)
	default:
		fmt.Fprint(w, `{}`)
	}
}

func (e *engine) reached() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.asked...)
}

// socketDir returns a directory whose path is short enough for a socket in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgo-e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs the program beside e and returns a client of its socket and the address of its metrics.
func start(t *testing.T, e *engine) (client *http.Client, addr string) {
	t.Helper()
	proxy := filepath.Join(socketDir(t), "engine.sock")
	// A socket of a killed predecessor.
	if err := os.WriteFile(proxy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"ENGINE_SOCKET": e.socket, "ENGINE_PROXY": proxy, "ENGINE_PROJECT": "pgo-x", "ENGINE_HTTP": "127.0.0.1:0"}
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, nil, func(key string) string { return env[key] }, in, in)
		in.Close()
	}()
	lines := json.NewDecoder(out)
	var ready struct{ Msg, Addr string }
	if err := lines.Decode(&ready); err != nil || ready.Msg != "ready" {
		t.Fatalf("the first line is %+v, %v", ready, err)
	}
	go io.Copy(io.Discard, io.MultiReader(lines.Buffered(), out))
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("exit code %d", code)
		}
	})
	return newEngineClient(proxy), ready.Addr
}

func ask(t *testing.T, c *http.Client, method, path string, header http.Header) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://engine"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestProxy(t *testing.T) {
	e := newEngine(t)
	c, _ := start(t, e)
	id := strings.Repeat("0a", 32)
	tests := []struct {
		name, method, path string
		header             http.Header
		allowed            bool
	}{
		{"a ping", "HEAD", "/_ping", nil, true},
		{"the version", "GET", "/v1.41/version", nil, true},
		{"the engine's description", "GET", "/v1.53/info", nil, true},
		{"a container by its id", "GET", "/v1.41/containers/" + id + "/json", nil, true},
		{"a container by its name", "GET", "/containers/pgo-mysql-1/json", nil, true},
		{"the images", "GET", "/v1.41/images/json", nil, true},
		{"a new container", "POST", "/v1.41/containers/create", nil, false},
		{"a start", "POST", "/containers/" + id + "/start", nil, false},
		{"a command in a container", "POST", "/containers/" + id + "/exec", nil, false},
		{"a posted description", "POST", "/containers/" + id + "/json", nil, false},
		{"a log", "GET", "/containers/" + id + "/logs?stdout=1", nil, false},
		{"a file", "GET", "/containers/" + id + "/archive?path=/etc/shadow", nil, false},
		{"a whole file system", "GET", "/containers/" + id + "/export", nil, false},
		{"an attached terminal", "GET", "/containers/" + id + "/attach/ws", nil, false},
		{"the parent directory", "GET", "/containers/../secrets/json", nil, false},
		{"an escaped path", "GET", "/containers/" + id + "%2farchive/json", nil, false},
		{"secrets of a swarm", "GET", "/secrets", nil, false},
		{"events", "GET", "/events", nil, false},
		{"an upgraded connection", "GET", "/info", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			before := len(e.reached())
			status, body := ask(t, c, tc.method, tc.path, tc.header)
			wasReached := false
			for _, r := range e.reached()[before:] {
				wasReached = wasReached || r == tc.method+" "+strings.SplitN(tc.path, "?", 2)[0]
			}
			if got := status == http.StatusOK; got != tc.allowed || wasReached != tc.allowed {
				t.Errorf("status %d, the engine was reached: %v, want %v; %s", status, wasReached, tc.allowed, body)
			}
		})
	}
}

func TestDescriptionHasNoEnvironment(t *testing.T) {
	c, _ := start(t, newEngine(t))
	_, body := ask(t, c, "GET", "/v1.41/containers/abc/json", nil)
	if strings.Contains(body, "a-secret") {
		t.Errorf("a secret is passed on: %s", body)
	}
	for _, want := range []string{`"Image":"mysql"`, `"Labels":{"l":"v"}`, `"Pid":7`, `"SizeRw":12345678901234567890`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

func TestOutOfMemoryKillsAreCounted(t *testing.T) {
	e := newEngine(t)
	_, addr := start(t, e)
	metrics := func() string {
		res, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(res.Body); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	await := func(line string) {
		t.Helper()
		testkit.Eventually(t, line, func() error {
			if text := metrics(); !strings.Contains(text, "\n"+line+"\n") {
				return fmt.Errorf("the metrics are\n%s", text)
			}
			return nil
		})
	}
	send := func(action, service string) {
		e.events <- fmt.Sprintf(`{"Type":"container","Action":%q,"Actor":{"ID":"x","Attributes":{"com.docker.compose.service":%q}},"timeNano":1}`, action, service)
	}
	await(`pgo_engine_events_connected 1`)
	await(`pgo_container_oom_kills_total{container_label_com_docker_compose_service="mysql"} 0`)
	send("start", "redis")
	await(`pgo_container_oom_kills_total{container_label_com_docker_compose_service="redis"} 0`)
	send("oom", "mysql")
	send("oom", "mysql")
	await(`pgo_container_oom_kills_total{container_label_com_docker_compose_service="mysql"} 2`)
	e.events <- "" // the engine closes the connection
	send("oom", "mysql")
	await(`pgo_container_oom_kills_total{container_label_com_docker_compose_service="mysql"} 3`)
	await(`pgo_engine_events_connected 1`)
}

func TestRunRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		code int
		want string
	}{
		{"an argument", []string{"now"}, nil, exitUsage, "takes no arguments"},
		{"help", []string{"help"}, nil, exitOK, "usage: engineproxy"},
		{"no project", nil, nil, exitConfig, "ENGINE_PROJECT is not set"},
		{"no address", nil, map[string]string{"ENGINE_PROJECT": "p", "ENGINE_HTTP": "nowhere"}, exitConfig, `ENGINE_HTTP: "nowhere"`},
		{"a directory that does not exist", nil, map[string]string{"ENGINE_PROJECT": "p", "ENGINE_PROXY": "/nowhere/at/all"}, exitFailed, "listen for cAdvisor"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(t.Context(), tc.args, func(key string) string { return tc.env[key] }, &out, &out); code != tc.code || !strings.Contains(out.String(), tc.want) {
				t.Errorf("exit code %d, %s", code, out.String())
			}
		})
	}
}
