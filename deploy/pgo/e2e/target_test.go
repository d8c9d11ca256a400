package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship"
	"pgo/deploy/pgo/internal/sshdtest"
)

// shipped are three services, of which two come after the first, and a gate before all.
const shipped = `
  gate: {kind: gate, command: ACTOR, args: [actor, ready], ask: [actor, "unless=DIR/forbidden", exit=0], plan: [actor, "say=would migrate one thing", exit=0], ready: {notify: true}}
  alpha: {command: bin/alpha, after: [gate], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 2s}, limits: {memory: 200MB}}
  beta: {command: bin/beta, after: [gate, alpha], instances: 2, listeners: {http: "127.0.0.1:0", admin: {addr: "127.0.0.1:0", shared: false}}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 2s, errors: true}, limits: {memory: 200MB}}
  gamma: {command: bin/gamma, after: [gate, alpha], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 2s}, limits: {memory: 200MB}}
`

var services = []string{"alpha", "beta", "gamma"}

// target is a host with these services, and a machine that deploys to it with a key that can do nothing else.
type target struct {
	stack *stack
	sshd  *sshdtest.Server
	from  string // the folder that is deployed
}

func newTarget(t *testing.T) *target {
	t.Helper()
	h := &target{stack: newStack(t, shipped), from: t.TempDir()}
	h.begin()
	return h
}

// begin brings the first release up, and waits until it is good.
func (h *target) begin() {
	h.stack.Helper()
	if err := os.Mkdir(filepath.Join(h.stack.dir, "bin"), 0o755); err != nil {
		h.stack.Fatal(err)
	}
	for _, name := range services {
		h.build(name, "v1")
		if err := os.WriteFile(filepath.Join(h.stack.dir, "bin", name), build(h.stack.T, "v1"), 0o755); err != nil {
			h.stack.Fatal(err)
		}
	}
	h.stack.must("up")
	h.runs("v1", services...)
	h.sshd = sshdtest.Start(h.stack.T, "PGO_HOME="+h.stack.home(), "XDG_RUNTIME_DIR="+h.stack.sockets)
	h.sshd.Authorize("ci", `restrict,command="`+program+` receive --as ci"`)
	h.stack.env = append(h.stack.env, "XDG_CACHE_HOME="+h.stack.TempDir())
}

// build puts a build to where it is deployed from.
func (h *target) build(service, name string) { h.put(service, build(h.stack.T, name)) }

func (h *target) put(service string, text []byte) {
	h.stack.Helper()
	if err := os.WriteFile(filepath.Join(h.from, service), text, 0o755); err != nil {
		h.stack.Fatal(err)
	}
}

// deploys are the arguments of a deploy.
func (h *target) deploys(args ...string) []string {
	return append([]string{"deploy", "--to", "ci", "--ssh", "ssh -T -F " + h.sshd.Config, "--from", h.from}, args...)
}

func (h *target) on(args ...string) []string {
	return append(args, "--to", "ci", "--ssh", "ssh -T -F "+h.sshd.Config)
}

// runs waits until the services answer with the build, it is good, and nothing is under way.
func (h *target) runs(name string, of ...string) {
	h.stack.Helper()
	eventually(h.stack.T, name+" runs", func() error {
		for _, p := range h.stack.rows() {
			if p.Name == "gate" || !slices.Contains(of, p.Name) {
				continue
			}
			body, err := get("http://" + p.Listeners["http"])
			if err != nil || body != name || !p.Ready || p.ReloadPending || p.Version != name {
				return fmt.Errorf("%s: %q %w, %+v", p.Name, body, err, p)
			}
		}
		store := release.Store{Dir: filepath.Join(h.stack.home(), "releases")}
		for _, service := range of {
			r, err := store.Current(service)
			if err != nil || r.Record.Version != name || r.Record.PassedAt == nil {
				return fmt.Errorf("%s: %+v, %w", service, r.Record, err)
			}
		}
		return nil
	})
}

// audited returns the audit log, the last entry first.
func (h *target) audited() []audit.Entry {
	h.stack.Helper()
	all, err := audit.Log(filepath.Join(h.stack.home(), "audit.jsonl")).List()
	if err != nil {
		h.stack.Fatal(err)
	}
	return all
}

// load is on all services.
func (h *target) load() (none func()) {
	h.stack.Helper()
	var all []*load
	list := h.stack.list()
	for _, name := range services {
		all = append(all, startLoad(h.stack.T, "http://"+list[name].Listeners["http"]))
	}
	return func() {
		h.stack.Helper()
		for _, l := range all {
			l.none(h.stack.T)
		}
	}
}

// inPlace checks that the deploy folder has this build, and nothing else.
func (h *target) inPlace(name string) {
	h.stack.Helper()
	entries, err := os.ReadDir(filepath.Join(h.stack.dir, "bin"))
	if err != nil || len(entries) != len(services) {
		h.stack.Errorf("the deploy folder has %v, %v", entries, err)
	}
	for _, service := range services {
		text, err := os.ReadFile(filepath.Join(h.stack.dir, "bin", service))
		if err != nil || !bytes.Equal(text, build(h.stack.T, name)) {
			h.stack.Errorf("bin/%s is not %s, %v", service, name, err)
		}
	}
}

func events(t *testing.T, out string) []ship.Event {
	t.Helper()
	var all []ship.Event
	for line := range strings.Lines(out) {
		var e ship.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// with is the same stack for a part of a test.
func (s *stack) with(t *testing.T) *stack {
	part := *s
	part.T = t
	return &part
}

// probation changes how long releases are on probation from now on.
func (h *target) probation(d string) {
	h.stack.Helper()
	h.stack.write(strings.ReplaceAll(shipped, "probation: 2s", "probation: "+d))
	h.stack.must("apply")
}

// during does something when an event is told for the first time.
func (h *target) during(event string, do func(), code int) string {
	h.stack.Helper()
	done := false
	got, out := h.whenever(event, func() {
		if !done {
			done = true
			do()
		}
	})
	if got != code || !done {
		h.stack.Errorf("exit code %d, want %d:\n%s", got, code, out)
	}
	return out
}

// whenever deploys, and does something each time that an event is told.
func (h *target) whenever(event string, do func()) (code int, out string) {
	h.stack.Helper()
	cmd := h.stack.command(h.deploys("--json")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		h.stack.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		out += lines.Text() + "\n"
		var e ship.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			h.stack.Fatal(err)
		}
		if e.Event == event {
			do()
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		h.stack.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out + said.String()
}
