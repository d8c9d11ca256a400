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

// The connection lost at any point: all is as it was, or all is new; the lock is free, and the log says which.
func TestShipLost(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	none := h.load()
	for _, service := range services {
		h.build(service, "v2")
	}
	// So that bytes are counted of whole files, the cache has nothing.
	h.stack.env = append(h.stack.env, "XDG_CACHE_HOME=/dev/null")
	size := int64(len(build(t, "v2"))) // about a third of it is sent for each of three
	for n := range 10 {
		h.sshd.CutAfter(1 + int64(n)*size/10)
		h.lost(h.stack.pgo(h.deploys()...))
	}
	for _, at := range []string{"host", "sent", "checked", "gate", "runs", "runs", "probation", "probation", "good", "good"} {
		h.lost(h.whenever(at, h.sshd.Cut))
	}
	h.stack.must(h.deploys()...)
	h.runs("v2", services...)
	none()
}

// lost checks what is after a connection was lost.
func (h *target) lost(code int, out string) {
	h.stack.Helper()
	switch code {
	case exitRolledBack, exitRefused, exitUnavailable:
		h.runs("v1", services...)
		h.inPlace("v1")
	case exitOK: // it was through
		h.runs("v2", services...)
		h.stack.must(h.on("rollback")...)
		h.runs("v1", services...)
	default:
		h.stack.Errorf("exit code %d:\n%s", code, out)
	}
	id := ""
	for line := range strings.Lines(out) {
		var e ship.Event
		if json.Unmarshal([]byte(line), &e) == nil {
			id = e.ID
		}
	}
	if all := h.audited(); id != "" && !strings.Contains(fmt.Sprint(all), id) {
		h.stack.Errorf("the audit log does not know %s: %+v", id, all)
	}
	h.stack.T.Logf("exit code %d: %s", code, strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
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
	out := h.during("probation", func() { h.stack.killManager() }, exitRolledBack)
	h.probation("2s")
	if !strings.Contains(out, "manager ended in the middle of it") {
		t.Errorf("it says:\n%s", out)
	}
	h.runs("v1", services...)
	h.inPlace("v1")
	h.stack.must(h.deploys()...)
	h.runs("v2", services...)
	none()
}

// What a gate does not let run any more is not put back, and the reason is told.
func TestShipThatCannotGoBack(t *testing.T) {
	t.Parallel()
	h := newTarget(t)
	h.build("beta", "v2")
	h.build("gamma", "crashes")
	out := h.during("gate", func() { touch(t, filepath.Join(h.stack.dir, "forbidden")) }, exitNotRolledBack)
	if !strings.Contains(out, "not put back, since gate: does not let it run") {
		t.Errorf("it says:\n%s", out)
	}
	if p := h.stack.list()["beta"]; p.Version != "v2" {
		t.Errorf("beta: %+v", p)
	}
	if e := h.audited()[0]; e.Result != audit.NotRolledBack {
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
	h.during("probation", func() { h.killReceive() }, exitRolledBack)
	h.probation("2s")
	h.runs("v1", services...)
	// Programs that the host does not have yet: all of them are still to be sent when it is killed.
	for _, service := range services {
		h.build(service, "v3")
	}
	h.during("host", func() { h.killReceive() }, exitRefused)
	h.runs("v1", services...)
	if all := h.audited(); len(all) != 2 {
		t.Errorf("the audit log has %+v", all)
	}
	h.stack.must(h.deploys()...)
	h.runs("v3", services...)
}

func (h *target) killReceive() {
	h.stack.Helper()
	for pid, command := range h.stack.processes() {
		if strings.Contains(command, " receive ") {
			// The end of one may have ended the next, which only handed on what it was told.
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				h.stack.Fatal(err)
			}
		}
	}
}
