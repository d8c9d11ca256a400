package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const asProgramVariable = "PGO_TEST_AS_STACK"

// The test binary runs as the program for tests that need a process to signal.
func TestMain(m *testing.M) {
	if os.Getenv(asProgramVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		code int
		want string
	}{
		{"no command", nil, nil, 64, "stack help"},
		{"an unknown command", []string{"fly"}, nil, 64, `unknown command "fly"`},
		{"help", []string{"help"}, nil, 0, "stack [command]"},
		{"too many arguments", []string{"down", "now"}, nil, 64, "down takes no arguments"},
		{"an unknown flag", []string{"install", "--all"}, nil, 64, `unknown flag: --all`},
		{"no server", []string{"run"}, nil, 64, "run takes one server"},
		{"an unknown server", []string{"run", "oracle"}, nil, 64, `unknown server "oracle"`},
		{"a server before prepare", []string{"run", "mysql"}, nil, 1, "make up writes it"},
		{"with-servers without a command", []string{"with-servers", "--"}, nil, 64, "with-servers needs a command"},
		{"an unknown mode", []string{"up"}, map[string]string{"MODE": "cloud"}, 64, `MODE="cloud": native or docker`},
		{"an offset that is not a number", []string{"prepare"}, map[string]string{"PORT_OFFSET": "many"}, 1, `PORT_OFFSET="many" is not a whole number`},
		{"status of nothing", []string{"status"}, nil, 0, "nothing is set up here"},
		{"down of nothing", []string{"down"}, nil, 0, ""},
		{"clean of nothing", []string{"clean"}, nil, 0, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "home")
			var out bytes.Buffer
			sys := environment{dir: ".", stdin: os.Stdin, stdout: &out, stderr: &out, getenv: func(key string) string {
				if key == "PGO_HOME" {
					return home
				}
				return tc.env[key]
			}}
			if code := run(context.Background(), tc.args, sys); code != tc.code || !strings.Contains(out.String(), tc.want) {
				t.Errorf("exit code %d, output %q, want %d and %q", code, out.String(), tc.code, tc.want)
			}
		})
	}
}

func TestWithServersPassesExitCodesAndSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("starts private servers several times")
	}
	tests := []struct {
		name   string
		script string
		signal syscall.Signal // sent once the script has printed "up"
		code   int
	}{
		{"an exit code", `echo up $PGO_TEST_MYSQL; exit 7`, 0, 7},
		{"a signal that the command handles", `trap 'exit 3' TERM; echo up $PGO_TEST_MYSQL; while :; do sleep 0.05; done`, syscall.SIGTERM, 3},
		{"a signal that ends the command", `echo up $PGO_TEST_MYSQL; exec sleep 60`, syscall.SIGTERM, 128 + 15},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "with-servers", "--", "sh", "-c", tc.script)
			temp := shortTempDir(t)
			cmd.Env = append(os.Environ(), asProgramVariable+"=1", "TMPDIR="+temp)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "up pgo_admin:") {
				t.Fatalf("the command prints %q, %v", line, err)
			}
			if tc.signal != 0 {
				if err := cmd.Process.Signal(tc.signal); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			assertNothingLeft(t, temp)
		})
	}
}

func TestWithServersIsInterruptedDuringStart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts private servers")
	}
	temp := shortTempDir(t)
	cmd := exec.Command(os.Args[0], "with-servers", "--", "false")
	cmd.Env = append(os.Environ(), asProgramVariable+"=1", "TMPDIR="+temp)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for deadline := time.Now().Add(20 * time.Second); len(findProcessesIn(temp)) < 4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no servers")
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	assertNothingLeft(t, temp)
}

// assertNothingLeft checks that the servers have left no file and no process.
func assertNothingLeft(t *testing.T, dir string) {
	t.Helper()
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left in the directory: %v, %v", files, err)
	}
	// RabbitMQ's helpers have their own sessions and exit when they notice that it has exited.
	for deadline := time.Now().Add(20 * time.Second); len(findProcessesIn(dir)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still running: %v", findProcessesIn(dir))
		}
	}
}

// findProcessesIn lists the running processes that name dir in their arguments or environment, as every server does.
func findProcessesIn(dir string) []string {
	var out []string
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		environ, _ := os.ReadFile(proc + "/environ")
		cmdline, _ := os.ReadFile(proc + "/cmdline")
		if strings.Contains(string(environ)+string(cmdline), dir+"/") {
			out = append(out, filepath.Base(proc)+" "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return out
}

// shortTempDir returns a temporary directory with a path short enough for sockets in it.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgo-n-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
