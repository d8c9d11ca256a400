package localserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const ownerVariable = "PGO_TEST_SCRATCH_OWNER"

// TestScratchOwner is the child of TestServersEndWithAKilledOwner; alone it has nothing to do.
func TestScratchOwner(t *testing.T) {
	if os.Getenv(ownerVariable) == "" {
		return
	}
	s, err := NewScratch(HostPrograms())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Environ(context.Background(), ""); err != nil {
		t.Fatal(err)
	}
	fmt.Println("dir=" + s.Dir())
	select {} // until it is killed
}

func TestServersEndWithAKilledOwner(t *testing.T) {
	owner := exec.Command(os.Args[0], "-test.run=^TestScratchOwner$")
	owner.Env = append(os.Environ(), ownerVariable+"=1")
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Process.Kill(); owner.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	dir, ok := strings.CutPrefix(strings.TrimSpace(line), "dir=")
	if err != nil || !ok {
		t.Fatalf("the owner prints %q, %v", line, err)
	}
	if len(runningIn(dir)) < 4 {
		t.Fatalf("running: %v", runningIn(dir))
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err) && len(runningIn(dir)) == 0
	})
}

func TestRemoveAbandonedKeepsLockedDirectories(t *testing.T) {
	parent := t.TempDir()
	old := time.Now().Add(-time.Hour)
	make := func(name string, held bool, at time.Time) string {
		dir := filepath.Join(parent, scratchPrefix()+name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		lock, err := os.Create(filepath.Join(dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lock.Close() })
		if held {
			if err := holdLock(lock); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	held, left, young := make("held", true, old), make("left", false, old), make("young", false, time.Now())
	removeAbandoned(parent)
	for dir, want := range map[string]bool{held: true, left: false, young: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
}
