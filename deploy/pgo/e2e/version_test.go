package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// The version of a program is read from its file. Only a program whose process declares how it is asked is run for it.
func TestVersion(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  read: {command: bin/web, listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
  asked: {command: bin/web, version: [version, --json], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
  line: {command: /bin/sh, args: [-c, exec sleep 1000], version: [-c, "echo 7.8; echo more"]}
  none: {command: /bin/sh, args: [-c, exec sleep 1000]}
`)
	build := exec.Command("go", "build", "-ldflags", "-s -w -X main.build=asked -X main.version=1.2.3", "-o", filepath.Join(s.dir, "bin", "web"), "./testdata/release")
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.mustRun("up")
	want := map[string]string{"read": "1.2.3", "asked": "asked", "line": "7.8", "none": ""}
	eventually(t, "the versions", func() error {
		for name, p := range s.listByName() {
			if p.Version != want[name] {
				return fmt.Errorf("%s has version %q, want %q", name, p.Version, want[name])
			}
		}
		return nil
	})
}

// stubborn is a program that does the same whatever its arguments are: it runs on, and so do the processes that it starts in
// its group and in a session of its own. It appends the pids of all three.
const stubborn = `#!/bin/sh
trap '' TERM
sleep 1000 &
setsid sleep 1000 &
echo "$$ $!" >>"$SEEN"
wait
`

// newStubbornSandbox returns a sandbox with the process p, which runs the program stubborn. keys are more keys of p.
func newStubbornSandbox(t *testing.T, keys string) *sandbox {
	t.Helper()
	s := newSandbox(t, `  p: {command: bin/stubborn, stop: {timeout: 100ms}, env: {SEEN: DIR/seen}`+keys+"}\n")
	path := filepath.Join(s.dir, "bin", "stubborn")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(stubborn), 0o755)); err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitRuns waits until the program stubborn has run so often.
func (s *sandbox) awaitRuns(n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprint(n, " runs"), func() error {
		if seen := s.readFile("seen"); strings.Count(seen, "\n") < n {
			return fmt.Errorf("seen %q", seen)
		}
		return nil
	})
}

// A program that does not declare how it prints its version is run once for each start.
func TestUndeclaredProgramRunsOnce(t *testing.T) {
	t.Parallel()
	s := newStubbornSandbox(t, "")
	s.mustRun("up")
	s.awaitRuns(1)
	s.mustRun("restart", "p")
	s.awaitRuns(2)
	s.mustRun("down")
	if seen := s.readFile("seen"); strings.Count(seen, "\n") != 2 {
		t.Errorf("it ran with the pids\n%s, want two runs", seen)
	}
}

// Nothing that pgo starts survives down: not a program that runs on when it is asked for its version, and nothing that it has
// started, also when the manager that asked is killed.
func TestNothingSurvivesDown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(t *testing.T, s *sandbox)
	}{
		{"while it is asked", func(*testing.T, *sandbox) {}},
		{"after the manager was killed", func(t *testing.T, s *sandbox) {
			killed := s.readInfo().ManagerPID
			if err := proc.Kill(killed, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the next manager", func() error {
				if info := s.readInfo(); info.ManagerPID == killed || info.ManagerPID == 0 {
					return errors.New("not yet")
				}
				return nil
			})
			s.awaitState("p", control.Ready)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStubbornSandbox(t, ", version: [version]")
			s.mustRun("up")
			s.awaitRuns(2)
			test.before(t, s)
			s.mustRun("down")
			for word := range strings.FieldsSeq(s.readFile("seen")) {
				if pid, err := strconv.Atoi(word); err != nil || isAlive(pid) {
					t.Errorf("%s survives: %v", word, err)
				}
			}
			if left := s.findProcesses(); len(left) > 0 {
				t.Errorf("survive: %v", left)
			}
		})
	}
}

// What a probe leaves in its process group ends with it.
func TestProbeLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor], ready: {exec: [/bin/sh, -c, "sleep 1000 & printf %s $! >DIR/left"]}}`+"\n")
	s.mustRun("up")
	left := s.awaitPID("left")
	eventually(t, "it is killed", func() error {
		if isAlive(left) {
			return fmt.Errorf("%d lives", left)
		}
		return nil
	})
}
