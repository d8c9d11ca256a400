package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/ship/delta"
	"pgo/deploy/pgo/internal/ship/wire"
)

func TestShip(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	assertNoFailures := h.startLoad()
	if out := h.sandbox.mustRun(h.deployArgs()...); !strings.Contains(out, "nothing to do") || strings.Count(out, "unchanged") != 3 {
		t.Errorf("of what runs already:\n%s", out)
	}
	before, _ := h.sshd.Bytes()
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	out := h.sandbox.mustRun(h.deployArgs("--json")...)
	h.awaitRelease("v2", deployedServices...)
	h.assertDeployed("v2")
	sent, _ := h.sshd.Bytes()
	size := int64(len(buildRelease(t, "v2")))
	if sent -= before; sent > 3*size/10 {
		t.Errorf("%d bytes were sent for three programs of %d", sent, size)
	}
	last := parseEvents(t, out)
	if result := last[len(last)-1].Result; result == nil || result.Result != audit.Done || len(result.Changes) != 3 || result.User != "ci" ||
		result.Changes[0].From.Version != "v1" || result.Changes[0].To.Version != "v2" {
		t.Errorf("the result is %+v", result)
	}
	if e := h.readAuditLog()[0]; e.Result != audit.Done || e.Kind != audit.KindDeploy || e.User != "ci" || e.Addr != "127.0.0.1" || e.Seconds <= 0 {
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
	h.putBuild("beta", "v3")
	if out := h.sandbox.mustRun(h.deployArgs("beta")...); !strings.Contains(out, "beta v2") {
		t.Errorf("deploy beta:\n%s", out)
	}
	h.awaitRelease("v3", "beta")
	h.sandbox.mustRun(h.remoteArgs("rollback", "beta")...)
	h.awaitRelease("v2", deployedServices...)
	// All three of the previous deploy.
	h.sandbox.mustRun(h.remoteArgs("rollback")...)
	h.awaitRelease("v1", deployedServices...)
	h.assertDeployed("v1")
	h.sandbox.assertFails(exitRefused, []string{"no good release to roll back to"}, h.remoteArgs("rollback", "alpha")...)
	if out := h.sandbox.mustRun(h.remoteArgs("releases")...); strings.Count(out, "rollback") < 2 || !strings.Contains(out, "v1 (") {
		t.Errorf("releases:\n%s", out)
	}
	// A release that was rolled back can be deployed again, and is not sent again.
	h.putBuild("beta", "v2")
	if out := h.sandbox.mustRun(h.deployArgs()...); !strings.Contains(out, "the host has") {
		t.Errorf("deploy again:\n%s", out)
	}
	h.awaitRelease("v2", deployedServices...)
	assertNoFailures()
	if out := h.sandbox.mustRun("events", "-n", "1000"); strings.Contains(out, "was deployed") {
		t.Errorf("the watch deployed it once more:\n%s", out)
	}
	h.sandbox.mustRun("up")
}

// badProgram is a build of beta that must not go live.
type badProgram struct {
	name   string
	text   []byte
	before func(*deployHost) // the deploy; nil does nothing
	code   int
	want   string
}

// A bad program is refused, or rolled back with its whole deploy; no request fails, and the next deploy works.
func TestShipBad(t *testing.T) {
	t.Parallel()
	v2 := buildRelease(t, "v2")
	tests := map[string][]badProgram{
		"without starting it": {
			{name: "for another machine", text: buildRelease(t, "foreign"), code: exitRefused, want: "wrong architecture"},
			{name: "cut off", text: v2[:len(v2)/2], code: exitRefused, want: "incomplete"},
			{name: "no program", text: []byte("hello\n"), code: exitRefused, want: "not executable"},
			{name: "its check fails", text: buildRelease(t, "unconfigured"), code: exitRefused, want: "key auth.secret: is missing"},
			{name: "a migration fails", text: buildRelease(t, "v3"), before: func(h *deployHost) { touchFile(t, filepath.Join(h.sandbox.dir, "forbidden")) }, code: exitRefused, want: "gate: does not let it run: exit status 1: there is "},
		},
		"when it starts": {
			{name: "ends at once", text: buildRelease(t, "exits"), code: exitRolledBack, want: "exit code 3"},
			{name: "never ready", text: buildRelease(t, "hangs"), code: exitRolledBack, want: "not ready within 10s"},
		},
		"while on probation": {
			{name: "ends while on probation", text: buildRelease(t, "crashes"), code: exitRolledBack, want: "exit code 4, 2 times while it was on probation"},
			{name: "grows to its memory limit", text: buildRelease(t, "grows"), code: exitRolledBack, want: ", its memory limit is "},
			{name: "answers with 500", text: buildRelease(t, "fails"), code: exitRolledBack, want: "requests ended with 5xx while it was on probation"},
			{name: "found bad before", text: buildRelease(t, "fails"), code: exitRefused, want: "was found bad before"},
		},
	}
	for name, programs := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newDeployHost(t)
			for _, program := range programs {
				t.Run(program.name, func(t *testing.T) {
					h := &deployHost{sandbox: h.sandbox.forSubtest(t), sshd: h.sshd, from: h.from}
					h.assertNotLive(program)
				})
			}
			if err := os.Remove(filepath.Join(h.sandbox.dir, "forbidden")); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			for _, service := range deployedServices {
				h.putBuild(service, "v2")
			}
			h.sandbox.mustRun(h.deployArgs()...)
			h.awaitRelease("v2", deployedServices...)
		})
	}
}

