package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/audit"
	"pgo/deploy/pgo/internal/sshdtest"
	"pgo/deploy/pgo/release"
	"pgo/deploy/pgo/ship"
	"pgo/deploy/pgo/ship/delta"
	"pgo/deploy/pgo/ship/wire"
)

// shipped are three services, of which two come after the first, and a gate before all.
const shipped = `
  gate: {kind: gate, command: ACTOR, args: [actor, ready], ask: [actor, "unless=DIR/forbidden", exit=0], plan: [actor, "say=would migrate one thing", exit=0], ready: {notify: true}}
  alpha: {command: bin/alpha, after: [gate], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 5s}, restart: {first_wait: 10ms}, watch: {probation: 2s}, limits: {memory: 200MB}}
  beta: {command: bin/beta, after: [gate, alpha], instances: 2, listeners: {http: "127.0.0.1:0", admin: {addr: "127.0.0.1:0", shared: false}}, ready: {notify: true, within: 5s}, restart: {first_wait: 10ms}, watch: {probation: 2s, errors: true}, limits: {memory: 200MB}}
  gamma: {command: bin/gamma, after: [gate, alpha], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 5s}, restart: {first_wait: 10ms}, watch: {probation: 2s}, limits: {memory: 200MB}}
`

var services = []string{"alpha", "beta", "gamma"}

// target is a host with these services, and a machine that deploys to it with a key that can do nothing else.
type target struct {
	*stack
	sshd *sshdtest.Server
	from string // the folder that is deployed
}

func newTarget(t *testing.T) *target {
	t.Helper()
	h := &target{stack: newStack(t, shipped), from: t.TempDir()}
	h.begin()
	return h
}

// begin brings the first release up, and waits until it is good.
func (h *target) begin() {
	h.Helper()
	if err := os.Mkdir(filepath.Join(h.dir, "bin"), 0o755); err != nil {
		h.Fatal(err)
	}
	for _, name := range services {
		h.build(name, "v1")
		if err := os.WriteFile(filepath.Join(h.dir, "bin", name), build(h.T, "v1"), 0o755); err != nil {
			h.Fatal(err)
		}
	}
	h.must("up")
	h.runs("v1", services...)
	h.sshd = sshdtest.Start(h.T, "PGO_TEST_AS=pgo", "PGO_HOME="+h.home(), "XDG_RUNTIME_DIR="+h.sockets)
	h.sshd.Authorize("ci", `restrict,command="`+h.self+` receive --as ci"`)
	h.env = append(h.env, "XDG_CACHE_HOME="+h.TempDir())
}

// build puts a build to where it is deployed from.
func (h *target) build(service, name string) { h.put(service, build(h.T, name)) }

func (h *target) put(service string, text []byte) {
	h.Helper()
	if err := os.WriteFile(filepath.Join(h.from, service), text, 0o755); err != nil {
		h.Fatal(err)
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
	h.Helper()
	eventually(h.T, name+" runs", func() error {
		for _, p := range h.rows() {
			if p.Name == "gate" || !anyMatches(of, p.Name) {
				continue
			}
			body, err := get("http://" + p.Listeners["http"])
			if err != nil || body != name || !p.Ready || p.Reload || p.Version != name {
				return fmt.Errorf("%s: %q %w, %+v", p.Name, body, err, p)
			}
		}
		store := release.Store{Dir: filepath.Join(h.home(), "releases")}
		for _, service := range of {
			r, err := store.Live(service)
			if err != nil || r.Version != name || r.GoodAt == nil {
				return fmt.Errorf("%s: %+v, %w", service, r.Record, err)
			}
		}
		return nil
	})
}

// audited returns the audit log, the last entry first.
func (h *target) audited() []audit.Entry {
	h.Helper()
	all, err := audit.Log(filepath.Join(h.home(), "audit.jsonl")).All()
	if err != nil {
		h.Fatal(err)
	}
	return all
}

// load is on all services.
func (h *target) load() (none func()) {
	h.Helper()
	var all []*load
	list := h.list()
	for _, name := range services {
		all = append(all, startLoad(h.T, "http://"+list[name].Listeners["http"]))
	}
	return func() {
		h.Helper()
		for _, l := range all {
			l.none(h.T)
		}
	}
}

// inPlace checks that the deploy folder has this build, and nothing else.
func (h *target) inPlace(name string) {
	h.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dir, "bin"))
	if err != nil || len(entries) != len(services) {
		h.Errorf("the deploy folder has %v, %v", entries, err)
	}
	for _, service := range services {
		text, err := os.ReadFile(filepath.Join(h.dir, "bin", service))
		if err != nil || !bytes.Equal(text, build(h.T, name)) {
			h.Errorf("bin/%s is not %s, %v", service, name, err)
		}
	}
}

