package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/shim"
)

// TestMain is also the shim, as pgo is where it starts the programs of processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == shim.Command {
		fmt.Fprintln(os.Stderr, shim.Exec(os.Args[2:]))
		os.Exit(shim.ExitCode)
	}
	os.Exit(m.Run())
}

// shellRun returns a run of a shell script.
func shellRun(script string) Run {
	return Run{Program: "/bin/sh", Args: []string{"-c", script}, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")}}
}

// awaitPIDs waits until a file has n pids.
func awaitPIDs(t *testing.T, path string, n int) []int {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(path)
		if words := strings.Fields(string(text)); len(words) == n {
			var pids []int
			for _, word := range words {
				pid, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
			return pids
		}
		if time.Now().After(end) {
			t.Fatalf("no %d pids in %q", n, text)
		}
	}
}

// awaitEnd waits until the processes have ended.
func awaitEnd(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if s, err := proc.ReadStat(pid); err != nil || s.Zombie {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d lives", pid)
			}
		}
	}
}

func TestRun(t *testing.T) {
	tests := []struct {
		name   string
		run    Run
		output string
		code   int   // of an *exec.ExitError
		is     error // of a *shim.Failure
	}{
		{"its output", shellRun("echo hello; echo there >&2"), "hello\nthere\n", 0, nil},
		{"its environment and nothing else", shellRun(`echo "$HOME$PWD"`), "/\n", 0, nil},
		{"its exit code", shellRun("echo why; exit 7"), "why\n", 7, nil},
		{"a program that is missing", Run{Program: "/no/such/program", Dir: "/"}, "", 0, fs.ErrNotExist},
		{"a directory", Run{Program: "/tmp", Dir: "/"}, "", 0, fs.ErrPermission},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r Runner
			defer r.Close()
			output := &Output{}
			err := r.Run(t.Context(), test.run, output, output)
			exit, _ := errors.AsType[*exec.ExitError](err)
			switch {
			case test.is != nil:
				if failure, ok := errors.AsType[*shim.Failure](err); !ok || !errors.Is(err, test.is) {
					t.Errorf("got %v, %v, want a failure of the shim: %v", err, failure, test.is)
				}
				return
			case test.code != 0 && (exit == nil || exit.ExitCode() != test.code), test.code == 0 && err != nil:
				t.Errorf("got %v, want exit code %d", err, test.code)
			}
			if got := string(output.Bytes()); got != test.output {
				t.Errorf("got output %q, want %q", got, test.output)
			}
		})
	}
}

// When a program has ended, what it has left in its group is killed, and does not delay the end.
func TestRunKillsWhatIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pids")
	var r Runner
	defer r.Close()
	if err := r.Run(t.Context(), shellRun("sleep 1000 & echo $! >"+path), &Output{}, nil); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, awaitPIDs(t, path, 1))
}

// The end of ctx, and Close, kill a program and all that it has started, also where signals are ignored.
func TestRunEnds(t *testing.T) {
	cause := errors.New("enough")
	tests := []struct {
		name string
		end  func(r *Runner, cancel context.CancelCauseFunc)
		want error
	}{
		{"ctx ends", func(_ *Runner, cancel context.CancelCauseFunc) { cancel(cause) }, cause},
		{"the runner is closed", func(r *Runner, _ context.CancelCauseFunc) { r.Close() }, ErrClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pids")
			var r Runner
			defer r.Close()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ended := make(chan error, 1)
			go func() {
				ended <- r.Run(ctx, shellRun("trap '' TERM INT HUP; sleep 1000 & echo $$ $! >"+path+"; while :; do wait; done"), nil, nil)
			}()
			pids := awaitPIDs(t, path, 2)
			test.end(&r, cancel)
			if err := <-ended; !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			awaitEnd(t, pids)
		})
	}
	var r Runner
	r.Close()
	if err := r.Run(t.Context(), shellRun(":"), nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a run after Close: %v", err)
	}
}

func TestOutput(t *testing.T) {
	var o Output
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for range 100 {
		if n, err := o.Write(line); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if _, err := o.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	if got := o.Bytes(); len(got) != MaxOutput || !o.IsTruncated() || !strings.HasSuffix(string(got), "\nthe end") {
		t.Errorf("%d bytes are kept, truncated: %v", len(got), o.IsTruncated())
	}
}
