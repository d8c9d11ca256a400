// Package e2e runs the whole stack as `make up` does, in a state directory and on ports of its own, and uses it
// as a person does: through the gateway and in a browser. It needs the binaries of `make build`.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

// stack is one running platform.
type stack struct {
	t      testing.TB
	root   string
	home   string
	offset int
	mode   string // native or docker
	client *http.Client
	https  bool

	secrets *bearerSecrets // that the calls sent and received
	spans   *spanStore     // of all calls; nil if no one receives them
}

// publishedPorts returns the ports that PORT_OFFSET moves.
var publishedPorts = []int{8080, 8443, 8081, 8082, 8083, 8090, 9900, 9090, 9093, 3000, 3100, 16686, 15672}

// services are the suite's, each with its specification.
func services() []string { return []string{"user", "school", "task"} }

const upLimit = 5 * time.Minute // what `make up` promises for the very first time

// newStack brings a stack up. It is taken down, and checked to leave no process behind, when the test ends.
func newStack(t *testing.T) *stack { t.Helper(); return newStackIn(t, "native") }

func newStackIn(t *testing.T, mode string) *stack {
	t.Helper()
	s := prepareStack(t, mode)
	s.up()
	return s
}

// prepareStack is newStackIn that leaves bringing it up to the test.
func prepareStack(t *testing.T, mode string) *stack {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{
		t: t, root: root, home: filepath.Join(t.TempDir(), "home"), offset: freeOffset(t), mode: mode,
		client: &http.Client{Timeout: 30 * time.Second}, secrets: newBearerSecrets(),
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.showLogs()
		}
		if mode == "docker" {
			s.must("stack", "clean") // volumes stay otherwise
			return
		}
		s.down()
	})
	return s
}

// freeOffset finds an offset at which every published port is free, and below 32768: from there on the kernel gives ports to
// whoever connects, and the gateway is started minutes after the look.
func freeOffset(t *testing.T) int {
	t.Helper()
	for range 100 {
		offset := 10_000 + rand.IntN(6_000)
		if allFree(offset) {
			return offset
		}
	}
	t.Fatal("no free ports found")
	return 0
}

func allFree(offset int) bool {
	for _, port := range publishedPorts {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// command runs a program of bin/ for this stack and returns what it prints.
func (s *stack) command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), upLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, "bin", name), args...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "PGO_HOME="+s.home, "PORT_OFFSET="+strconv.Itoa(s.offset), "MODE="+s.mode)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

func (s *stack) must(name string, args ...string) string {
	s.t.Helper()
	out, err := s.command(name, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *stack) up() string { s.t.Helper(); return s.must("stack", "up") }

// down takes the stack down and fails the test when a process of it is left, epmd among them.
func (s *stack) down() {
	s.t.Helper()
	if _, err := s.command("stack", "down"); err != nil {
		s.t.Error(err)
	}
	if left := s.processes(); len(left) > 0 {
		s.t.Errorf("processes left behind: %s", strings.Join(left, ", "))
	}
}

// processes lists what runs with this stack's state directory in its environment or on its command line.
func (s *stack) processes() []string {
	var found []string
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, dir := range dirs {
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) {
			continue
		}
		environ, envErr := os.ReadFile(filepath.Join(dir, "environ"))
		cmdline, cmdErr := os.ReadFile(filepath.Join(dir, "cmdline"))
		if envErr == nil && cmdErr == nil && len(cmdline) > 0 && (bytes.Contains(environ, []byte(s.home)) || bytes.Contains(cmdline, []byte(s.home))) {
			found = append(found, filepath.Base(dir)+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// process is a row of `pgo list --json`.
type process struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	Status   string `json:"status"`
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`
}

func (s *stack) list() map[string]process {
	s.t.Helper()
	var rows []process
	if err := json.Unmarshal([]byte(s.must("pgo", "list", "--json")), &rows); err != nil {
		s.t.Fatal(err)
	}
	byName := map[string]process{}
	for _, p := range rows {
		byName[p.Name] = p
	}
	return byName
}

// ready waits until the named process is ready under another pid than before.
func (s *stack) ready(name string, before int) {
	s.t.Helper()
	testkit.Eventually(s.t, name+" is ready again", func() error {
		p := s.list()[name]
		if !p.Ready || p.PID == before {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
}

// url is where a path is, through the gateway.
func (s *stack) url(path string) string {
	if s.https {
		return fmt.Sprintf("https://127.0.0.1:%d%s", 8443+s.offset, path)
	}
	return fmt.Sprintf("http://127.0.0.1:%d%s", 8080+s.offset, path)
}

func (s *stack) secret(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.home, "secrets", name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// env returns the addresses and settings of the running stack.
func (s *stack) env(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.home, "env"))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[key] = value
		}
	}
	return env
}

// showLogs prints the end of each log, for a test that failed.
func (s *stack) showLogs() {
	const tail = 3000
	if s.mode == "docker" {
		s.showTroubleInside()
		return
	}
	logs, err := filepath.Glob(filepath.Join(s.home, "logs", "*.log"))
	if err != nil {
		return
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		s.t.Logf("--- %s\n%s", filepath.Base(path), text[max(0, len(text)-tail):])
	}
}

// showTroubleInside prints what the services in the runtime container said that is not about what works.
func (s *stack) showTroubleInside() {
	const most = 60
	for _, service := range services() {
		out, err := s.command("stack", "compose", "exec", "-T", "runtime", "pgo", "logs", "-n", "100000", service)
		if err != nil {
			s.t.Logf("no log of %s: %v", service, err)
			continue
		}
		var trouble []string
		for line := range strings.Lines(out) {
			if strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"level":"warn"`) {
				trouble = append(trouble, line)
			}
		}
		s.t.Logf("--- %s\n%s", service, strings.Join(trouble[max(0, len(trouble)-most):], ""))
	}
}
