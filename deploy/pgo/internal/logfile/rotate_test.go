package logfile

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// collectorFixture is a collector that moves the output of a pipe to a log.
type collectorFixture struct {
	*testing.T
	path      string
	pipe      int
	to        *Writer
	collector *Collector
	stop      func()
}

func newCollectorFixture(t *testing.T, p Policy) *collectorFixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.log")
	pipe, err := NewPipe()
	if err != nil {
		t.Fatal(err)
	}
	to := NewWriter(path, p)
	pump, err := NewCollector(pipe, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go pump.Run(ctx)
	stop := func() {
		cancel()
		<-pump.Done()
		to.Close()
	}
	t.Cleanup(func() { stop(); unix.Close(pipe) })
	return &collectorFixture{T: t, path: path, pipe: pipe, to: to, collector: pump, stop: stop}
}

func (p *collectorFixture) writeText(text string) {
	p.Helper()
	if _, err := unix.Write(p.pipe, []byte(text)); err != nil {
		p.Fatal(err)
	}
}

func TestRotation(t *testing.T) {
	line := strings.Repeat("x", 1023) + "\n"
	tests := []struct {
		name     string
		policy   Policy
		lines    int
		files    int // rotated
		packed   int
		complete bool
	}{
		{"below the size", Policy{MaxSize: 1 << 20, Keep: 5}, 100, 0, 0, true},
		{"by size", Policy{MaxSize: 64 << 10, Keep: 50}, 640, 10, 0, true},
		{"compressed but for the newest", Policy{MaxSize: 64 << 10, Keep: 50, Compress: true}, 640, 10, 9, true},
		{"only some are kept", Policy{MaxSize: 64 << 10, Keep: 2}, 640, 2, 0, false},
		{"none is kept", Policy{MaxSize: 64 << 10}, 640, 0, 0, false},
		{"not for long", Policy{MaxSize: 64 << 10, Keep: 50, KeepFor: time.Nanosecond}, 640, 0, 0, false},
		{"by age", Policy{MaxSize: 1 << 30, MaxAge: time.Nanosecond, Keep: 50}, 10, 10, 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newCollectorFixture(t, test.policy)
			// One block at a time, so that the rotations happen at known places.
			for written := 0; written < test.lines; written += test.lines / 10 {
				p.writeText(strings.Repeat(line, test.lines/10))
				p.collector.Sync()
			}
			p.stop()
			rotated, packed, bytes := ListRotated(p.path), 0, 0
			for _, old := range rotated {
				if old.Compressed {
					packed++
				}
				if err := old.ReadLines(func(line []byte) error { bytes += len(line); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			content, err := os.ReadFile(p.path)
			if err != nil {
				t.Fatal(err)
			}
			if len(rotated) != test.files || packed != test.packed || (bytes+len(content) == test.lines*len(line)) != test.complete {
				t.Errorf("%d rotated, %d packed, %d bytes of %d", len(rotated), packed, bytes+len(content), test.lines*len(line))
			}
		})
	}
}

// A log that has just been renamed and not yet created again is still known.
func TestListNames(t *testing.T) {
	dir := t.TempDir()
	if names, err := ListNames(filepath.Join(dir, "none")); err != nil || len(names) > 0 {
		t.Errorf("without a directory: %v, %v", names, err)
	}
	if err := os.Mkdir(filepath.Join(dir, rotatedDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		"user.log", "task.err.log", "note.txt", "old/user.20261129T080000.000000001Z.log", "old/flood.20261129T080000.000000001Z.log",
		"old/gone.err.20261129T080000.000000001Z.log.gz", "old/x.20261129.log", "old/.20261129T080000.000000001Z.log",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names, err := ListNames(dir)
	if want := []string{"flood", "gone.err", "task.err", "user"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %q, %v, want %q", names, err, want)
	}
}
