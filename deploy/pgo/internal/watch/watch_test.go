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

// The tests run in a bubble of testing/synctest: real files, and a time that goes on when everybody waits for it. So
// half an hour takes moments, and what happens is the same each time.

const length = 300 << 10 // of a whole program, more than one block

// whole is the content of a program: a letter, as often as it takes.
func whole(letter string) string { return strings.Repeat(letter, length) }

// scene is a deployed file, somebody who uploads to it, and somebody who takes what is whole.
type scene struct {
	t     *testing.T
	path  string
	start time.Time

	mu       sync.Mutex
	heard    []string
	times    []time.Duration // of what was heard
	closed   int             // how often the gate is not ready yet
	slowness time.Duration   // of taking
}

func newScene(t *testing.T) *scene {
	return &scene{t: t, path: filepath.Join(t.TempDir(), "user"), start: time.Now()}
}

func (s *scene) hear(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, fmt.Sprintf(format, args...))
	s.times = append(s.times, time.Since(s.start))
}

// said returns what was heard since it was asked last.
func (s *scene) said() ([]string, []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard, times := s.heard, s.times
	s.heard, s.times = nil, nil
	return heard, times
}

// be sets how often the gate is not ready yet, and how slow the taking is.
func (s *scene) be(closed int, slowness time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.slowness = closed, slowness
}

func (s *scene) HandleChange(ctx context.Context, c Change) error {
	text, err := os.ReadFile(c.Path)
	if err != nil {
		return err
	}
	if fmt.Sprintf("%x", sha256.Sum256(text)) != c.SHA256 {
		return errors.New("changed meanwhile")
	}
	s.mu.Lock()
	closed, slowness := s.closed > 0, s.slowness
	s.closed = max(0, s.closed-1)
	s.mu.Unlock()
	if closed {
		s.hear("not now")
		return fmt.Errorf("the gate is not ready: %w", ErrNotNow)
	}
	if !wait(ctx, slowness) {
		s.hear("given up")
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
	case len(text) != length || strings.Trim(string(text), string(text[:1])) != "":
		return errors.New("not whole")
	}
	s.hear("took %s", text[:1])
	return nil
}

func (s *scene) HandleRefusal(_ context.Context, _ Change, why error) { s.hear("refused: %v", why) }

// write makes the file hold that text, as a new one or in place, and of the time that it now is.
func (s *scene) write(text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path, []byte(text), 0o755))
	s.stamp()
}

func (s *scene) stamp() {
	s.t.Helper()
	must(s.t, os.Chtimes(s.path, time.Now(), time.Now()))
}

