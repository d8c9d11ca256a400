package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/ship"
)

// When the connection is lost after any number of bytes, all is as it was, or all is new; the lock is free, and the audit
// log has the result.
func TestShipLostWhileSending(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	// Without a cache whole files are sent, so that the bytes can be counted.
	h.sandbox.env = append(h.sandbox.env, "XDG_CACHE_HOME=/dev/null")
	size := int64(len(buildRelease(t, "v2"))) // about a third of it is sent for each of the three programs
	h.assertLossesHarmless(func() {
		for n := range 10 {
			h.sshd.CutAfter(1 + int64(n)*size/10)
			h.assertConsistent(h.sandbox.runPgo(h.deployArgs()...))
		}
	})
}

// The same holds when the connection is lost at a step of the deploy.
func TestShipLostAtStep(t *testing.T) {
	t.Parallel()
	for _, steps := range [][]string{{"host", "sent", "checked", "gate", "good"}, {"runs", "runs", "probation", "probation", "good"}} {
		t.Run(strings.Join(steps, " "), func(t *testing.T) {
			t.Parallel()
			h := newDeployHost(t)
			h.sandbox.env = append(h.sandbox.env, "XDG_CACHE_HOME=/dev/null")
			h.assertLossesHarmless(func() {
				for _, at := range steps {
					h.assertConsistent(h.deployWithHook(at, h.sshd.Cut))
				}
			})
		})
	}
}

// assertLossesHarmless calls deploy, which loses connections, under load, and asserts that a deploy succeeds after it, and
// that no request has failed.
func (h *deployHost) assertLossesHarmless(deploy func()) {
	h.sandbox.t.Helper()
	assertNoFailures := h.startLoad()
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	deploy()
	h.sandbox.mustRun(h.deployArgs()...)
	h.awaitRelease("v2", deployedServices...)
	assertNoFailures()
}

// assertConsistent checks the host after a connection was lost, and leaves it at v1.
func (h *deployHost) assertConsistent(code int, out string) {
	h.sandbox.t.Helper()
	switch code {
	case exitRolledBack, exitRefused, exitUnavailable:
		h.awaitRelease("v1", deployedServices...)
		h.assertDeployed("v1")
	case exitOK: // the deploy was complete
		h.awaitRelease("v2", deployedServices...)
		h.sandbox.mustRun(h.remoteArgs("rollback")...)
		h.awaitRelease("v1", deployedServices...)
	default:
		h.sandbox.t.Errorf("exit code %d:\n%s", code, out)
	}
	id := ""
	for line := range strings.Lines(out) {
		var e ship.Event
		if json.Unmarshal([]byte(line), &e) == nil {
			id = e.ID
		}
	}
	if all := h.readAuditLog(); id != "" && !strings.Contains(fmt.Sprint(all), id) {
		h.sandbox.t.Errorf("the audit log does not know %s: %+v", id, all)
	}
	h.sandbox.t.Logf("exit code %d: %s", code, strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
}

// A manager that is killed while a deploy is on probation is followed by one that rolls it back.
func TestShipManagerKilled(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	assertNoFailures := h.startLoad()
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	h.setProbation("1h")
	out := h.deployDuring("probation", func() { h.sandbox.killManager() }, exitRolledBack)
	h.setProbation("2s")
	if !strings.Contains(out, "manager ended in the middle of it") {
		t.Errorf("it printed\n%s", out)
	}
	h.awaitRelease("v1", deployedServices...)
	h.assertDeployed("v1")
	h.sandbox.mustRun(h.deployArgs()...)
	h.awaitRelease("v2", deployedServices...)
	assertNoFailures()
}

// A release that the gate forbids now is not rolled back to, and the reason is reported.
func TestShipThatCannotRollBack(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	h.putBuild("beta", "v2")
	h.putBuild("gamma", "crashes")
	out := h.deployDuring("gate", func() { touchFile(t, filepath.Join(h.sandbox.dir, "forbidden")) }, exitNotRolledBack)
	if !strings.Contains(out, "not rolled back, since gate: does not let it run") {
		t.Errorf("it printed\n%s", out)
	}
	if p := h.sandbox.listByName()["beta"]; p.Version != "v2" {
		t.Errorf("beta: %+v", p)
	}
	if e := h.readAuditLog()[0]; e.Result != audit.NotRolledBack {
		t.Errorf("the audit log has %+v", e)
	}
}

// A process on the host that is killed leaves no lock, and a line in the audit log.
func TestReceiveKilled(t *testing.T) {
	t.Parallel()
	h := newDeployHost(t)
	for _, service := range deployedServices {
		h.putBuild(service, "v2")
	}
	h.setProbation("1h")
	h.deployDuring("probation", func() { h.killReceive() }, exitRolledBack)
	h.setProbation("2s")
	h.awaitRelease("v1", deployedServices...)
	// The host does not have these programs yet, and without a cache whole ones are sent: most of their bytes are still to come
	// when it is killed.
	for _, service := range deployedServices {
		h.putBuild(service, "v3")
	}
	h.sandbox.env = append(h.sandbox.env, "XDG_CACHE_HOME=/dev/null")
	h.sshd.CallAfter(100_000, h.killReceive)
	if code, out := h.sandbox.runPgo(h.deployArgs()...); code != exitRefused {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	h.awaitRelease("v1", deployedServices...)
	if all := h.readAuditLog(); len(all) != 2 {
		t.Errorf("the audit log has %+v", all)
	}
	h.sandbox.mustRun(h.deployArgs()...)
	h.awaitRelease("v3", deployedServices...)
}

func (h *deployHost) killReceive() {
	h.sandbox.t.Helper()
	for pid, command := range h.sandbox.findProcesses() {
		if strings.Contains(command, " receive ") {
			// The end of one may have ended the next, which only forwarded its output.
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				h.sandbox.t.Error(err)
			}
		}
	}
}
