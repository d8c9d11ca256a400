package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// runInMountNamespace runs the test again in a mount namespace of its own, as root of a user namespace where it is not root:
// no one else sees its mounts, and they end with it. It returns true in the test that runs there.
func runInMountNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "PGO_TEST_APART"
	if os.Getenv(mark) == t.Name() {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatalf("keep what is mounted here from the others: %v", err)
		}
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	output, err := cmd.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Errorf("in a namespace of its own: %v", err)
	}
	return false
}

// mountHome mounts a file system of 32 MB as pgo's home.
func (s *sandbox) mountHome() {
	s.t.Helper()
	if err := os.MkdirAll(s.homeDir(), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.homeDir(), "tmpfs", 0, "size=32m,mode=700"); err != nil {
		s.t.Fatalf("mount a small disk: %v", err)
	}
	s.t.Cleanup(func() { // pgo down of the sandbox reads its log after it
		s.mustRun("down")
		if err := syscall.Unmount(s.homeDir(), syscall.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
}

// fillDisk fills the disk of pgo's home by a file, whose path it returns.
func (s *sandbox) fillDisk() (ballast string) {
	s.t.Helper()
	ballast = filepath.Join(s.homeDir(), "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		s.t.Fatal(err)
	}
	return ballast
}

// A process that was restarted while the disk was full is found when pgo is killed after it.
func TestFullDiskLosesNoProcess(t *testing.T) {
	t.Parallel()
	if !runInMountNamespace(t) {
		return
	}
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n")
	s.mountHome()
	s.mustRun("up")
	s.fillDisk()
	s.mustRun("restart", "p")
	p, keeper := s.listByName()["p"], s.readInfo().KeeperPID
	if err := proc.Kill(keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pgo is gone", func() error {
		if code, out := s.runPgo("list"); code != exitUnavailable || !strings.Contains(out, "1 process does that it started") {
			return errors.New(out)
		}
		return nil
	})
	s.mustRun("down")
	if isAlive(p.PID) {
		t.Error("the process that was restarted is left")
	}
}

// pgo down works where the home can only be read, as after an error of the disk, with and without a pgo that runs.
func TestDownOnReadOnlyHome(t *testing.T) {
	t.Parallel()
	if !runInMountNamespace(t) {
		return
	}
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n")
	s.mountHome()
	s.mustRun("up")
	const bind, readOnly = syscall.MS_BIND, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY
	if err := errors.Join(syscall.Mount(s.homeDir(), s.homeDir(), "", bind, ""), syscall.Mount("", s.homeDir(), "", readOnly, "")); err != nil {
		t.Fatalf("mount the home read-only: %v", err)
	}
	if out := s.mustRun("down"); !strings.Contains(out, "everything is stopped") {
		t.Errorf("down printed\n%s", out)
	}
	if left := s.findProcesses(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if out := s.mustRun("down"); !strings.Contains(out, "nothing runs") {
		t.Errorf("the second down printed\n%s", out)
	}
	if err := syscall.Unmount(s.homeDir(), syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

// While the disk of logs, events, state and store is full, running processes continue and answer commands, and data that cannot
// be kept is counted or refused. With room again, everything recovers.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !runInMountNamespace(t) {
		return
	}
	s := newWatchedSandbox(t, "v1")
	_, web, _ := strings.Cut(watchedProcessFile, "  web:")
	s.writeProcessFile(`
  gate: {kind: gate, command: ACTOR, args: [actor, ready], ready: {notify: true}}
  flood: {kind: infra, command: ACTOR, args: [actor, "await=DIR/go", "flood=60000:30000", "touch=DIR/written", "await=DIR/more", print=after]}
  web:` + web)
	s.mountHome()
	s.mustRun("up")
	before := s.awaitBuild("v1")
	ballast := s.fillDisk()
	l := startLoad(t, s.webURL())
	touchFile(t, filepath.Join(s.dir, "go"))
	s.awaitPID("written") // a process that writes much does not wait for the disk
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitDeployFailure("no space left on device")
	s.mustRun("restart", "gate") // events and state cannot be written; the keeper keeps them
	if list := s.listByName(); !list["gate"].Ready || list["web"].PID != before.PID || !list["web"].Ready {
		t.Errorf("%+v", list)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.awaitBuild("v2") // without another command
	if n := strings.Count(s.mustRun("events", "-n", "1000"), "there is no room for it"); n > 1 {
		t.Errorf("it was reported %d times", n)
	}
	if answered := l.assertNoFailures(t); answered != 2 {
		t.Errorf("%d builds answered: %v", answered, l.pids)
	}
	touchFile(t, filepath.Join(s.dir, "more"))
	eventually(t, "the log continues", func() error {
		if text := s.readFile(".pgo/logs/flood.log"); !strings.Contains(text, "pgo could not write this log: ") || !strings.HasSuffix(text, "after\n") {
			return fmt.Errorf("%d bytes that end with %q", len(text), text[max(0, len(text)-300):])
		}
		return nil
	})
	s.killManager()
	if out := s.mustRun("events"); !strings.Contains(out, "(v2) was deployed") {
		t.Errorf("events:\n%s", out)
	}
	s.awaitState("web", control.Ready)
}