// upload writes over the file as scp does: without truncating it, in so many pieces, with a pause after each.
func (s *scene) upload(text string, pieces int, pause time.Duration) {
	s.t.Helper()
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o755)
	must(s.t, err)
	defer f.Close()
	for i := range pieces {
		if i > 0 {
			pass(pause)
		}
		_, err := f.WriteString(text[i*len(text)/pieces : (i+1)*len(text)/pieces])
		must(s.t, err)
		s.stamp()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pass lets the bubble's time go on.
func pass(d time.Duration) { <-time.After(d) }

func TestWatch(t *testing.T) {
	const soon = time.Second
	tests := []struct {
		name string
		do   func(s *scene) // begins with a watched file of which a was taken
		want []string
		last time.Duration // when the last must have been heard at the latest, after do has returned; 0: soon
	}{
		{"nothing happens", func(*scene) { pass(20 * time.Minute) }, nil, 0},
		{"replaced by a rename", func(s *scene) {
			old := s.path
			s.path += ".new"
			s.write(whole("b"))
			must(s.t, os.Rename(s.path, old))
		}, []string{"took b"}, 0},
		{"written over in place", func(s *scene) { s.upload(whole("b"), 1, 0) }, []string{"took b"}, 0},
		{"written over in place by pieces", func(s *scene) { s.upload(whole("b"), 20, 100*time.Millisecond) }, []string{"took b"}, 0},
		{"truncated and written", func(s *scene) { s.write(whole("b")) }, []string{"took b"}, 0},
		{"a slow upload, with pauses", func(s *scene) {
			s.upload(whole("b")[:length/3], 20, 100*time.Millisecond)
			pass(3 * time.Second)
			for i := range 4 {
				f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
				must(s.t, err)
				_, err = f.WriteAt([]byte(whole("b")[:length/4]), int64(i*length/4))
				must(s.t, errors.Join(err, f.Close()))
				s.stamp()
				if i < 3 {
					pass(4 * time.Second)
				}
			}
		}, []string{"took b"}, 0},
		{"an upload that stutters", func(s *scene) { s.upload(whole("b"), 50, 340*time.Millisecond) }, []string{"took b"}, 0},
		{"an upload with a pause that is longer than our patience", func(s *scene) { s.upload(whole("b"), 2, 10*time.Second) },
			[]string{"refused: not whole", "took b"}, 0},
		{"removed before the upload", func(s *scene) {
			must(s.t, os.Remove(s.path))
			pass(time.Second)
			s.upload(whole("b"), 17, time.Second)
		}, []string{"took b"}, 0},
		{"truncated, and left so", func(s *scene) { s.write(whole("b")[:length/2]) }, []string{"refused: not whole"}, 6 * time.Second},
		{"a mix of two, and left so", func(s *scene) { s.upload(whole("b")[:length/2], 10, 10*time.Millisecond) }, []string{"refused: not whole"}, 6 * time.Second},
		{"empty", func(s *scene) { s.write("") }, []string{"refused: not whole"}, 6 * time.Second},
		{"a bad one for long", func(s *scene) { s.write("garbage"); pass(20 * time.Minute) }, []string{"refused: not whole"}, 0},
		{"a bad one that is touched", func(s *scene) {
			s.write("garbage")
			for range 5 {
				pass(10 * time.Second)
				s.stamp()
			}
		}, []string{"refused: not whole"}, 0},
		{"a bad one, another bad one", func(s *scene) {
			s.write("garbage")
			pass(10 * time.Second)
			s.write("rubbish")
		}, []string{"refused: not whole", "refused: not whole"}, 6 * time.Second},
		{"a bad one, a good one", func(s *scene) {
			s.write("garbage")
			pass(10 * time.Second)
			s.upload(whole("b"), 1, 0)
		}, []string{"refused: not whole", "took b"}, 0},
		{"a bad one, and the old one again", func(s *scene) {
			s.write("garbage")
			pass(10 * time.Second)
			s.write(whole("a"))
			pass(10 * time.Second)
			s.write("garbage")
		}, []string{"refused: not whole", "took a", "refused: not whole"}, 6 * time.Second},
		{"without permission, then with", func(s *scene) {
			must(s.t, os.Chmod(s.path, 0o644))
			s.write(whole("b"))
			pass(10 * time.Second)
			must(s.t, os.Chmod(s.path, 0o755))
		}, []string{"refused: not executable", "took b"}, 0},
		{"proven by what comes later", func(s *scene) {
			s.write("c of another kind")
			pass(10 * time.Second)
			must(s.t, os.WriteFile(s.path+".sha256", []byte("fits"), 0o644))
		}, []string{"refused: not whole", "took c"}, 0},
		{"proven by what comes a little later", func(s *scene) {
			s.write("c of another kind")
			pass(2 * time.Second)
			must(s.t, os.WriteFile(s.path+".sha256", []byte("fits"), 0o644))
		}, []string{"took c"}, 0},
		{"only what speaks of it changes", func(s *scene) {
			must(s.t, os.WriteFile(s.path+".sha256", []byte("other"), 0o644))
			pass(20 * time.Minute)
		}, nil, 0},
		{"touched", func(s *scene) { s.stamp() }, nil, 0},
		{"written with what it holds", func(s *scene) { s.write(whole("a")) }, nil, 0},
		{"deleted", func(s *scene) { must(s.t, os.Remove(s.path)); pass(20 * time.Minute) }, nil, 0},
		{"deleted with its folder", func(s *scene) { must(s.t, os.RemoveAll(filepath.Dir(s.path))); pass(20 * time.Minute) }, nil, 0},
		{"deleted while it settles", func(s *scene) {
			s.write("garbage")
			pass(250 * time.Millisecond)
			must(s.t, os.Remove(s.path))
			pass(20 * time.Minute)
		}, nil, 0},
		{"deleted and back", func(s *scene) {
			must(s.t, os.Remove(s.path))
			pass(time.Minute)
			s.write(whole("a"))
			pass(time.Minute)
			must(s.t, os.Remove(s.path))
			pass(time.Minute)
			s.write(whole("b"))
		}, []string{"took b"}, 0},
		{"of the same size and time", func(s *scene) {
			info, err := os.Stat(s.path)
			must(s.t, err)
			s.write(whole("b"))
			must(s.t, os.Chtimes(s.path, info.ModTime(), info.ModTime()))
		}, []string{"took b"}, 4 * time.Second},
		{"written again in the same tick of the clock", func(s *scene) {
			s.write(whole("b"))
			at := time.Now()
			pass(500 * time.Millisecond)
			must(s.t, os.WriteFile(s.path, []byte(whole("c")), 0o755))
			must(s.t, os.Chtimes(s.path, at, at))
		}, []string{"took b", "took c"}, 4 * time.Second},
		{"a link that is turned", func(s *scene) {
			must(s.t, os.Rename(s.path, s.path+".a"))
			must(s.t, os.Symlink(s.path+".a", s.path))
			pass(time.Minute)
			link := s.path
			s.path += ".b"
			s.write(whole("b"))
			must(s.t, os.Symlink(s.path, link+".new"))
			must(s.t, os.Rename(link+".new", link))
		}, []string{"took b"}, 0},
		{"a folder in its place", func(s *scene) {
			must(s.t, os.Remove(s.path))
			must(s.t, os.Mkdir(s.path, 0o755))
			pass(20 * time.Minute)
		}, []string{"refused: read a deployed file: PATH is no regular file"}, 0},
		{"a FIFO in its place", func(s *scene) {
			must(s.t, os.Remove(s.path))
			must(s.t, syscall.Mkfifo(s.path, 0o755))
			pass(20 * time.Minute)
		}, []string{"refused: read a deployed file: PATH is no regular file"}, 0},
		{"a link to itself", func(s *scene) {
			must(s.t, os.Remove(s.path))
			must(s.t, os.Symlink(s.path, s.path))
			pass(20 * time.Minute)
		}, []string{"refused: read a deployed file: open PATH: too many levels of symbolic links"}, 0},
		{"the gate is not ready", func(s *scene) {
			s.be(3, 0)
			s.write(whole("b"))
		}, []string{"not now", "not now", "not now", "took b"}, 4 * time.Second},
		{"the gate is not ready, and another one comes", func(s *scene) {
			s.be(1, 0)
			s.write(whole("b"))
			pass(700 * time.Millisecond)
			s.write(whole("c"))
		}, []string{"not now", "took c"}, 0},
		{"the gate is not ready, and the old one comes back", func(s *scene) {
			s.be(1, 0)
			s.write(whole("b"))
			pass(700 * time.Millisecond)
			s.write(whole("a"))
		}, []string{"not now"}, 0},
		{"another one while one is taken", func(s *scene) {
			s.be(0, 30*time.Second)
			s.write(whole("b"))
			pass(time.Second)
			s.upload(whole("c"), 1, 0)
			pass(35 * time.Second)
		}, []string{"took b", "took c"}, 30 * time.Second},
		{"what cannot work after a long try", func(s *scene) {
			s.be(0, 30*time.Second)
			s.write("garbage")
			pass(30 * time.Second)
		}, []string{"refused: not whole"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				path := s.path
				s.write(whole("a"))
				w := New(s, Options{})
				w.SetFiles(File{Path: path, Companions: []string{path + ".sha256"}})
				run(t, w)
				pass(10 * time.Second)
				if heard, _ := s.said(); !slices.Equal(heard, []string{"took a"}) {
					t.Fatalf("heard %q at first", heard)
				}
				test.do(s)
				done := time.Since(s.start)
				pass(3 * time.Minute)
				heard, times := s.said()
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

// run runs the watcher until the test ends.
func run(t *testing.T, w *Watcher) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}