func TestShip(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	none := h.load()
	if out := h.must(h.deploys()...); !strings.Contains(out, "nothing to do") || strings.Count(out, "unchanged") != 3 {
		t.Errorf("of what runs already:\n%s", out)
	}
	before, _ := h.sshd.Bytes()
	for _, service := range services {
		h.build(service, "v2")
	}
	out := h.must(h.deploys("--json")...)
	h.runs("v2", services...)
	h.inPlace("v2")
	sent, _ := h.sshd.Bytes()
	size := int64(len(build(t, "v2")))
	if sent -= before; sent > 3*size/10 {
		t.Errorf("%d bytes were sent for three programs of %d", sent, size)
	}
	last := events(t, out)
	if result := last[len(last)-1].Result; result == nil || result.Result != audit.Done || len(result.Set) != 3 || result.By != "ci" ||
		result.Set[0].From.Version != "v1" || result.Set[0].To.Version != "v2" {
		t.Errorf("the result is %+v", result)
	}
	if e := h.audited()[0]; e.Result != audit.Done || e.Kind != audit.Deploy || e.By != "ci" || e.From != "127.0.0.1" || e.Seconds <= 0 {
		t.Errorf("the audit log has %+v", e)
	}
	runs := map[string]int{}
	for n, e := range last {
		if e.Event == "runs" {
			runs[e.Process] = n
		}
	}
	if len(runs) != 3 || runs["alpha"] > runs["beta"] || runs["alpha"] > runs["gamma"] {
		t.Errorf("the order was %v", runs)
	}
	// One alone; the others stay as they are.
	h.build("beta", "v3")
	if out := h.must(h.deploys("beta")...); !strings.Contains(out, "beta v2") {
		t.Errorf("deploy beta:\n%s", out)
	}
	h.runs("v3", "beta")
	h.must(h.on("rollback", "beta")...)
	h.runs("v2", services...)
	// All three of the deploy before.
	h.must(h.on("rollback")...)
	h.runs("v1", services...)
	h.inPlace("v1")
	h.fails(exitRefused, []string{"no good release to go back to"}, h.on("rollback", "alpha")...)
	if out := h.must(h.on("releases")...); strings.Count(out, "rollback") < 2 || !strings.Contains(out, "v1 (") {
		t.Errorf("releases:\n%s", out)
	}
	// What was rolled back can be deployed again, and is not sent again.
	h.build("beta", "v2")
	if out := h.must(h.deploys()...); !strings.Contains(out, "the host has") {
		t.Errorf("deploy again:\n%s", out)
	}
	h.runs("v2", services...)
	none()
	if out := h.must("events", "-n", "1000"); strings.Contains(out, "was deployed") {
		t.Errorf("the watch deployed it once more:\n%s", out)
	}
	h.must("up")
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

// What does not work is refused, or put back with all of its deploy; nobody notices, and the next deploy works.
func TestShipBad(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	v2 := build(t, "v2")
	tests := []struct {
		name   string
		text   []byte
		before func() // of the deploy
		code   int
		says   string
	}{
		{name: "for another machine", text: build(t, "foreign"), code: exitRefused, says: "wrong architecture"},
		{name: "cut off", text: v2[:len(v2)/2], code: exitRefused, says: "incomplete"},
		{name: "no program", text: []byte("hello\n"), code: exitRefused, says: "not executable"},
		{name: "its check fails", text: build(t, "unconfigured"), code: exitRefused, says: "key auth.secret: is missing"},
		{name: "ends at once", text: build(t, "exits"), code: exitPutBack, says: "exit code 3"},
		{name: "never ready", text: build(t, "hangs"), code: exitPutBack, says: "not ready within 5s"},
		{name: "ends while on probation", text: build(t, "crashes"), code: exitPutBack, says: "exit code 4, 2 times while it was on probation"},
		{name: "grows to its memory limit", text: build(t, "grows"), code: exitPutBack, says: ", its memory limit is "},
		{name: "answers with 500", text: build(t, "fails"), code: exitPutBack, says: "requests ended with 5xx while it was on probation"},
		{name: "found bad before", text: build(t, "fails"), code: exitRefused, says: "was found bad before"},
		{name: "a migration fails", text: build(t, "v3"), before: func() { touch(t, filepath.Join(h.dir, "forbidden")) }, code: exitRefused, says: "gate: does not let it run: exit status 1: there is "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &target{stack: h.with(t), sshd: h.sshd, from: h.from}
			if test.before != nil {
				test.before()
			}
			h.build("alpha", "v2")
			h.put("beta", test.text)
			h.build("gamma", "v2")
			entries := len(h.audited())
			none := h.load()
			// What dies takes its requests with it, and a 500 is a 500: these two are known by it.
			if test.name == "ends while on probation" || test.name == "answers with 500" {
				none = func() {}
			}
			h.fails(test.code, []string{test.says}, h.deploys()...)
			h.runs("v1", services...)
			none()
			h.inPlace("v1")
			all := h.audited()
			if len(all) != entries+1 || !strings.Contains(all[0].Why, test.says) {
				t.Errorf("the audit log has %d more: %+v", len(all)-entries, all[0])
			}
		})
	}
	if err := os.Remove(filepath.Join(h.dir, "forbidden")); err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		h.build(service, "v2")
	}
	h.must(h.deploys()...)
	h.runs("v2", services...)
}

