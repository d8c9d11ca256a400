// Package e2e tests pgo as its users run it: the real binary, real processes and a real sshd.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// program is the path of pgo, which TestMain builds once. Test programs that a test starts find it in programEnv.
var program string

const programEnv = "PGO_TEST_PROGRAM"

// version is the version of a pgo that is built without the Makefile's linker flags.
const version = "dev"

// The test program is also the programs that pgo runs, so that tests use real processes.
func TestMain(m *testing.M) {
	program = os.Getenv(programEnv)
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "actor":
			act(os.Args[2:])
			return
		case "version":
			fmt.Printf(`{"version":%q}`+"\n", version)
			return
		case "init":
			beFirst(os.Args[2:])
		}
	}
	os.Exit(runTests(m))
}

// runTests builds pgo where it is not built yet, and runs the tests.
func runTests(m *testing.M) int {
	if program == "" {
		dir, err := os.MkdirTemp("", "pgo-e2e")
		if err == nil {
			defer os.RemoveAll(dir)
			err = os.Chmod(dir, 0o755) // for tests of other users' processes
		}
		program = filepath.Join(dir, "pgo")
		if err == nil {
			err = buildProgram(program)
		}
		if err == nil {
			err = os.Setenv(programEnv, program)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "build pgo:", err)
			return 1
		}
	}
	return m.Run()
}

// buildProgram builds pgo, with the race detector where the tests have it. All else is as for the tests, so that both
// use the same compiled packages.
func buildProgram(path string) error {
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "pgo/deploy/pgo")...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// beFirst makes pgo the first process of a container, with a /proc of its own.
func beFirst(args []string) {
	check(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	check(syscall.Mount("proc", "/proc", "proc", 0, ""))
	check(syscall.Exec(program, append([]string{program}, args...), os.Environ()))
}

// stack is a checkout with a process file, and pgo's commands on it.
type stack struct {
	*testing.T
	dir  string
	env  []string
	self string
	http string // the process file's last line: where pgo's own HTTP is

	sockets string // the folder where pgo makes that of its sockets
}

// newStack writes the process file. In it ACTOR stands for the program of actor_test.go and DIR for the checkout.
func newStack(t *testing.T, processes string) *stack {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Short, since sockets live there.
	sockets, err := os.MkdirTemp("", "pgo")
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{T: t, dir: t.TempDir(), self: self, http: "http: \"\"\n", sockets: sockets}
	s.env = append(os.Environ(), "XDG_RUNTIME_DIR="+sockets, "PGO_HOME="+s.home(), "GORACE=exitcode=66 atexit_sleep_ms=0")
	s.write(processes)
	t.Cleanup(func() {
		s.pgo("down")
		if left := s.processes(); len(left) > 0 {
			t.Errorf("pgo down left processes behind: %v", left)
			for pid := range left {
				proc.Kill(pid, syscall.SIGKILL)
			}
		}
		if log := s.read(".pgo/logs/pgo.log"); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Errorf("pgo.log:\n%s", log)
		}
		if t.Failed() {
			t.Logf("pgo.log:\n%s", s.read(".pgo/logs/pgo.log"))
		}
		os.RemoveAll(sockets)
	})
	return s
}

// freeAddr returns a loopback address that nobody listens at, and that is the test's until its end: its port is bound, so the
// kernel gives it to nobody who asks for any port. A server that sets SO_REUSEADDR, as Go's do, may listen at it.
func freeAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

func (s *stack) home() string { return filepath.Join(s.dir, ".pgo") }

func (s *stack) write(processes string) {
	s.Helper()
	text := strings.NewReplacer("ACTOR", strconv.Quote(s.self), "DIR", s.dir).Replace("version: 1\nprocesses:\n" + processes + "\n" + s.http)
	if err := os.MkdirAll(filepath.Join(s.dir, "configs"), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "configs", "pgo.yaml"), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// read returns a file's content, nothing where it does not exist.
func (s *stack) read(name string) string {
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatal(err)
	}
	return string(content)
}

func (s *stack) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// pgo runs a command and returns its exit code and all that it printed.
func (s *stack) pgo(args ...string) (code int, out string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		s.Fatalf("pgo %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// must runs a command that has to succeed.
func (s *stack) must(args ...string) string {
	s.Helper()
	code, out := s.pgo(args...)
	if code != 0 {
		s.Fatalf("pgo %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// fails runs a command that has to end with the code and to print all of texts.
func (s *stack) fails(code int, texts []string, args ...string) {
	s.Helper()
	got, out := s.pgo(args...)
	if got != code {
		s.Errorf("pgo %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.Errorf("pgo %s: no %q in\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// rows returns all instances of all processes.
func (s *stack) rows() []control.Process {
	s.Helper()
	var all []control.Process
	if err := json.Unmarshal([]byte(s.must("list", "--json")), &all); err != nil {
		s.Fatal(err)
	}
	return all
}

// list returns the processes by name; of several instances the last.
func (s *stack) list() map[string]control.Process {
	s.Helper()
	all := s.rows()
	byName := map[string]control.Process{}
	for _, p := range all {
		byName[p.Name] = p
	}
	return byName
}

func (s *stack) info() control.Info {
	s.Helper()
	var info control.Info
	if err := json.Unmarshal([]byte(s.must("info", "--json")), &info); err != nil {
		s.Fatal(err)
	}
	return info
}

// processes finds what runs for this home, whoever started it: all of it has PGO_HOME in its environment.
func (s *stack) processes() map[int]string {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.Fatal(err)
	}
	found := map[int]string{}
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, []byte("PGO_HOME="+s.home()+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			s.Fatal(err)
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found[pid] = string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))
	}
	return found
}

// eventually waits until cond is nil.
func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// becomes waits until a process is in the state.
func (s *stack) becomes(name string, state control.State) control.Process {
	s.Helper()
	var p control.Process
	eventually(s.T, name+" is "+string(state), func() error {
		p = s.list()[name]
		if p.Status != state {
			return fmt.Errorf("it is %s: %s", p.Status, p.Reason)
		}
		return nil
	})
	return p
}

func alive(pid int) bool {
	s, err := proc.ReadStat(pid)
	return err == nil && !s.Zombie
}
