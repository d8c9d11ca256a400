package watch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The tests run in a bubble of testing/synctest: real files, and a clock that advances when all goroutines wait. So half an
// hour takes moments, and each run is the same.

const programLength = 300 << 10 // of a whole program, more than one block

// programContent returns the content of a whole program: one letter, repeated.
func programContent(letter string) string { return strings.Repeat(letter, programLength) }

// watchFixture is a deployed file with an uploader and a handler that accepts whole files.
type watchFixture struct {
	t     *testing.T
	path  string
	start time.Time

	mu            sync.Mutex
	events        []string
	times         []time.Duration // of what was heard
	notReadyCount int             // how often the gate is not ready yet
	delay         time.Duration   // of taking
}

func newWatchFixture(t *testing.T) *watchFixture {
	return &watchFixture{t: t, path: filepath.Join(t.TempDir(), "user"), start: time.Now()}
}

func (s *watchFixture) record(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf(format, args...))
	s.times = append(s.times, time.Since(s.start))
}

// takeEvents returns the events since the last call, with their times.
func (s *watchFixture) takeEvents() ([]string, []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard, times := s.events, s.times
	s.events, s.times = nil, nil
	return heard, times
}

// setGate sets how many times the gate is not ready, and how long handling a change takes.
func (s *watchFixture) setGate(closed int, slowness time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notReadyCount, s.delay = closed, slowness
}

func (s *watchFixture) HandleChange(ctx context.Context, c Change) error {
	text, err := os.ReadFile(c.Path)
	if err != nil {
		return err
	}
	if fmt.Sprintf("%x", sha256.Sum256(text)) != c.SHA256 {
		return errors.New("changed meanwhile")
	}
	s.mu.Lock()
	closed, slowness := s.notReadyCount > 0, s.delay
	s.notReadyCount = max(0, s.notReadyCount-1)
	s.mu.Unlock()
	if closed {
		s.record("not now")
		return fmt.Errorf("the gate is not ready: %w", ErrNotNow)
	}
	if !sleepUnlessDone(ctx, slowness) {
		s.record("given up")
		return ctx.Err()
	}
	info, err := os.Stat(c.Path)
	sum, _ := os.ReadFile(c.Path + ".sha256")
	switch {
	case err != nil:
		return err
	case info.Mode()&0o111 == 0:
		return errors.New("not executable")
	case string(sum) == "fits":
	case len(text) != programLength || strings.Trim(string(text), string(text[:1])) != "":
		return errors.New("not whole")
	}
	s.record("took %s", text[:1])
	return nil
}

func (s *watchFixture) HandleRefusal(_ context.Context, _ Change, why error) {
	s.record("refused: %v", why)
}

// writeFile writes the text to the file and sets its modification time to the bubble's time.
func (s *watchFixture) writeFile(text string) {
	s.t.Helper()
	mustSucceed(s.t, os.WriteFile(s.path, []byte(text), 0o755))
	s.touchFile()
}

func (s *watchFixture) touchFile() {
	s.t.Helper()
	mustSucceed(s.t, os.Chtimes(s.path, time.Now(), time.Now()))
}

// uploadFile overwrites the file as scp does: without truncating it, in pieces, with a pause after each.
func (s *watchFixture) uploadFile(text string, pieces int, pause time.Duration) {
	s.t.Helper()
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o755)
	mustSucceed(s.t, err)
	defer f.Close()
	for i := range pieces {
		if i > 0 {
			advance(pause)
		}
		_, err := f.WriteString(text[i*len(text)/pieces : (i+1)*len(text)/pieces])
		mustSucceed(s.t, err)
		s.touchFile()
	}
}

func mustSucceed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// advance lets the bubble's clock advance by d.
func advance(d time.Duration) { <-time.After(d) }

