package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newCollectorOnFullDisk returns a collector, the pipe that it reads, and the path of its log. There is no room until the log is
// removed.
func newCollectorOnFullDisk(t *testing.T) (p *Collector, pipe int, log string) {
	t.Helper()
	pipe, err := NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pipe) })
	log = filepath.Join(t.TempDir(), "log")
	if err := os.Symlink("/dev/full", log); err != nil {
		t.Fatal(err)
	}
	p, err = NewCollector(pipe, NewWriter(log, Policy{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p, pipe, log
}

// TestCollectorDropsWholeLines fills a disk in the middle of a line. The rest of that line is useless: it is dropped too when
// there is room again.
func TestCollectorDropsWholeLines(t *testing.T) {
	p, pipe, log := newCollectorOnFullDisk(t)
	const lines = 1000
	for n := range lines { // together more than is read at once
		if _, err := unix.Write(pipe, fmt.Appendf(nil, "line %05d %s\n", n, strings.Repeat("x", 88))); err != nil {
			t.Fatal(err)
		}
	}
	p.Sync()
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	p.Sync()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	notice, rest, _ := strings.Cut(string(text), "\n")
	_, notice, _ = strings.Cut(notice, "could not write this log: ")
	var dropped int
	if _, err := fmt.Sscanf(notice, "%d lines", &dropped); err != nil || dropped == 0 || dropped == lines {
		t.Fatalf("%d dropped, %v: %.300s", dropped, err, text)
	}
	if first := fmt.Sprintf("line %05d ", dropped); !strings.HasPrefix(rest, first) || strings.Count(rest, "\n") != lines-dropped {
		t.Errorf("%d lines were dropped, and %d are there, from %.120q on", dropped, strings.Count(rest, "\n"), rest)
	}
}

// TestCollectorKeepsTheLineAfterDroppedOnes fills the pipe of a full disk with whole lines, so that all of them are dropped. The next
// line is logged.
func TestCollectorKeepsTheLineAfterDroppedOnes(t *testing.T) {
	p, pipe, log := newCollectorOnFullDisk(t)
	lines := p.size * 3 / 4 / 100
	for n := range lines {
		if _, err := unix.Write(pipe, fmt.Appendf(nil, "line %05d %s\n", n, strings.Repeat("x", 88))); err != nil {
			t.Fatal(err)
		}
	}
	p.Sync()
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(pipe, []byte("after\n")); err != nil {
		t.Fatal(err)
	}
	p.Sync()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d lines (%d bytes) were dropped", lines, lines*100); !strings.Contains(string(text), want) || !strings.HasSuffix(string(text), "\nafter\n") {
		t.Errorf("the log is %q, want %q and the line after it", text, want)
	}
}