// assertNotLive deploys a bad program under load, and asserts that v1 runs after it and that the audit log has the reason.
func (h *deployHost) assertNotLive(program badProgram) {
	t := h.sandbox.t
	t.Helper()
	if program.before != nil {
		program.before(h)
	}
	h.putBuild("alpha", "v2")
	h.putProgram("beta", program.text)
	h.putBuild("gamma", "v2")
	entries := len(h.readAuditLog())
	assertNoFailures := h.startLoad()
	// A process that dies takes its requests with it, and a 500 is a 500: these two are detected by failed requests.
	if program.name == "ends while on probation" || program.name == "answers with 500" {
		assertNoFailures = func() {}
	}
	h.sandbox.assertFails(program.code, []string{program.want}, h.deployArgs()...)
	h.awaitRelease("v1", deployedServices...)
	assertNoFailures()
	h.assertDeployed("v1")
	all := h.readAuditLog()
	if len(all) != entries+1 || !strings.Contains(all[0].Reason, program.want) {
		t.Errorf("the audit log has %d more: %+v", len(all)-entries, all[0])
	}
}

// The host refuses content other than announced, and a delta from which no program can be made.
func TestReceiveRejectsOtherContent(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	v2 := buildRelease(t, "v2")
	var whole bytes.Buffer
	if err := delta.Encode(&whole, nil, v2); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text []byte
		base string
		want string
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
			report := wire.Report{}
			err := errors.Join(conn.Send(wire.Hello{Protocol: wire.Protocol, Operation: wire.OpDeploy, ID: "00000000-11"}), conn.Receive(&report))
			if err != nil || report.Welcome == nil {
				t.Fatalf("%+v %v", report, err)
			}
			plan := wire.Plan{Set: []wire.Program{{Process: "beta", SHA256: strings.Repeat("1", 64), Size: int64(len(v2)), Sent: true, Base: test.base}}}
			data := conn.FileWriter()
			err = conn.Send(plan)
			_, sent := data.Write(test.text)
			if err := errors.Join(err, sent, data.Close()); err != nil {
				t.Fatal(err)
			}
			for report.Result == nil {
				if err := conn.Receive(&report); err != nil {
					t.Fatal(err)
				}
			}
			if report.Result.Result != audit.Refused || !strings.Contains(report.Result.Reason, test.want) {
				t.Errorf("the result is %+v", report.Result)
			}
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	h.awaitRelease("v1", deployedServices...)
}

// Of two deploys at once the second is refused with the name of the first, or waits.
func TestShipConcurrently(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	h.setProbation("20s")
	h.deployDuring("probation", func() {
		h.sandbox.assertFails(exitLocked, []string{"deploy by ci since ", "from 127.0.0.1"}, h.deployArgs()...)
	}, exitOK)
	h.awaitRelease("v2", deployedServices...)
	for _, service := range deployedServices {
		h.putBuild(service, "v1")
	}
	waited := make(chan string, 1)
	h.deployDuring("probation", func() {
		go func() { waited <- h.sandbox.mustRun(h.deployArgs("--wait")...) }()
	}, exitOK)
	if out := <-waited; !strings.Contains(out, "nothing to do") {
		t.Errorf("the second:\n%s", out)
	}
}

