package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// The directory of the sockets disappears while processes run, as with a cleaned directory of temporary files: the sockets are
// opened again, in the keeper's hands, and notifications arrive at them.
func TestSocketsDisappear(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  web: {command: ACTOR, args: [actor, serve, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
  late: {command: ACTOR, args: [actor, "await=DIR/go", ready], ready: {notify: true, within: 10m}}
`)
	s.assertFails(exitFailed, []string{"late is not ready"}, "up", "--timeout", "1s")
	info, before := s.readInfo(), s.listByName()["web"]
	lose := func() {
		t.Helper()
		if err := os.RemoveAll(filepath.Dir(info.Socket)); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	s.mustRun("list") // which waits until the socket is there again
	if now := s.readInfo(); now.ManagerPID != info.ManagerPID || now.KeeperPID != info.KeeperPID || s.listByName()["web"].PID != before.PID {
		t.Errorf("before %+v, after %+v, web %+v", info, now, s.listByName()["web"])
	}
	eventually(t, "the notify sockets are there", func() error {
		all, err := filepath.Glob(filepath.Join(filepath.Dir(info.Socket), "*.notify"))
		if err != nil || len(all) != 2 {
			return fmt.Errorf("%v, %w", all, err)
		}
		return nil
	})
	touchFile(t, filepath.Join(s.dir, "go")) // its READY=1 is sent to the new socket
	s.awaitState("late", control.Ready)
	// The keeper holds the new socket: the next manager answers on it.
	s.killManager()
	s.mustRun("list")
	// A crash after the loss heals.
	lose()
	if err := proc.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.mustRun("list")
	eventually(t, "web runs again", func() error {
		if p := s.listByName()["web"]; p.PID == before.PID || !p.Ready {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	// The note of where the socket is gets lost as well.
	if err := os.Remove(filepath.Join(s.homeDir(), "state", "manager.json")); err != nil {
		t.Fatal(err)
	}
	s.mustRun("up")
	s.mustRun("down")
}

// pgo down stops everything, whatever has become of pgo, and commands name the process that holds the lock.
func TestDownInEveryState(t *testing.T) {
	t.Parallel()
	const processes = `
  web: {command: ACTOR, args: [actor, serve, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}, stop: {timeout: 2s}}
`
	tests := []struct {
		name  string
		spoil func(t *testing.T, s *sandbox, info control.Info)
		list  []string // what pgo list prints; nil where it works
	}{
		{"the manager hangs and its socket is gone", func(t *testing.T, s *sandbox, info control.Info) {
			stopProcess(t, info.ManagerPID)
			if err := os.RemoveAll(filepath.Dir(info.Socket)); err != nil {
				t.Fatal(err)
			}
		}, []string{"is held by pid ", "its socket ", "it is missing", "pgo down"}},
		{"the keeper hangs and the socket is gone", func(t *testing.T, s *sandbox, info control.Info) {
			stopProcess(t, info.KeeperPID)
			stopProcess(t, info.ManagerPID)
			if err := os.RemoveAll(filepath.Dir(info.Socket)); err != nil {
				t.Fatal(err)
			}
		}, []string{"is held by pid ", "it is missing"}},
		{"its state directory is gone", func(t *testing.T, s *sandbox, info control.Info) {
			if err := os.RemoveAll(filepath.Join(s.homeDir(), "state")); err != nil {
				t.Fatal(err)
			}
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, processes)
			s.mustRun("up")
			info := s.readInfo()
			test.spoil(t, s, info)
			if test.list == nil {
				s.mustRun("list")
			} else {
				s.assertFails(exitUnavailable, append(test.list, fmt.Sprintf("pid %d", info.KeeperPID)), "list")
			}
			if out := s.mustRun("down"); !strings.Contains(out, "everything is stopped") {
				t.Errorf("down printed\n%s", out)
			}
			if left := s.findProcesses(); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			s.mustRun("up")
		})
	}
}

// stopProcess stops a process as a debugger does, until the end of the test.
func stopProcess(t *testing.T, pid int) {
	t.Helper()
	if err := proc.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proc.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	})
}
