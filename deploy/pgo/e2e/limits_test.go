package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/proc"
)

// setFileLimit sets how many files a process may have open, and returns the previous limit.
func setFileLimit(t *testing.T, pid int, n uint64) (was uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: limit.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return limit.Cur
}

// findFileLimit returns the limit under which a process can open this many more files. A limit is on the numbers of descriptors,
// and some below it may be free.
func findFileLimit(t *testing.T, pid, more int) uint64 {
	t.Helper()
	for n := uint64(0); ; n++ {
		_, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, n))
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrNotExist):
			t.Fatal(err)
		case more == 0:
			return n
		default:
			more--
		}
	}
}

// When pgo has no descriptors left, running processes continue. A process that cannot be started reports why and is retried: it
// runs when others were stopped, or when there are more descriptors.
func TestNoDescriptorsLeft(t *testing.T) {
	t.Parallel()
	const old = "  a: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n  b: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n"
	const more = old + "  q: {command: ACTOR, args: [actor, ready], ready: {notify: true}, restart: {longest_wait: 200ms}}\n"
	tests := []struct {
		name string
		role func(control.Info) int // the process whose limit is set
		room int                    // descriptors left, beside the reserve
		want string
	}{
		{"the keeper", func(i control.Info) int { return i.KeeperPID }, 1, "too many open files: pgo's keeper has "},
		{"the manager", func(i control.Info) int { return i.ManagerPID }, 3, "too many open files: pgo's manager has "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, old)
			s.mustRun("up")
			before, pid := s.listByName(), test.role(s.readInfo())
			was := setFileLimit(t, pid, findFileLimit(t, pid, keeper.DescriptorReserve+test.room))
			s.writeProcessFile(more)
			s.assertFails(exitFailed, []string{"q is not ready: backing-off: ", test.want}, "up")
			for _, name := range []string{"a", "b"} {
				if p := s.listByName()[name]; p.PID != before[name].PID || !p.Ready {
					t.Errorf("%s: %+v", name, p)
				}
			}
			s.mustRun("stop", "a", "b")
			s.awaitState("q", control.Ready)
			setFileLimit(t, pid, was)
			s.mustRun("up")
		})
	}
}

// Many processes work like few, also for the manager that adopts them, and none leaves a descriptor behind.
func TestManyProcesses(t *testing.T) {
	const many = 200
	const one = "  one: {command: sleep, args: [\"1000\"]}\n"
	s := newSandbox(t, one)
	s.mustRun("up")
	open := func() (files [2]int) {
		info := s.readInfo()
		return [2]int{proc.CountOpenFiles(info.KeeperPID), proc.CountOpenFiles(info.ManagerPID)}
	}
	few := open()
	var file strings.Builder
	file.WriteString(one)
	for n := range many {
		fmt.Fprintf(&file, "  p%d: {command: sleep, args: [\"1000\"]}\n", n)
	}
	s.writeProcessFile(file.String())
	s.mustRun("up")
	before := s.listByName()
	if len(before) != many+1 {
		t.Errorf("%d processes", len(before))
	}
	t.Logf("files that keeper and manager have open: %v with one process, %v with %d", few, open(), many+1)
	s.killManager()
	for name, p := range s.listByName() {
		if p.PID != before[name].PID || !p.Ready {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if err := proc.Kill(before["p7"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one that is killed runs again", func() error {
		if p := s.listByName()["p7"]; p.PID == before["p7"].PID || !p.Ready {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	s.writeProcessFile(one)
	s.mustRun("up")
	eventually(t, "the files of those that are gone are closed", func() error {
		now := open()
		if slices.Max([]int{now[0] - few[0], now[1] - few[1]}) > 3 { // a connection, an open log
			return fmt.Errorf("%v are open, %v were", now, few)
		}
		return nil
	})
}

// Under a limit that is too low for all processes, those that find no room report why, every command answers, and nothing is left
// when pgo is asked to end.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	const limit, many = 256, 100
	var file strings.Builder
	for n := range many {
		fmt.Fprintf(&file, "  p%d: {command: ACTOR, args: [actor, \"child=DIR/child%d\", ready], ready: {notify: true}, stop: {timeout: 10s}}\n", n, n)
	}
	s := newSandbox(t, file.String())
	up := s.newCommand()
	up.Path, up.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec %q up`, limit, pgoPath)}
	out, err := up.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "too many open files: pgo's ") || !strings.Contains(string(out), "raise the limit") {
		t.Errorf("up: %v\n%s", err, out)
	}
	info, ready := s.readInfo(), ""
	eventually(t, "each is ready, or reports why it is not", func() error {
		for _, p := range s.listInstances() {
			switch {
			case p.Ready:
				ready = p.Name
			case p.Status != control.BackingOff || !strings.Contains(p.Reason, "too many open files"):
				return fmt.Errorf("%+v", p)
			}
		}
		return nil
	})
	for _, args := range [][]string{{"list"}, {"info"}, {"describe", ready}, {"signal", "SIGCONT", ready}, {"stop", ready}} {
		s.mustRun(args...)
	}
	s.killManager()
	s.mustRun("list")
	if err := proc.Kill(info.KeeperPID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything has ended", func() error {
		if left := s.findProcesses(); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}