func TestShipDryRun(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	h.putBuild("beta", "v2")
	out := h.sandbox.mustRun(h.deployArgs("--dry-run")...)
	for _, text := range []string{" sent ", "gate         plan       would migrate one thing", "would run v2 ("} {
		if !strings.Contains(out, text) {
			t.Errorf("no %q in\n%s", text, out)
		}
	}
	h.awaitRelease("v1", deployedServices...)
	h.assertDeployed("v1")
	if all := h.readAuditLog(); len(all) != 0 {
		t.Errorf("the audit log has %+v", all)
	}
	h.putProgram("beta", buildRelease(t, "foreign"))
	h.sandbox.assertFails(exitRefused, []string{"wrong architecture"}, h.deployArgs("--dry-run")...)
}

// On a full disk nothing is changed, and the audit log has the refusal.
func TestShipFullDisk(t *testing.T) {
	t.Parallel()
	h := &deployHost{sandbox: newSandbox(t, deployedProcessFile), from: t.TempDir()}
	if err := os.Mkdir(h.sandbox.homeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	size := 3*len(buildRelease(t, "v1")) + 4<<20
	if err := syscall.Mount("tmpfs", h.sandbox.homeDir(), "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount a small disk, which takes root: %v", err)
	}
	t.Cleanup(func() {
		h.sandbox.runPgo("down")
		if err := syscall.Unmount(h.sandbox.homeDir(), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h.startServices()
	assertNoFailures := h.startLoad()
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	h.sandbox.assertFails(exitRefused, []string{"no space left on device"}, h.deployArgs()...)
	h.awaitRelease("v1", deployedServices...)
	assertNoFailures()
	if all := h.readAuditLog(); len(all) != 1 || all[0].Result != audit.Refused {
		t.Errorf("the audit log has %+v", all)
	}
}

// The first deploy of all has no previous release.
func TestShipFirst(t *testing.T) {
	t.Parallel()
	h := &deployHost{sandbox: newSandbox(t, deployedProcessFile), from: t.TempDir()}
	h.startServices()
	h.sandbox.mustRun("down")
	if err := errors.Join(os.RemoveAll(h.sandbox.homeDir()), os.RemoveAll(filepath.Join(h.sandbox.dir, "bin")), os.Mkdir(filepath.Join(h.sandbox.dir, "bin"), 0o755)); err != nil {
		t.Fatal(err)
	}
	h.sandbox.assertFails(exitUnavailable, []string{"pgo is not running"}, h.deployArgs()...)
	h.sandbox.assertFails(exitFailed, []string{"no such file"}, "up")
	h.putBuild("beta", "exits")
	h.sandbox.assertFails(exitRolledBack, []string{"exit code 3"}, h.deployArgs()...)
	for _, name := range deployedServices {
		if p := h.sandbox.listByName()[name]; p.PID != 0 {
			t.Errorf("%s runs: %+v", name, p)
		}
	}
	h.putBuild("beta", "v1")
	h.sandbox.mustRun(h.deployArgs()...)
	h.awaitRelease("v1", deployedServices...)
	h.assertDeployed("v1")
	h.sandbox.mustRun("up")
}

// The deploy key can do nothing else.
func TestForcedCommand(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	for _, command := range []string{"cat /etc/passwd", "sh", "pgo down", "pgo receive; id", "pgo receive --as root"} {
		cmd := exec.Command("ssh", "-T", "-F", h.sshd.Config, "ci", command)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "this key is for pgo deploy only") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	h.sandbox.assertFails(exitUnavailable, []string{"cannot be reached"}, append(h.deployArgs(), "--to", "nowhere.invalid")...)
	h.sandbox.assertFails(exitUsage, []string{"name a host"}, "deploy")
	h.sandbox.assertFails(exitFailed, []string{`no process "delta"`, "alpha, beta, gamma"}, h.deployArgs("delta")...)
	h.putBuild("beta", "v2")
	h.sandbox.mustRun(h.deployArgs("--remote", "/opt/pgo receive --home /elsewhere", "--as", "alice")...)
	if e := h.readAuditLog()[0]; e.User != "ci" || e.ClaimedUser != "alice" {
		t.Errorf("the audit log has %+v", e)
	}

}
