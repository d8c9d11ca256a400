package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/shim"
)

// TestMain runs the tests, or one of the roles of a child process that RELEASE_TEST names.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == shim.Command { // as pgo starts the programs that a preflight asks
		fmt.Fprintln(os.Stderr, shim.Exec(os.Args[2:]))
		os.Exit(shim.ExitCode)
	}
	role, args := os.Getenv("RELEASE_TEST"), os.Args[1:]
	var err error
	switch role {
	case "":
		os.Exit(m.Run())
	case "killed":
		err = killAtStep(args[0], args[1], args[2:])
	case "crowd":
		err = addConcurrently(args[0], args[1:])
	case "full":
		err = onFullDisk(smallDisk, args[0])
	case "limited":
		err = onFullDisk(smallFiles, args[0])
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func childCommand(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "RELEASE_TEST="+role)
	return cmd
}

// killAtStep sends itself SIGKILL at the step. args are "add" with a file, or "live" with a SHA-256.
func killAtStep(step, dir string, args []string) error {
	s := &Store{Dir: dir, Keep: 1, onStep: func(at string) {
		if at == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
	if args[0] == "live" {
		return s.SetCurrent(context.Background(), "user", args[1])
	}
	_, err := s.Add(context.Background(), "user", args[1])
	return err
}

func TestKilledAtEveryStep(t *testing.T) {
	// At every kill a change is either complete or has not happened.
	tests := []struct{ step, do, kept, live string }{
		{"begun", "add", "x b a", "b"},
		{"copied", "add", "x b a", "b"},
		{"synced", "add", "x b a", "b"},
		{"writing", "add", "x b a", "b"},
		{"recorded", "add", "x b a", "b"},
		{"named", "add", "c x b a", "b"},
		{"removed", "add", "c b a", "b"},
		{"writing", "live", "x b a", "b"},
	}
	for _, test := range tests {
		t.Run(test.do+" "+test.step, func(t *testing.T) {
			s := newStoreFixture(t)
			s.runSteps("add a, live a, good a, add b, live b, good b, add x")
			next := writeScript(t, filepath.Join(t.TempDir(), "user"), "echo c")
			proof, err := Verify(t.Context(), next, Platform{})
			if err != nil {
				t.Fatal(err)
			}
			s.sums["c"] = proof.SHA256
			what := next
			if test.do == "live" {
				what = s.sums["x"]
			}
			output, err := childCommand(t, "killed", test.step, s.Store.Dir, test.do, what).CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("was not killed: %v\n%s", err, output)
			}
			if got, live, target := s.storedLetters(), s.currentLetter(), s.rollbackLetter(); got != test.kept || live != test.live || target != "a" {
				t.Errorf("kept %q, live %q, target %q", got, live, target)
			}
			for letter := range strings.FieldsSeq(s.storedLetters()) {
				if err := s.Store.VerifyContent(t.Context(), "user", s.sums[letter]); err != nil {
					t.Error(err)
				}
			}
			// The next Add is not blocked by the leftovers, and removes them.
			s.Store.Keep = 1
			s.runSteps("add c, live c")
			if got := s.storedLetters(); got != "c b" && got != "c b a" || s.currentLetter() != "c" || s.rollbackLetter() != "b" {
				t.Errorf("then kept %q, live %q, target %q", got, s.currentLetter(), s.rollbackLetter())
			}
			s.runSteps("add d")
			var want []string
			for letter := range strings.FieldsSeq(s.storedLetters()) {
				want = append(want, s.sums[letter], s.sums[letter]+".json")
			}
			want = append(want, ".lock")
			slices.Sort(want)
			if got := s.listFiles(); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestRemoveSurplusKeepsActiveCopies checks that an Add does not remove the unfinished copy of a concurrent one.
func TestRemoveSurplusKeepsActiveCopies(t *testing.T) {
	s := newStoreFixture(t)
	source := writeScript(t, filepath.Join(t.TempDir(), "user"), "echo slow")
	other := writeScript(t, filepath.Join(t.TempDir(), "user"), "echo fast")
	slow := &Store{Dir: s.Store.Dir, onStep: func(at string) {
		if at == "synced" {
			if _, err := s.Store.Add(t.Context(), "user", other); err != nil {
				t.Error(err)
			}
		}
	}}
	if _, err := slow.Add(t.Context(), "user", source); err != nil {
		t.Error(err)
	}
	if all, err := s.Store.List("user"); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

// addConcurrently adds programs and makes each of them current.
func addConcurrently(dir string, sources []string) error {
	s := &Store{Dir: dir}
	for _, source := range sources {
		r, err := s.Add(context.Background(), "user", source)
		if err != nil {
			return err
		}
		if err := s.SetCurrent(context.Background(), "user", r.Record.Verification.SHA256); err != nil {
			return err
		}
	}
	return nil
}

func TestConcurrentStores(t *testing.T) {
	s := newStoreFixture(t)
	const each, processes, routines = 4, 2, 2
	var all sync.WaitGroup
	for i := range processes + routines {
		var sources []string
		for j := range each {
			sources = append(sources, writeScript(t, filepath.Join(t.TempDir(), "user"), fmt.Sprintf("echo %d %d", i, j)))
		}
		all.Go(func() {
			err := error(nil)
			if i < processes {
				if output, failed := childCommand(t, "crowd", append([]string{s.Store.Dir}, sources...)...).CombinedOutput(); failed != nil {
					err = fmt.Errorf("%w: %s", failed, output)
				}
			} else {
				err = addConcurrently(s.Store.Dir, sources)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for reading := true; reading; {
		select {
		case <-ended:
			reading = false
		default:
		}
		found, err := s.Store.List("user")
		if err != nil {
			t.Error(err)
		}
		live := 0
		for _, r := range found {
			if r.Damaged != "" || r.Missing {
				t.Errorf("half of a release is seen: %+v", r)
			}
			if r.Current {
				live++
			}
		}
		if live > 1 {
			t.Errorf("%d releases are live", live)
		}
	}
	found, err := s.Store.List("user")
	if err != nil || len(found) != 5 {
		t.Errorf("%d releases, %v", len(found), err)
	}
	// Each change has its own sequence number: none was lost.
	if want := 2 * each * (processes + routines); found[0].Record.Seq != want || !found[0].Current {
		t.Errorf("%d turns, want %d", found[0].Record.Seq, want)
	}
	for _, r := range found {
		if err := s.Store.VerifyContent(t.Context(), "user", r.Record.Verification.SHA256); err != nil {
			t.Error(err)
		}
	}
	if files := s.listFiles(); len(files) != 11 {
		t.Errorf("left behind: %v", files)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	// In its own mount namespace the child can mount a small disk; where that is not allowed, it limits the size of its files.
	cmd := childCommand(t, "full", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	output, err := cmd.CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		output, err = childCommand(t, "limited", dir).CombinedOutput()
	}
	t.Logf("%s", output)
	if err != nil {
		t.Error(err)
	}
}

// onFullDisk uses a store on a full disk.
func onFullDisk(small func(dir string) (full, room func(), limit error), dir string) error {
	full, room, limit := small(dir)
	s := &Store{Dir: filepath.Join(dir, "releases")}
	ctx := context.Background()
	source := func(name string, size int) string {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", name, os.Getpid()))
		text := "#!/bin/sh\n#" + strings.Repeat(name, size) + "\n"
		_ = os.WriteFile(path, []byte(text), 0o755)
		sum, _ := hashReader(ctx, strings.NewReader(text))
		_ = os.WriteFile(SumFilePath(path), []byte(sum), 0o644)
		return path
	}
	one, large := source("s", 10), source("l", 300<<10)
	for _, path := range []string{one, large} {
		defer os.Remove(path)
		defer os.Remove(SumFilePath(path))
	}
	r, err := s.Add(ctx, "user", one)
	if err != nil {
		return err
	}
	full()
	_, addErr := s.Add(ctx, "user", large)
	liveErr := s.SetCurrent(ctx, "user", r.Record.Verification.SHA256)
	list, listErr := s.List("user")
	checkErr := s.VerifyContent(ctx, "user", r.Record.Verification.SHA256)
	if !errors.Is(addErr, limit) || !errors.Is(liveErr, limit) || len(list) != 1 || list[0].Current || errors.Join(listErr, checkErr) != nil {
		return fmt.Errorf("full: add %w, live %w, list %v %w, check %w", addErr, liveErr, list, listErr, checkErr)
	}
	room()
	if err := s.SetCurrent(ctx, "user", r.Record.Verification.SHA256); err != nil {
		return err
	}
	files, err := os.ReadDir(filepath.Join(s.Dir, "user"))
	if err != nil || len(files) != 3 {
		return fmt.Errorf("left behind: %v, %w", files, err)
	}
	fmt.Println("survived:", limit)
	return nil
}

// smallDisk mounts a small disk at the directory, and returns functions that fill it and make room again; limit is the error
// when it is full. It needs its own mount namespace: the mount would stay otherwise.
func smallDisk(dir string) (full, room func(), limit error) {
	if unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k") != nil {
		return smallFiles(dir)
	}
	filler := filepath.Join(dir, "filler")
	return func() { _ = os.WriteFile(filler, make([]byte, 1<<20), 0o600) }, func() { _ = os.Remove(filler) }, syscall.ENOSPC
}

// smallFiles does the same with a limit on the size of files.
func smallFiles(string) (full, room func(), limit error) {
	signal.Ignore(syscall.SIGXFSZ)
	files := func(limit uint64) func() {
		return func() {
			_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: unix.RLIM_INFINITY})
		}
	}
	return files(100), files(unix.RLIM_INFINITY), syscall.EFBIG
}
