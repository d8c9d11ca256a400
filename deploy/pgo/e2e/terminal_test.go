package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
)

// openTerminal returns both ends of a new terminal of so many columns.
func openTerminal(t *testing.T, columns uint16) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	if terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

// runOnTerminal runs a command on a terminal of so many columns and returns its exit code and what the terminal gets, with
// the line ends of a terminal.
func (s *sandbox) runOnTerminal(columns uint16, env string, args ...string) (code int, out string) {
	s.t.Helper()
	master, terminal := openTerminal(s.t, columns)
	cmd := s.newCommand(args...)
	cmd.Env = append(cmd.Env, "TERM=xterm", env)
	cmd.Stdout, cmd.Stderr = terminal, terminal
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	// The output comes in pieces, when the kernel delivers it; this is the last.
	const end = "that was all"
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_, failed := terminal.WriteString(end)
		ended <- errors.Join(err, failed)
	}()
	var seen []byte
	for block := make([]byte, 4<<10); ; {
		k, err := master.Read(block)
		if err != nil {
			s.t.Fatalf("after %q: %v", seen, err)
		}
		seen = append(seen, block[:k]...)
		if before, all := strings.CutSuffix(string(seen), end); all {
			if exit, ok := errors.AsType[*exec.ExitError](<-ended); ok {
				return exit.ExitCode(), before
			}
			return 0, before
		}
	}
}

var ownColor = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Whatever processes put into their reasons, messages and logs, a terminal gets whole lines and no control character.
func TestTerminalIsSafe(t *testing.T) {
	t.Parallel()
	const evil = `one\r\ntwo\e[2J\e]0;title\a \x9b31m\u202e`
	s := newSandbox(t, `
  status: {command: ACTOR, args: [actor, "status=`+evil+`", ready, "print=`+evil+`"], ready: {notify: true}}
  missing: {command: "DIR/no\nsuch\e[2J", restart: {policy: never}}
  failing: {command: ACTOR, args: [actor, "print=`+evil+`", exit=1], restart: {policy: never}}
`)
	commands := [][]string{
		{"up"}, {"list"}, {"list", "--json"}, {"events"}, {"events", "--json"}, {"describe", "all"}, {"describe", "all", "--json"}, {"info"},
		{"logs", "status"}, {"logs", "all"}, {"logs", "--json", "all"}, {"logs", "--since", "1h", "all"}, {"start", "failing"}, {"apply", "--dry-run"}, {"stop", evil},
	}
	for _, args := range commands {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			_, out := s.runOnTerminal(80, "A=b", args...)
			text := ownColor.ReplaceAllString(strings.ReplaceAll(out, "\r\n", "\n"), "")
			for _, r := range text {
				if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError {
					t.Errorf("it prints %q in\n%q", r, out)
					break
				}
			}
			if strings.Contains(text, "panic") {
				t.Error(text)
			}
		})
	}
}

// A list has one line for each process, and none is longer than the terminal is wide.
func TestListFitsTerminal(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  a-process-with-a-long-name: {command: ACTOR, args: [actor, "status=`+strings.Repeat("a long message ", 20)+`", ready], ready: {notify: true}, instances: 2, reload: {mode: beside}}
  missing: {command: "DIR/no\nsuch", restart: {policy: never}}
`)
	s.assertFails(1, []string{"missing is not ready"}, "up")
	s.awaitState("a-process-with-a-long-name", control.Ready)
	for _, columns := range []uint16{40, 60, 80, 120, 200} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			code, out := s.runOnTerminal(columns, "A=b", "list")
			lines := strings.Split(strings.TrimSuffix(out, "\r\n"), "\r\n")
			if code != 0 || len(lines) != 4 {
				t.Errorf("exit code %d, %d lines:\n%s", code, len(lines), out)
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(ownColor.ReplaceAllString(line, "")); n > int(columns) {
					t.Errorf("%d columns: %q", n, line)
				}
			}
			for n, want := range []string{"NAME", "a-process-with-a-long-name/0", "a-process-with-a-long-name/1", "missing"} {
				if !strings.HasPrefix(ownColor.ReplaceAllString(lines[n], ""), want) {
					t.Errorf("line %d: %q", n, lines[n])
				}
			}
			if columns >= 80 && !strings.Contains(lines[3], "cannot be started") {
				t.Errorf("no reason in %q", lines[3])
			}
		})
	}
}
