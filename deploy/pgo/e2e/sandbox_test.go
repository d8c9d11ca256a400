package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/proc"
)

// sandbox is a checkout with a process file and a home of its own, and pgo's commands on it.
type sandbox struct {
	t    *testing.T
	dir  string
	env  []string
	self string
	http string // the last line of the process file: pgo's own HTTP

	socketsDir string // the parent of the directory of pgo's sockets
}

// newSandbox writes the process file. In it ACTOR stands for the program of actor_test.go and DIR for the checkout.
func newSandbox(t *testing.T, processes string) *sandbox {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Short, since the paths of sockets are limited.
	sockets, err := os.MkdirTemp("", "pgo")
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{t: t, dir: t.TempDir(), self: self, http: "http: \"\"\n", socketsDir: sockets}
	s.env = append(os.Environ(), "XDG_RUNTIME_DIR="+sockets, "PGO_HOME="+s.homeDir(), "GORACE=exitcode=66 atexit_sleep_ms=0")
	s.writeProcessFile(processes)
	t.Cleanup(func() {
		s.runPgo("down")
		if left := s.findProcesses(); len(left) > 0 {
			t.Errorf("pgo down left processes behind: %v", left)
			for pid := range left {
				proc.Kill(pid, syscall.SIGKILL)
			}
		}
		if log := s.readFile(".pgo/logs/pgo.log"); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Errorf("pgo.log:\n%s", log)
		}
		if t.Failed() {
			t.Logf("pgo.log:\n%s", s.readFile(".pgo/logs/pgo.log"))
		}
		os.RemoveAll(sockets)
	})
	return s
}

// reserveAddr returns a free loopback address and reserves it until the end of the test: its port is bound, so the kernel assigns
// it to no one who asks for any port. A server that sets SO_REUSEADDR, as Go's do, may listen at it.
func reserveAddr(t *testing.T) string {
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

func (s *sandbox) homeDir() string { return filepath.Join(s.dir, ".pgo") }

func (s *sandbox) writeProcessFile(processes string) {
	s.t.Helper()
	text := strings.NewReplacer("ACTOR", strconv.Quote(s.self), "DIR", s.dir).Replace("version: 1\nprocesses:\n" + processes + "\n" + s.http)
	if err := os.MkdirAll(filepath.Join(s.dir, "configs"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "configs", "pgo.yaml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// readFile returns a file's content, an empty one where the file does not exist.
func (s *sandbox) readFile(name string) string {
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(content)
}

func (s *sandbox) newCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(pgoPath, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// runPgo runs a command and returns its exit code and its output.
func (s *sandbox) runPgo(args ...string) (code int, out string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, pgoPath, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		s.t.Fatalf("pgo %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// mustRun runs a command that has to succeed, and returns its output.
func (s *sandbox) mustRun(args ...string) string {
	s.t.Helper()
	code, out := s.runPgo(args...)
	if code != 0 {
		s.t.Fatalf("pgo %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// assertFails runs a command that has to end with the code and to print all of texts.
func (s *sandbox) assertFails(code int, texts []string, args ...string) {
	s.t.Helper()
	got, out := s.runPgo(args...)
	if got != code {
		s.t.Errorf("pgo %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("pgo %s: no %q in\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// listInstances returns all instances of all processes, as pgo list --json prints them.
func (s *sandbox) listInstances() []control.Process {
	s.t.Helper()
	var all []control.Process
	s.readControl("processes", &all)
	return all
}

// listByName returns the processes by name; of several instances the last.
func (s *sandbox) listByName() map[string]control.Process {
	s.t.Helper()
	all := s.listInstances()
	byName := map[string]control.Process{}
	for _, p := range all {
		byName[p.Name] = p
	}
	return byName
}

// readInfo returns what pgo info --json prints.
func (s *sandbox) readInfo() control.Info {
	s.t.Helper()
	info := control.Info{Version: version, Home: s.homeDir()}
	s.readControl("info", &info)
	return info
}

// readControl decodes a response of the control socket, and leaves into as it is where no manager runs. Tests read it while
// they wait: a pgo that starts for each look would take the CPU from the processes they wait for.
func (s *sandbox) readControl(path string, into any) {
	s.t.Helper()
	m, err := home.Home(s.homeDir()).ReadManager()
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", m.Socket)
	}}}
	for attempt := 1; ; attempt++ {
		err := getJSON(client, "http://pgo/v1/"+path, into)
		switch {
		case err == nil, errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
			return
		case attempt == 5: // managers that end in the middle of an answer
			s.t.Fatalf("%s: %v", path, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func getJSON(client *http.Client, url string, into any) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// findProcesses finds the processes of this home by PGO_HOME in their environment, and returns their command lines by pid.
func (s *sandbox) findProcesses() map[int]string {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[int]string{}
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, []byte("PGO_HOME="+s.homeDir()+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			s.t.Fatal(err)
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found[pid] = string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))
	}
	return found
}

// eventually waits until cond returns nil.
func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		began := time.Now()
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(min(max(10*time.Millisecond, time.Since(began)), 100*time.Millisecond)) // a cond that runs commands leaves CPU to others
	}
}

// awaitState waits until a process is in the state.
func (s *sandbox) awaitState(name string, state control.State) control.Process {
	s.t.Helper()
	var p control.Process
	eventually(s.t, name+" is "+string(state), func() error {
		p = s.listByName()[name]
		if p.Status != state {
			return fmt.Errorf("it is %s: %s", p.Status, p.Reason)
		}
		return nil
	})
	return p
}

func isAlive(pid int) bool {
	s, err := proc.ReadStat(pid)
	return err == nil && !s.Zombie
}