// with is the same stack for a part of a test.
func (s *stack) with(t *testing.T) *stack {
	part := *s
	part.T = t
	return &part
}

// The connection lost at any point: all is as it was, or all is new; the lock is free, and the log says which.
func TestShipLost(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	none := h.load()
	for _, service := range services {
		h.build(service, "v2")
	}
	// So that bytes are counted of whole files, the cache has nothing.
	h.env = append(h.env, "XDG_CACHE_HOME=/dev/null")
	size := int64(len(build(t, "v2"))) // about a third of it is sent for each of three
	for n := range 10 {
		h.sshd.CutAfter(1 + int64(n)*size/10)
		h.lost(h.pgo(h.deploys()...))
	}
	for _, at := range []string{"host", "sent", "checked", "gate", "runs", "runs", "probation", "probation", "good", "good"} {
		h.lost(h.cutAt(at))
	}
	h.must(h.deploys()...)
	h.runs("v2", services...)
	none()
}

// lost checks what is after a connection was lost.
func (h *target) lost(code int, out string) {
	h.Helper()
	switch code {
	case exitPutBack, exitRefused, exitUnavailable:
		h.runs("v1", services...)
		h.inPlace("v1")
	case exitOK: // it was through
		h.runs("v2", services...)
		h.must(h.on("rollback")...)
		h.runs("v1", services...)
	default:
		h.Errorf("exit code %d:\n%s", code, out)
	}
	id := ""
	for line := range strings.Lines(out) {
		var e ship.Event
		if json.Unmarshal([]byte(line), &e) == nil {
			id = e.ID
		}
	}
	if all := h.audited(); id != "" && !strings.Contains(fmt.Sprint(all), id) {
		h.Errorf("the audit log does not know %s: %+v", id, all)
	}
	h.T.Logf("exit code %d: %s", code, strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
}

// cutAt deploys, and loses the connection when something is told.
func (h *target) cutAt(event string) (code int, out string) {
	h.Helper()
	cmd := h.command(h.deploys("--json")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		h.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		out += lines.Text() + "\n"
		var e ship.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			h.Fatal(err)
		}
		if e.Event == event {
			h.sshd.Cut()
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out + said.String()
}

// A manager that is killed while a deploy is on probation is followed by one that puts it back.
func TestShipManagerKilled(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	none := h.load()
	for _, service := range services {
		h.build(service, "v2")
	}
	h.probation("1h")
	out := h.during("probation", func() { h.killManager() }, exitPutBack)
	h.probation("2s")
	if !strings.Contains(out, "manager ended in the middle of it") {
		t.Errorf("it says:\n%s", out)
	}
	h.runs("v1", services...)
	h.inPlace("v1")
	h.must(h.deploys()...)
	h.runs("v2", services...)
	none()
}

// probation changes how long releases are on probation from now on.
func (h *target) probation(d string) {
	h.Helper()
	h.write(strings.ReplaceAll(shipped, "probation: 2s", "probation: "+d))
	h.must("apply")
}

// during does something when an event is told for the first time.
func (h *target) during(event string, do func(), code int) string {
	h.Helper()
	cmd := h.command(h.deploys("--json")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		h.Fatal(err)
	}
	done, out := false, ""
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		out += lines.Text() + "\n"
		if !done && strings.Contains(lines.Text(), `"event":"`+event+`"`) {
			done = true
			do()
		}
	}
	_ = cmd.Wait() // its code is looked at
	if got := cmd.ProcessState.ExitCode(); got != code || !done {
		h.Errorf("exit code %d, want %d:\n%s%s", got, code, out, said.String())
	}
	return out + said.String()
}

// What a gate does not let run any more is not put back, and the reason is told.
func TestShipThatCannotGoBack(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	h.build("beta", "v2")
	h.build("gamma", "crashes")
	out := h.during("gate", func() { touch(t, filepath.Join(h.dir, "forbidden")) }, exitNotPutBack)
	if !strings.Contains(out, "not put back, since gate: does not let it run") {
		t.Errorf("it says:\n%s", out)
	}
	if p := h.list()["beta"]; p.Version != "v2" {
		t.Errorf("beta: %+v", p)
	}
	if e := h.audited()[0]; e.Result != audit.NotPutBack {
		t.Errorf("the audit log has %+v", e)
	}
}

// A process on the host that is killed leaves no lock, and a line in the log.
func TestReceiveKilled(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	for _, service := range services {
		h.build(service, "v2")
	}
	h.probation("1h")
	h.during("probation", func() { h.killReceive() }, exitPutBack)
	h.probation("2s")
	h.runs("v1", services...)
	h.during("host", func() { h.killReceive() }, exitRefused)
	h.runs("v1", services...)
	if all := h.audited(); len(all) != 2 {
		t.Errorf("the audit log has %+v", all)
	}
	h.must(h.deploys()...)
	h.runs("v2", services...)
}

func (h *target) killReceive() {
	h.Helper()
	for pid, command := range h.processes() {
		if strings.Contains(command, " receive ") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				h.Fatal(err)
			}
		}
	}
}

