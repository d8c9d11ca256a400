package e2e

import (
	"strings"
	"testing"
)

func TestExec(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  shell: {command: /bin/sh, args: [-c, exit 3], env: {SECRET: "of the process"}}
`)
	for _, tc := range []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"its environment and other arguments", []string{"shell", "-c", `echo "$SECRET $PWD"`}, exitOK, "of the process " + s.dir},
		{"its home", []string{"shell", "-c", `echo "$PGO_HOME"`}, exitOK, s.homeDir()},
		{"its exit code", []string{"shell", "-c", "exit 7"}, 7, ""},
		{"unknown process", []string{"nope"}, exitFailed, `there is no process "nope"; there are shell`},
		{"no process", nil, exitUsage, "name a process"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out := s.runPgo(append([]string{"exec"}, tc.args...)...)
			if code != tc.code || !strings.Contains(out, tc.out) || tc.out == "" && out != "" {
				t.Errorf("got %d %q, want %d %q", code, out, tc.code, tc.out)
			}
		})
	}
}

func TestExecTakesTheCallersEnvironment(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  shell: {command: /bin/sh, env: {PGO_ENV: dev}}
`)
	if out := s.mustRun("exec", "shell", "-c", `echo "environment $PGO_ENV"`); !strings.Contains(out, "environment dev\n") {
		t.Errorf("without PGO_ENV: got %q", out)
	}
	s.env = append(s.env, "PGO_ENV=prod")
	if out := s.mustRun("exec", "shell", "-c", `echo "environment $PGO_ENV"`); !strings.Contains(out, "environment prod\n") {
		t.Errorf("with PGO_ENV=prod: got %q", out)
	}
}