func TestWatch(t *testing.T) {
	const soon = time.Second
	tests := []struct {
		name string
		do   func(s *watchFixture) // begins with a watched file of which a was taken
		want []string
		last time.Duration // when the last must have been heard at the latest, after do has returned; 0: soon
	}{
		{"nothing happens", func(*watchFixture) { advance(20 * time.Minute) }, nil, 0},
		{"replaced by a rename", func(s *watchFixture) {
			old := s.path
			s.path += ".new"
			s.writeFile(programContent("b"))
			mustSucceed(s.t, os.Rename(s.path, old))
		}, []string{"took b"}, 0},
		{"written over in place", func(s *watchFixture) { s.uploadFile(programContent("b"), 1, 0) }, []string{"took b"}, 0},
		{"written over in place by pieces", func(s *watchFixture) { s.uploadFile(programContent("b"), 20, 100*time.Millisecond) }, []string{"took b"}, 0},
		{"truncated and written", func(s *watchFixture) { s.writeFile(programContent("b")) }, []string{"took b"}, 0},
		{"a slow upload, with pauses", func(s *watchFixture) {
			s.uploadFile(programContent("b")[:programLength/3], 20, 100*time.Millisecond)
			advance(3 * time.Second)
			for i := range 4 {
				f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
				mustSucceed(s.t, err)
				_, err = f.WriteAt([]byte(programContent("b")[:programLength/4]), int64(i*programLength/4))
				mustSucceed(s.t, errors.Join(err, f.Close()))
				s.touchFile()
				if i < 3 {
					advance(4 * time.Second)
				}
			}
		}, []string{"took b"}, 0},
		{"an upload that stutters", func(s *watchFixture) { s.uploadFile(programContent("b"), 50, 340*time.Millisecond) }, []string{"took b"}, 0},
		{"an upload with a pause longer than the refusal delay", func(s *watchFixture) { s.uploadFile(programContent("b"), 2, 10*time.Second) },
			[]string{"refused: not whole", "took b"}, 0},
		{"removed before the upload", func(s *watchFixture) {
			mustSucceed(s.t, os.Remove(s.path))
			advance(time.Second)
			s.uploadFile(programContent("b"), 17, time.Second)
		}, []string{"took b"}, 0},
		{"truncated, and left so", func(s *watchFixture) { s.writeFile(programContent("b")[:programLength/2]) }, []string{"refused: not whole"}, 6 * time.Second},
		{"a mix of two, and left so", func(s *watchFixture) { s.uploadFile(programContent("b")[:programLength/2], 10, 10*time.Millisecond) }, []string{"refused: not whole"}, 6 * time.Second},
		{"empty", func(s *watchFixture) { s.writeFile("") }, []string{"refused: not whole"}, 6 * time.Second},
		{"a bad one for long", func(s *watchFixture) { s.writeFile("garbage"); advance(20 * time.Minute) }, []string{"refused: not whole"}, 0},
		{"a bad one that is touched", func(s *watchFixture) {
			s.writeFile("garbage")
			for range 5 {
				advance(10 * time.Second)
				s.touchFile()
			}
		}, []string{"refused: not whole"}, 0},
		{"a bad one, another bad one", func(s *watchFixture) {
			s.writeFile("garbage")
			advance(10 * time.Second)
			s.writeFile("rubbish")
		}, []string{"refused: not whole", "refused: not whole"}, 6 * time.Second},
		{"a bad one, a good one", func(s *watchFixture) {
			s.writeFile("garbage")
			advance(10 * time.Second)
			s.uploadFile(programContent("b"), 1, 0)
		}, []string{"refused: not whole", "took b"}, 0},
		{"a bad one, and the old one again", func(s *watchFixture) {
			s.writeFile("garbage")
			advance(10 * time.Second)
			s.writeFile(programContent("a"))
			advance(10 * time.Second)
			s.writeFile("garbage")
		}, []string{"refused: not whole", "took a", "refused: not whole"}, 6 * time.Second},
		{"without permission, then with", func(s *watchFixture) {
			mustSucceed(s.t, os.Chmod(s.path, 0o644))
			s.writeFile(programContent("b"))
			advance(10 * time.Second)
			mustSucceed(s.t, os.Chmod(s.path, 0o755))
		}, []string{"refused: not executable", "took b"}, 0},
		{"accepted with a later companion", func(s *watchFixture) {
			s.writeFile("c of another kind")
			advance(10 * time.Second)
			mustSucceed(s.t, os.WriteFile(s.path+".sha256", []byte("fits"), 0o644))
		}, []string{"refused: not whole", "took c"}, 0},
		{"accepted with a companion a little later", func(s *watchFixture) {
			s.writeFile("c of another kind")
			advance(2 * time.Second)
			mustSucceed(s.t, os.WriteFile(s.path+".sha256", []byte("fits"), 0o644))
		}, []string{"took c"}, 0},
		{"only what speaks of it changes", func(s *watchFixture) {
			mustSucceed(s.t, os.WriteFile(s.path+".sha256", []byte("other"), 0o644))
			advance(20 * time.Minute)
		}, nil, 0},
		{"touched", func(s *watchFixture) { s.touchFile() }, nil, 0},
		{"written with what it holds", func(s *watchFixture) { s.writeFile(programContent("a")) }, nil, 0},
		{"deleted", func(s *watchFixture) { mustSucceed(s.t, os.Remove(s.path)); advance(20 * time.Minute) }, nil, 0},
		{"deleted with its directory", func(s *watchFixture) { mustSucceed(s.t, os.RemoveAll(filepath.Dir(s.path))); advance(20 * time.Minute) }, nil, 0},
		{"deleted while it settles", func(s *watchFixture) {
			s.writeFile("garbage")
			advance(250 * time.Millisecond)
			mustSucceed(s.t, os.Remove(s.path))
			advance(20 * time.Minute)
		}, nil, 0},
		{"deleted and back", func(s *watchFixture) {
			mustSucceed(s.t, os.Remove(s.path))
			advance(time.Minute)
			s.writeFile(programContent("a"))
			advance(time.Minute)
			mustSucceed(s.t, os.Remove(s.path))
			advance(time.Minute)
			s.writeFile(programContent("b"))
		}, []string{"took b"}, 0},
		{"of the same size and time", func(s *watchFixture) {
			info, err := os.Stat(s.path)
			mustSucceed(s.t, err)
			s.writeFile(programContent("b"))
			mustSucceed(s.t, os.Chtimes(s.path, info.ModTime(), info.ModTime()))
		}, []string{"took b"}, 4 * time.Second},
		{"written again in the same tick of the clock", func(s *watchFixture) {
			s.writeFile(programContent("b"))
			at := time.Now()
			advance(500 * time.Millisecond)
			mustSucceed(s.t, os.WriteFile(s.path, []byte(programContent("c")), 0o755))
			mustSucceed(s.t, os.Chtimes(s.path, at, at))
		}, []string{"took b", "took c"}, 4 * time.Second},
		{"a link that is turned", func(s *watchFixture) {
			mustSucceed(s.t, os.Rename(s.path, s.path+".a"))
			mustSucceed(s.t, os.Symlink(s.path+".a", s.path))
			advance(time.Minute)
			link := s.path
			s.path += ".b"
			s.writeFile(programContent("b"))
			mustSucceed(s.t, os.Symlink(s.path, link+".new"))
			mustSucceed(s.t, os.Rename(link+".new", link))
		}, []string{"took b"}, 0},
		{"a directory in its place", func(s *watchFixture) {
			mustSucceed(s.t, os.Remove(s.path))
			mustSucceed(s.t, os.Mkdir(s.path, 0o755))
			advance(20 * time.Minute)
		}, []string{"refused: read a deployed file: PATH is not a regular file"}, 0},
		{"a FIFO in its place", func(s *watchFixture) {
			mustSucceed(s.t, os.Remove(s.path))
			mustSucceed(s.t, syscall.Mkfifo(s.path, 0o755))
			advance(20 * time.Minute)
		}, []string{"refused: read a deployed file: PATH is not a regular file"}, 0},
		{"a link to itself", func(s *watchFixture) {
			mustSucceed(s.t, os.Remove(s.path))
			mustSucceed(s.t, os.Symlink(s.path, s.path))
			advance(20 * time.Minute)
		}, []string{"refused: read a deployed file: open PATH: too many levels of symbolic links"}, 0},
		{"the gate is not ready", func(s *watchFixture) {
			s.setGate(3, 0)
			s.writeFile(programContent("b"))
		}, []string{"not now", "not now", "not now", "took b"}, 4 * time.Second},
		{"the gate is not ready, and another one comes", func(s *watchFixture) {
			s.setGate(1, 0)
			s.writeFile(programContent("b"))
			advance(700 * time.Millisecond)
			s.writeFile(programContent("c"))
		}, []string{"not now", "took c"}, 0},
		{"the gate is not ready, and the old one comes back", func(s *watchFixture) {
			s.setGate(1, 0)
			s.writeFile(programContent("b"))
			advance(700 * time.Millisecond)
			s.writeFile(programContent("a"))
		}, []string{"not now"}, 0},
		{"another one while one is taken", func(s *watchFixture) {
			s.setGate(0, 30*time.Second)
			s.writeFile(programContent("b"))
			advance(time.Second)
			s.uploadFile(programContent("c"), 1, 0)
			advance(35 * time.Second)
		}, []string{"took b", "took c"}, 30 * time.Second},
		{"what cannot work after a long try", func(s *watchFixture) {
			s.setGate(0, 30*time.Second)
			s.writeFile("garbage")
			advance(30 * time.Second)
		}, []string{"refused: not whole"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWatchFixture(t)
				path := s.path
				s.writeFile(programContent("a"))
				w := New(s, Options{})
				w.SetFiles(File{Path: path, Companions: []string{path + ".sha256"}})
				startWatcher(t, w)
				advance(10 * time.Second)
				if heard, _ := s.takeEvents(); !slices.Equal(heard, []string{"took a"}) {
					t.Fatalf("heard %q at first", heard)
				}
				test.do(s)
				done := time.Since(s.start)
				advance(3 * time.Minute)
				heard, times := s.takeEvents()
				for i := range heard {
					heard[i] = strings.ReplaceAll(heard[i], path, "PATH")
				}
				if !slices.Equal(heard, test.want) {
					t.Errorf("heard %q at %v, want %q", heard, times, test.want)
				}
				limit := test.last
				if limit == 0 {
					limit = soon
				}
				if n := len(times); n > 0 && times[n-1]-done > limit {
					t.Errorf("heard it %s after the end", times[n-1]-done)
				}
			})
		})
	}
}

// startWatcher runs the watcher until the test ends.
func startWatcher(t *testing.T, w *Watcher) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}