// What arrives is not what was said: another content, or what nobody can make a program of.
func TestReceiveOther(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	v2 := build(t, "v2")
	var whole bytes.Buffer
	if err := delta.Encode(&whole, nil, v2); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text []byte
		base string
		says string
	}{
		"a bad checksum":       {whole.Bytes(), "", "mixed: what arrived has SHA-256 "},
		"no program":           {[]byte("hello"), "", "the difference is damaged"},
		"of an unknown":        {whole.Bytes(), strings.Repeat("0", 64), "no such file"},
		"of a file of others'": {whole.Bytes(), "../../../../../etc/passwd", "it names the release"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("ssh", "-T", "-F", h.sshd.Config, "ci")
			in, err1 := cmd.StdinPipe()
			out, err2 := cmd.StdoutPipe()
			if err := errors.Join(err1, err2, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			conn, _ := wire.Open(t.Context(), out, in)
			said := wire.Said{}
			err := errors.Join(conn.Send(wire.Hello{Protocol: wire.Protocol, Ask: wire.Deploy, ID: "00000000-11"}), conn.Receive(&said))
			if err != nil || said.Welcome == nil {
				t.Fatalf("%+v %v", said, err)
			}
			plan := wire.Plan{Set: []wire.Program{{Process: "beta", SHA256: strings.Repeat("1", 64), Size: int64(len(v2)), Sent: true, Base: test.base}}}
			data := conn.Data()
			err = conn.Send(plan)
			_, sent := data.Write(test.text)
			if err := errors.Join(err, sent, data.Close()); err != nil {
				t.Fatal(err)
			}
			for said.Result == nil {
				if err := conn.Receive(&said); err != nil {
					t.Fatal(err)
				}
			}
			if said.Result.Result != audit.Refused || !strings.Contains(said.Result.Why, test.says) {
				t.Errorf("it says %+v", said.Result)
			}
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	h.runs("v1", services...)
}

// Two at once: the second is refused and told who it is, or waits.
func TestShipTwo(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	for _, service := range services {
		h.build(service, "v2")
	}
	h.probation("20s")
	h.during("probation", func() {
		h.fails(exitLocked, []string{"deploy by ci since ", "from 127.0.0.1"}, h.deploys()...)
	}, exitOK)
	h.runs("v2", services...)
	for _, service := range services {
		h.build(service, "v1")
	}
	waited := make(chan string, 1)
	h.during("probation", func() {
		go func() { waited <- h.must(h.deploys("--wait")...) }()
	}, exitOK)
	if out := <-waited; !strings.Contains(out, "nothing to do") {
		t.Errorf("the second:\n%s", out)
	}
}

func TestShipDryRun(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	h.build("beta", "v2")
	out := h.must(h.deploys("--dry-run")...)
	for _, text := range []string{" sent ", "gate         plan       would migrate one thing", "would run v2 ("} {
		if !strings.Contains(out, text) {
			t.Errorf("no %q in\n%s", text, out)
		}
	}
	h.runs("v1", services...)
	h.inPlace("v1")
	if all := h.audited(); len(all) != 0 {
		t.Errorf("the audit log has %+v", all)
	}
	h.put("beta", build(t, "foreign"))
	h.fails(exitRefused, []string{"wrong architecture"}, h.deploys("--dry-run")...)
}

// A disk that is full: nothing is touched, and the log says so.
func TestShipFullDisk(t *testing.T) {
	t.Parallel()
	h := &target{stack: newStack(t, shipped), from: t.TempDir()}
	if err := os.Mkdir(h.home(), 0o700); err != nil {
		t.Fatal(err)
	}
	size := 3*len(build(t, "v1")) + 4<<20
	if err := syscall.Mount("tmpfs", h.home(), "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount a small disk, which takes root: %v", err)
	}
	t.Cleanup(func() {
		h.pgo("down")
		if err := syscall.Unmount(h.home(), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h.begin()
	none := h.load()
	for _, service := range services {
		h.build(service, "v2")
	}
	h.fails(exitRefused, []string{"no space left on device"}, h.deploys()...)
	h.runs("v1", services...)
	none()
	if all := h.audited(); len(all) != 1 || all[0].Result != audit.Refused {
		t.Errorf("the audit log has %+v", all)
	}
}

// The first release of all has nothing before it.
func TestShipFirst(t *testing.T) {
	t.Parallel()
	h := &target{stack: newStack(t, shipped), from: t.TempDir()}
	h.begin()
	h.must("down")
	if err := errors.Join(os.RemoveAll(h.home()), os.RemoveAll(filepath.Join(h.dir, "bin")), os.Mkdir(filepath.Join(h.dir, "bin"), 0o755)); err != nil {
		t.Fatal(err)
	}
	h.fails(exitUnavailable, []string{"pgo is not running"}, h.deploys()...)
	h.fails(exitFailed, []string{"no such file"}, "up")
	h.build("beta", "exits")
	h.fails(exitPutBack, []string{"exit code 3"}, h.deploys()...)
	for _, name := range services {
		if p := h.list()[name]; p.PID != 0 {
			t.Errorf("%s runs: %+v", name, p)
		}
	}
	h.build("beta", "v1")
	h.must(h.deploys()...)
	h.runs("v1", services...)
	h.inPlace("v1")
	h.must("up")
}

// The key can do nothing else.
func TestForcedCommand(t *testing.T) {
	h := newTarget(t)
	for _, command := range []string{"cat /etc/passwd", "sh", "pgo down", "pgo receive; id", "pgo receive --as root"} {
		cmd := exec.Command("ssh", "-T", "-F", h.sshd.Config, "ci", command)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "this key is for pgo deploy only") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	h.fails(exitUnavailable, []string{"cannot be reached"}, append(h.deploys(), "--to", "nowhere.invalid")...)
	h.fails(exitUsage, []string{"name a host"}, "deploy")
	h.fails(exitFailed, []string{`no process "delta"`, "alpha, beta, gamma"}, h.deploys("delta")...)
	h.build("beta", "v2")
	h.must(h.deploys("--remote", "/opt/pgo receive --home /elsewhere", "--as", "somebody")...)
	if e := h.audited()[0]; e.By != "ci" || e.Claims != "somebody" {
		t.Errorf("the audit log has %+v", e)
	}

}
