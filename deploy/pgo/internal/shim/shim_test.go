package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestMain runs the shim where a test starts this program as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		fmt.Fprintln(os.Stderr, Exec(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestSetPIDs(t *testing.T) {
	tests := []struct {
		name          string
		environ, want []string
	}{
		{"neither", []string{"A=1"}, []string{"A=1"}},
		{"listeners", []string{"LISTEN_FDS=2", "A=1"}, []string{"LISTEN_FDS=2", "A=1", "LISTEN_PID=7"}},
		{"a watchdog", []string{"WATCHDOG_USEC=1000"}, []string{"WATCHDOG_USEC=1000", "WATCHDOG_PID=7"}},
		{"those of pgo itself", []string{"LISTEN_PID=1", "LISTEN_FDS=1", "WATCHDOG_PID=1", "WATCHDOG_USEC=5"}, []string{"LISTEN_FDS=1", "WATCHDOG_USEC=5", "LISTEN_PID=7", "WATCHDOG_PID=7"}},
		{"a PID without listeners", []string{"LISTEN_PID=1", "WATCHDOG_PID=1", "LISTEN_FDS=", "WATCHDOG_USEC="}, []string{"LISTEN_FDS=", "WATCHDOG_USEC="}},
		{"a name that begins like one", []string{"LISTEN_PIDS=1"}, []string{"LISTEN_PIDS=1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, setPIDs(test.environ, 7)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseArgs(t *testing.T) {
	nice := 5
	want := Settings{Limits: map[int]uint64{unix.RLIMIT_NOFILE: 100}, Nice: &nice, NoNewPrivileges: true, User: &User{UID: 1, GID: 2, Groups: []int{3}}}
	args, err := BuildArgs(3, want, "/bin/x", []string{"x", "--shim"})
	if err != nil {
		t.Fatal(err)
	}
	if args[0] != Command || args[3] != "/bin/x" || args[4] != "x" || args[5] != "--shim" {
		t.Errorf("the arguments are %q", args)
	}
	report, got, err := parseArgs(args[1:])
	if diff := cmp.Diff(want, got); report != 3 || err != nil || diff != "" {
		t.Errorf("report %d, %v, %s", report, err, diff)
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"none", nil, "do not run it manually"},
		{"no argv", []string{"3", "{}", "/bin/x"}, "do not run it manually"},
		{"no descriptor", []string{"x", "{}", "/bin/x", "x"}, "report"},
		{"no settings", []string{"3", "x", "/bin/x", "x"}, "settings"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parseArgs(test.args); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestNewFailure(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want *Failure
		text string
	}{
		{name: "no error"},
		{name: "an errno", err: syscall.EPERM, want: &Failure{"set its limits", syscall.EPERM}, text: "set its limits: operation not permitted"},
		{name: "a wrapped errno", err: &os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, want: &Failure{"set its limits", syscall.EACCES}, text: "set its limits: permission denied"},
		{name: "another error", err: io.EOF, want: &Failure{"set its limits", syscall.EINVAL}, text: "set its limits: invalid argument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := newFailure("set its limits", test.err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Fatal(diff)
			}
			if got != nil && (got.Error() != test.text || !errors.Is(got, test.want.Errno)) {
				t.Errorf("the error is %q", got)
			}
		})
	}
}

// start runs a program through the shim, and returns its output and what the shim reported.
func start(t *testing.T, s Settings, program string, argv ...string) (output string, pid int, failure *Failure) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	args, err := BuildArgs(3, s, program, argv)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_PID=1"), []*os.File{write}
	out, _ := cmd.Output() // the report shows an error
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(read).Decode(&failure); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), cmd.Process.Pid, failure
}

func TestExec(t *testing.T) {
	settings := Settings{Limits: map[int]uint64{unix.RLIMIT_NOFILE: 123}, NoNewPrivileges: true}
	output, pid, failure := start(t, settings, "/bin/sh", "sh", "-c", `echo $LISTEN_PID $$ $(ulimit -n) $(grep -c '^NoNewPrivs:.*1' /proc/self/status); [ -e /proc/self/fd/3 ] && echo open`)
	number := strconv.Itoa(pid)
	// The program does not inherit the report.
	if want := number + " " + number + " 123 1"; failure != nil || output != want {
		t.Errorf("%q, want %q; %v", output, want, failure)
	}
}

func TestExecFailures(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		settings Settings
		program  string
		want     Failure
	}{
		{"no such program", Settings{}, "/no such program", Failure{Errno: syscall.ENOENT}},
		{"a directory", Settings{}, "/tmp", Failure{Errno: syscall.EACCES}},
		{"not a program", Settings{}, text, Failure{Errno: syscall.ENOEXEC}},
		{"an unknown limit", Settings{Limits: map[int]uint64{1000: 1}}, "/bin/true", Failure{Step: "set its limits", Errno: syscall.EINVAL}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, failure := start(t, test.settings, test.program, "x")
			if failure == nil || *failure != test.want {
				t.Errorf("the failure is %v, want %v", failure, &test.want)
			}
		})
	}
}
