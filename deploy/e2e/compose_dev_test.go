//go:build compose

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestComposeDev works on a copy of the checkout as a developer does: a save is built into the mounted directory and live
// without a dropped request, and what does not build changes nothing.
func TestComposeDev(t *testing.T) {
	s := prepareStack(t, "docker")
	checkout := t.TempDir()
	cmd := exec.Command("sh", "-c", `git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - --ignore-failed-read 2>/dev/null | tar --extract --directory "$1"`, "sh", checkout)
	cmd.Dir = s.root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy the checkout: %v\n%s", err, out)
	}
	s.root = checkout
	run(t, "make", "-C", checkout, "build")

	var said shared
	dev := exec.Command(filepath.Join(checkout, "bin", "stack"), "dev")
	dev.Dir = checkout
	dev.Env = append(os.Environ(), "PGO_HOME="+s.home, "PORT_OFFSET="+strconv.Itoa(s.offset), "MODE=docker")
	dev.Stdout, dev.Stderr = &said, &said
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dev.Wait() }()
	t.Cleanup(func() {
		_ = dev.Process.Kill()
		if t.Failed() {
			t.Logf("dev said:\n%s", &said)
		}
	})
	s.says(t, &said, "watching the source")
	pupils := s.somePupils(t, 4)

	posts := s.load(t, 200, s.aPost("school", pupils))
	spec := filepath.Join(checkout, "services", "school", "openapi", "swagger.json")
	replace(t, spec, `"title": "School"`, `"title": "Saved"`)
	began := time.Now()
	s.eventually(t, "what was saved answers through the gateway", func() error { return s.answers("school", "Saved") })
	t.Logf("what was saved answers after %s", time.Since(began).Round(100*time.Millisecond))
	s.says(t, &said, "built and switched")

	replace(t, filepath.Join(checkout, "services", "school", "school.go"), "package school", "package school\n\nfunc {")
	s.says(t, &said, "not built, what runs stays")
	if err := s.answers("school", "Saved"); err != nil {
		t.Error(err)
	}
	posts.none(t, "POST to school")

	if err := dev.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
}

func replace(t *testing.T, path, old, with string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q, %v", path, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, with, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *stack) says(t *testing.T, said *shared, want string) {
	t.Helper()
	s.eventually(t, "dev says "+want, func() error {
		if !strings.Contains(said.String(), want) {
			return fmt.Errorf("it says nothing of that")
		}
		return nil
	})
}

// shared is a buffer that a program writes to while the test reads it.
type shared struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *shared) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *shared) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
