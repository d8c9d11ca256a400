package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

// A program runs without a process file, in the directory and with the environment of the command. All commands find it from any
// directory.
func TestStartProgram(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "")
	if err := errors.Join(os.RemoveAll(filepath.Join(s.dir, "configs")), os.Mkdir(filepath.Join(s.dir, "elsewhere"), 0o755)); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho \"$GREETING $1 $PWD\" >>\"$0.out\"\nexec sleep 1000\n"
	if err := os.WriteFile(filepath.Join(s.dir, "web"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, variable := range s.env {
		if !strings.HasPrefix(variable, "PGO_HOME=") {
			env = append(env, variable)
		}
	}
	s.env = slices.Concat(env, []string{"HOME=" + s.dir, "GREETING=hello"})
	s.assertFails(exitUsage, []string{"no configs/pgo.yaml here"}, "list")
	if out := s.mustRun("start", "./web", "--", "-v"); !strings.Contains(out, "web is ready") {
		t.Errorf("start:\n%s", out)
	}
	before := s.listByName()["web"]
	s.assertFails(exitFailed, []string{"there is a process web already"}, "start", "./web")
	s.awaitLines("web.out", 1)
	s.mustRun("start", "./web", "--name", "second", "--", "-q")
	if now := s.listByName(); now["web"].PID != before.PID || now["second"].Status != control.Ready {
		t.Errorf("%+v", now)
	}
	list := s.newCommand("list")
	list.Dir = filepath.Join(s.dir, "elsewhere")
	if out, err := list.CombinedOutput(); err != nil || !strings.Contains(string(out), "second") {
		t.Errorf("list in another directory: %v\n%s", err, out)
	}
	awaitOutput := func(want string) {
		t.Helper()
		eventually(t, "what the program prints", func() error {
			if got := s.readFile("web.out"); got != want {
				return fmt.Errorf("got %q, want %q", got, want)
			}
			return nil
		})
	}
	first, second := "hello -v "+s.dir+"\n", "hello -q "+s.dir+"\n"
	awaitOutput(first + second)
	// The next manager knows it, and it is restarted as it was started.
	s.killManager()
	s.mustRun("restart", "web")
	awaitOutput(first + second + first)
	s.mustRun("delete", "second")
	s.mustRun("down")
}

// Beside a process file a program runs until the file is applied again. It touches nothing else.
func TestStartProgramBesideAFile(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}
  stopped: {command: ACTOR, args: [actor, ready], ready: {notify: true}}
`)
	s.mustRun("up")
	s.mustRun("stop", "stopped")
	before := s.listByName()
	s.mustRun("start", "sleep", "--name", "nap", "--", "1000")
	now := s.listByName()
	if now["nap"].Status != control.Ready || now["p"].PID != before["p"].PID || now["stopped"].Status != control.Stopped {
		t.Errorf("%+v", now)
	}
	s.mustRun("up")
	if _, there := s.listByName()["nap"]; there {
		t.Error("the program is there after the process file was applied")
	}
}
