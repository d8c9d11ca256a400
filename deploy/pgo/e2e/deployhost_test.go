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

// deployedProcessFile has a gate and three services after it, two of which come after the first.
const deployedProcessFile = `
  gate: {kind: gate, command: ACTOR, args: [actor, ready], ask: [actor, "unless=DIR/forbidden", exit=0], plan: [actor, "print=would migrate one thing", exit=0], ready: {notify: true}}
  alpha: {command: bin/alpha, after: [gate], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 2s}, limits: {memory: 200MB}}
  beta: {command: bin/beta, after: [gate, alpha], instances: 2, listeners: {http: "127.0.0.1:0", admin: {addr: "127.0.0.1:0", shared: false}}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 2s, errors: true}, limits: {memory: 200MB}}
  gamma: {command: bin/gamma, after: [gate, alpha], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 2s}, limits: {memory: 200MB}}
`

var deployedServices = []string{"alpha", "beta", "gamma"}

// deployHost is a host with these services, and a machine that deploys to it with a key that can do nothing else.
type deployHost struct {
	sandbox *sandbox
	sshd    *sshdtest.Server
	from    string // the directory that is deployed
}

func newDeployHost(t *testing.T) *deployHost {
	t.Helper()
	h := &deployHost{sandbox: newSandbox(t, deployedProcessFile), from: t.TempDir()}
	h.startServices()
	return h
}

// startServices starts the first release and waits until it is good.
func (h *deployHost) startServices() {
	h.sandbox.t.Helper()
	if err := os.Mkdir(filepath.Join(h.sandbox.dir, "bin"), 0o755); err != nil {
		h.sandbox.t.Fatal(err)
	}
	for _, name := range deployedServices {
		h.putBuild(name, "v1")
		if err := os.WriteFile(filepath.Join(h.sandbox.dir, "bin", name), buildRelease(h.sandbox.t, "v1"), 0o755); err != nil {
			h.sandbox.t.Fatal(err)
		}
	}
	h.sandbox.mustRun("up")
	h.awaitRelease("v1", deployedServices...)
	h.sshd = sshdtest.Start(h.sandbox.t, "PGO_HOME="+h.sandbox.homeDir(), "XDG_RUNTIME_DIR="+h.sandbox.socketsDir)
	h.sshd.Authorize("ci", `restrict,command="`+pgoPath+` receive --as ci"`)
	h.sandbox.env = append(h.sandbox.env, "XDG_CACHE_HOME="+h.sandbox.t.TempDir())
}

// putBuild puts a build into the directory that is deployed.
func (h *deployHost) putBuild(service, name string) {
	h.putProgram(service, buildRelease(h.sandbox.t, name))
}

func (h *deployHost) putProgram(service string, text []byte) {
	h.sandbox.t.Helper()
	if err := os.WriteFile(filepath.Join(h.from, service), text, 0o755); err != nil {
		h.sandbox.t.Fatal(err)
	}
}

// deployArgs returns the arguments of a deploy to the host.
func (h *deployHost) deployArgs(args ...string) []string {
	return append([]string{"deploy", "--to", "ci", "--ssh", "ssh -T -F " + h.sshd.Config, "--from", h.from}, args...)
}

func (h *deployHost) remoteArgs(args ...string) []string {
	return append(args, "--to", "ci", "--ssh", "ssh -T -F "+h.sshd.Config)
}

// awaitRelease waits until the services answer with the build, it is good, and nothing is under way.
func (h *deployHost) awaitRelease(name string, of ...string) {
	h.sandbox.t.Helper()
	eventually(h.sandbox.t, name+" runs", func() error {
		for _, p := range h.sandbox.listInstances() {
			if p.Name == "gate" || !slices.Contains(of, p.Name) {
				continue
			}
			body, err := getURL("http://" + p.Listeners["http"])
			if err != nil || body != name || !p.Ready || p.ReloadPending || p.Version != name {
				return fmt.Errorf("%s: %q %w, %+v", p.Name, body, err, p)
			}
		}
		store := release.Store{Dir: filepath.Join(h.sandbox.homeDir(), "releases")}
		for _, service := range of {
			r, err := store.Current(service)
			if err != nil || r.Record.Version != name || r.Record.PassedAt == nil {
				return fmt.Errorf("%s: %+v, %w", service, r.Record, err)
			}
		}
		return nil
	})
}

// readAuditLog returns the audit log, the last entry first.
func (h *deployHost) readAuditLog() []audit.Entry {
	h.sandbox.t.Helper()
	all, err := audit.Log(filepath.Join(h.sandbox.homeDir(), "audit.jsonl")).List()
	if err != nil {
		h.sandbox.t.Fatal(err)
	}
	return all
}

// startLoad sends requests to all services. It returns a function that stops them and asserts that none failed.
func (h *deployHost) startLoad() (assertNoFailures func()) {
	h.sandbox.t.Helper()
	var all []*loadGenerator
	list := h.sandbox.listByName()
	for _, name := range deployedServices {
		all = append(all, startLoad(h.sandbox.t, "http://"+list[name].Listeners["http"]))
	}
	return func() {
		h.sandbox.t.Helper()
		for _, l := range all {
			l.assertNoFailures(h.sandbox.t)
		}
	}
}

// assertDeployed checks that the deploy directory has this build, and nothing else.
func (h *deployHost) assertDeployed(name string) {
	h.sandbox.t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.sandbox.dir, "bin"))
	if err != nil || len(entries) != len(deployedServices) {
		h.sandbox.t.Errorf("the deploy directory has %v, %v", entries, err)
	}
	for _, service := range deployedServices {
		text, err := os.ReadFile(filepath.Join(h.sandbox.dir, "bin", service))
		if err != nil || !bytes.Equal(text, buildRelease(h.sandbox.t, name)) {
			h.sandbox.t.Errorf("bin/%s is not %s, %v", service, name, err)
		}
	}
}

func parseEvents(t *testing.T, out string) []ship.Event {
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

// forSubtest returns the same sandbox for a subtest.
func (s *sandbox) forSubtest(t *testing.T) *sandbox {
	part := *s
	part.t = t
	return &part
}

// setProbation changes how long releases are on probation from now on.
func (h *deployHost) setProbation(d string) {
	h.sandbox.t.Helper()
	h.sandbox.writeProcessFile(strings.ReplaceAll(deployedProcessFile, "probation: 2s", "probation: "+d))
	h.sandbox.mustRun("apply")
}

// deployDuring deploys, calls do at the first event of this name, and asserts the exit code. It returns the output.
func (h *deployHost) deployDuring(event string, do func(), code int) string {
	h.sandbox.t.Helper()
	done := false
	got, out := h.deployWithHook(event, func() {
		if !done {
			done = true
			do()
		}
	})
	if got != code || !done {
		h.sandbox.t.Errorf("exit code %d, want %d:\n%s", got, code, out)
	}
	return out
}

// deployWithHook deploys, and calls do at each event of this name.
func (h *deployHost) deployWithHook(event string, do func()) (code int, out string) {
	h.sandbox.t.Helper()
	cmd := h.sandbox.newCommand(h.deployArgs("--json")...)
	var output bytes.Buffer
	cmd.Stderr = &output
	stdout, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		h.sandbox.t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		out += lines.Text() + "\n"
		var e ship.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			h.sandbox.t.Fatal(err)
		}
		if e.Event == event {
			do()
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		h.sandbox.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out + output.String()
}
