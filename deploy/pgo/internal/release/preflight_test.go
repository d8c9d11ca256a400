package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/command"
)

// newRunner returns a runner that the end of the test closes.
func newRunner(t *testing.T) *command.Runner {
	t.Helper()
	r := &command.Runner{}
	t.Cleanup(r.Close)
	return r
}

func TestPreflight(t *testing.T) {
	const version = `case "$1 $2" in "version --json") echo '{"version":"1.2.3","commit":"abc","schema_version":7,"more":true}';; `
	passes := version + `"check ") echo valid;; esac`
	tests := []struct {
		name, program string
		env           []string
		timeout       time.Duration
		reason        Reason
		exit          int
		says          string // in the error
	}{
		{name: "passes", program: passes},
		{name: "its environment and nothing else", program: version + `*) test "$A" = 1 -a -z "$HOME$NOTIFY_SOCKET$LISTEN_FDS$WATCHDOG_USEC";; esac`,
			env: []string{"A=1", "NOTIFY_SOCKET=/x", "LISTEN_FDS=1", "WATCHDOG_USEC=5"}},
		{name: "writes much to standard error", program: version + `*) i=0; while [ $i -lt 3000 ]; do echo "line $i of a long story that no one wants to hear" >&2; i=$((i+1)); done;; esac`},
		{name: "bad configuration", program: version + `*) echo "mysql.dsn: missing" >&2; exit 78;; esac`, reason: Exited, exit: 78, says: "`check` failed: exit status 78: mysql.dsn: missing"},
		{name: "the end of its output is kept", program: version + `*) i=0; while [ $i -lt 3000 ]; do echo "line $i of a long story that no one wants to hear" >&2; i=$((i+1)); done; echo "the end" >&2; exit 1;; esac`,
			reason: Exited, exit: 1, says: "exit status 1: the end"},
		{name: "writes to standard output", program: version + `*) echo "no such database"; exit 2;; esac`, reason: Exited, exit: 2, says: "no such database"},
		{name: "is killed", program: version + `*) kill -KILL $$;; esac`, reason: Exited, says: "signal: killed"},
		{name: "has no version command", program: `echo "unknown command" >&2; exit 64`, reason: Exited, exit: 64, says: "`version --json` failed"},
		{name: "no JSON", program: `echo 1.2.3`, reason: InvalidAnswer, says: "1.2.3"},
		{name: "other JSON", program: `echo '{"version":5}'`, reason: InvalidAnswer, says: "`version --json` answered something else"},
		{name: "endless output", program: `while :; do echo "on and on and on and on and on and on and on"; done`, timeout: 300 * time.Millisecond, reason: TimedOut},
		{name: "too much output", program: `i=0; while [ $i -lt 3000 ]; do echo "line $i of a long story that no one wants to hear"; i=$((i+1)); done`, reason: InvalidAnswer, says: "more than 65536 bytes"},
		{name: "starts to serve instead", program: version + `*) echo serving >&2; exec sleep 1000;; esac`, timeout: 1500 * time.Millisecond, reason: TimedOut, says: "within 1.5s: serving"},
		{name: "ignores signals", program: version + `*) trap "" TERM INT HUP; while :; do sleep 1000; done;; esac`, timeout: 300 * time.Millisecond, reason: TimedOut},
		{name: "leaves a child with its output", program: version + `*) sleep 1000 & echo valid;; esac`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			program := writeScript(t, filepath.Join(t.TempDir(), "user"), test.program)
			p := Preflight{Runner: newRunner(t), Dir: t.TempDir(), Env: append(test.env, "PATH="+os.Getenv("PATH")), Timeout: test.timeout}
			start := time.Now()
			answer, err := p.Run(t.Context(), program)
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("took %s", took)
			}
			if test.reason == "" {
				if err != nil || answer != (ProgramInfo{"1.2.3", "abc", 7}) {
					t.Errorf("%+v, %v", answer, err)
				}
				return
			}
			failed, _ := errors.AsType[*PreflightError](err)
			if failed == nil || !errors.Is(err, test.reason) || failed.ExitCode != test.exit || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v; %+v", err, failed)
			}
			if failed != nil && len(failed.Output) > command.MaxOutput {
				t.Errorf("%d bytes of output are kept", len(failed.Output))
			}
		})
	}
}

func TestPreflightCannotStart(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name, program string
		is            error
	}{
		{"no file", filepath.Join(dir, "none"), fs.ErrNotExist},
		{"no permission", writeFile(t, filepath.Join(dir, "closed"), []byte("#!/bin/sh\n"), 0o644, testTime), fs.ErrPermission},
		{"no program", writeFile(t, filepath.Join(dir, "garbage"), []byte("garbage"), 0o755, testTime), syscall.ENOEXEC},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Preflight{Runner: newRunner(t)}.Run(t.Context(), test.program)
			if !errors.Is(err, CannotStart) || !errors.Is(err, test.is) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPreflightCanceled(t *testing.T) {
	dir := t.TempDir()
	program := writeScript(t, filepath.Join(dir, "user"), "touch "+dir+"/asked; exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := Preflight{Runner: newRunner(t), Env: os.Environ()}.Run(ctx, program)
		ended <- err
	}()
	for _, err := os.Stat(dir + "/asked"); err != nil; _, err = os.Stat(dir + "/asked") {
		if t.Context().Err() != nil {
			t.Fatal("was not asked")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestPreflightBusyFile checks that a program that is still open for writing is tried again.
func TestPreflightBusyFile(t *testing.T) {
	program := writeScript(t, filepath.Join(t.TempDir(), "user"), `echo '{"version":"1"}'`)
	writer, err := os.OpenFile(program, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-time.After(30 * time.Millisecond)
		writer.Close()
	}()
	if _, err := (Preflight{Runner: newRunner(t)}).Run(t.Context(), program); err != nil {
		t.Error(err)
	}
}

func TestPreflightAsAnotherUser(t *testing.T) {
	dir := t.TempDir()
	program := writeScript(t, filepath.Join(dir, "user"), `test "$(id -u)" = "$WANT" && echo '{"version":"1"}'`)
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := Preflight{Runner: newRunner(t), Dir: "/", Env: []string{fmt.Sprint("WANT=", os.Getuid()), "PATH=" + os.Getenv("PATH")}}
	if os.Geteuid() == 0 { // no other user may become another user
		p.Process.User, p.Env[0] = "nobody", "WANT=65534"
	}
	if _, err := p.Run(t.Context(), program); err != nil {
		t.Error(err)
	}
}
