package e2e

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// A program that cannot run here, and a missing one, fail at the first start with the reason.
func TestProgramsThatCannotRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(path string) error
		want  []string
	}{
		{"for another machine", func(path string) error { return os.WriteFile(path, buildRelease(t, "foreign"), 0o755) },
			[]string{"wrong architecture: it is built for linux/", "exec format error"}},
		{"cut off in its head", func(path string) error { return os.WriteFile(path, buildRelease(t, "foreign")[:20], 0o755) },
			[]string{"exec format error"}},
		{"missing", os.Remove, []string{"bin/p: no such file", "try: build or install the program"}},
		{"a directory", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
			[]string{"bin/p: not an executable file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, "  p: {command: DIR/bin/p}\n  q: {command: ACTOR, args: [actor]}\n")
			path := filepath.Join(s.dir, "bin", "p")
			if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o755), test.spoil(path)); err != nil {
				t.Fatal(err)
			}
			s.assertFails(exitFailed, append([]string{"p is not ready: failed: "}, test.want...), "up")
			list := s.listByName()
			if p := list["p"]; p.Status != control.Failed || p.Restarts != 0 || p.PID != 0 || !strings.Contains(p.Reason, test.want[0]) {
				t.Errorf("p: %+v", p)
			}
			if !strings.Contains(s.mustRun("list"), "failed") {
				t.Error("list does not say that it has failed")
			}
			s.awaitState("q", control.Ready)
			starts := 0
			for _, e := range s.readEvents() {
				if e.Process == "p" && e.To == control.Starting {
					starts++
				}
			}
			if starts != 1 {
				t.Errorf("it was started %d times", starts)
			}
		})
	}
}

// With the control socket of a killed pgo, or another file of that name, commands report that pgo does not run, and the next pgo
// replaces it.
func TestStaleControlSocket(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n")
	s.mustRun("up")
	info := s.readInfo()
	if err := proc.Kill(info.KeeperPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no manager answers", func() error {
		if code, out := s.runPgo("list"); code != exitUnavailable || !strings.Contains(out, "1 process does that it started") {
			return errors.New(out)
		}
		return nil
	})
	if state, err := os.Stat(info.Socket); err != nil || state.Mode()&os.ModeSocket == 0 {
		t.Fatalf("the socket is not there to be stale: %v", err)
	}
	if conn, err := net.Dial("unix", info.Socket); err == nil {
		conn.Close()
		t.Fatal("the socket still listens")
	}
	for _, verb := range []string{"stop", "reload"} {
		s.assertFails(exitUnavailable, []string{"pgo is not running"}, verb, "p")
	}
	s.mustRun("up")
	if now := s.readInfo(); now.KeeperPID == info.KeeperPID || now.Socket != info.Socket || !s.listByName()["p"].Ready {
		t.Errorf("before %+v, after %+v", info, now)
	}
	s.mustRun("down")
	if err := errors.Join(os.MkdirAll(filepath.Dir(info.Socket), 0o700), os.WriteFile(info.Socket, []byte("what was here before"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.mustRun("up")
	s.awaitState("p", control.Ready)
}

// A child in a session of its own is not stopped with its parent, and keeps no one from stopping or starting that, though it has
// the parent's log open. It ends with pgo.
func TestChildThatLeavesItsSession(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor, "escape=DIR/escaped", ready], ready: {notify: true}}`+"\n")
	s.mustRun("up")
	before, escaped := s.listByName()["p"], s.awaitPID("escaped")
	s.mustRun("stop", "p")
	if p := s.listByName()["p"]; p.Status != control.Stopped || p.Reason != "exit code 0" || isAlive(before.PID) {
		t.Errorf("p: %+v", p)
	}
	if !isAlive(escaped) {
		t.Error("it was stopped with its parent, which docs/pgo-guarantees.md excludes")
	}
	if err := os.Remove(filepath.Join(s.dir, "escaped")); err != nil {
		t.Fatal(err)
	}
	s.mustRun("start", "p")
	if now := s.awaitPID("escaped"); now == escaped || !isAlive(escaped) {
		t.Errorf("the first is %d, the second %d", escaped, now)
	}
	second := s.awaitPID("escaped")
	s.mustRun("stop", "p")
	s.mustRun("down")
	if isAlive(escaped) || isAlive(second) {
		t.Errorf("down has left %d or %d", escaped, second)
	}
}
