package release

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgo/deploy/pgo/internal/watch"
)

// deployer stands for a manager: it stores a watched file that is whole, and makes it current.
type deployer struct {
	store  *Store
	events []string
}

func (h *deployer) HandleChange(ctx context.Context, c watch.Change) error {
	r, err := h.store.Add(ctx, "user", c.Path)
	if err != nil {
		return err
	}
	if r.Record.Verification.SHA256 != c.SHA256 {
		return errors.New("it changed while it was copied")
	}
	text, err := os.ReadFile(r.Path)
	if err != nil {
		return err
	}
	h.events = append(h.events, "live: "+string(text[len(text)-100]))
	return h.store.SetCurrent(ctx, "user", r.Record.Verification.SHA256)
}

func (h *deployer) HandleRefusal(_ context.Context, _ watch.Change, why error) {
	refusal, _ := errors.AsType[*Refusal](why)
	h.events = append(h.events, "refused: "+string(refusal.Kind))
}

// TestWatchedDeploys uploads to a watched file in many ways, and checks which releases become current. Time is synctest's.
func TestWatchedDeploys(t *testing.T) {
	program := func(letter string, size int) []byte {
		return elfFixture{machine: elf.EM_X86_64, body: strings.Repeat(letter, size)}.encode()
	}
	const size = 200 << 10
	// over overwrites the file in pieces; the connection may break after some.
	over := func(t *testing.T, path string, text []byte, sent, pieces int, pause time.Duration) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i := range sent {
			if _, err := f.Write(text[i*len(text)/pieces : (i+1)*len(text)/pieces]); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
			<-time.After(pause)
		}
		if sent == pieces { // what scp does at the end
			if err := f.Truncate(int64(len(text))); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name string
		do   func(t *testing.T, path string)
		want []string
	}{
		{"over the file, at once", func(t *testing.T, path string) { over(t, path, program("b", size), 1, 1, 0) }, []string{"live: b"}},
		{"over the file, in 17 s", func(t *testing.T, path string) { over(t, path, program("b", size), 34, 34, 500*time.Millisecond) }, []string{"live: b"}},
		{"over the file, with long pauses", func(t *testing.T, path string) { over(t, path, program("b", size), 5, 5, 4*time.Second) }, []string{"live: b"}},
		{"a longer one, in 17 s", func(t *testing.T, path string) { over(t, path, program("b", 2*size), 34, 34, 500*time.Millisecond) }, []string{"live: b"}},
		{"cut off", func(t *testing.T, path string) { writeFile(t, path, program("b", size)[:size/2], 0o755, time.Now()) }, []string{"refused: incomplete"}},
		{"the upload broke off", func(t *testing.T, path string) { over(t, path, program("b", size), 5, 10, 100*time.Millisecond) }, []string{"refused: mixed"}},
		{"and was begun again", func(t *testing.T, path string) {
			over(t, path, program("b", size), 5, 10, time.Second)
			<-time.After(time.Minute)
			over(t, path, program("b", size), 10, 10, time.Second)
		}, []string{"refused: mixed", "live: b"}},
		{"for another machine", func(t *testing.T, path string) {
			writeFile(t, path, elfFixture{machine: elf.EM_AARCH64}.encode(), 0o755, time.Now())
		}, []string{"refused: wrong architecture"}},
		{"one without a build ID, and its checksum", func(t *testing.T, path string) {
			text := elfFixture{machine: elf.EM_X86_64, id: "-", body: strings.Repeat("b", size)}.encode()
			over(t, path, text, 10, 10, 100*time.Millisecond)
			sum, err := hashReader(t.Context(), strings.NewReader(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, SumFilePath(path), []byte(sum), 0o644, time.Now())
		}, []string{"live: b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				path := writeFile(t, filepath.Join(dir, "user"), program("a", size), 0o755, time.Now())
				h := &deployer{store: &Store{Dir: filepath.Join(dir, "releases"), Platform: amd64}}
				w := watch.New(h, watch.Options{})
				w.SetFiles(watch.File{Path: path, Companions: []string{SumFilePath(path)}})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				ended := make(chan struct{})
				go func() { w.Run(ctx); close(ended) }()
				<-time.After(10 * time.Second)
				test.do(t, path)
				<-ended
				if want := append([]string{"live: a"}, test.want...); !slices.Equal(h.events, want) {
					t.Errorf("heard %q, want %q", h.events, want)
				}
				all, err := h.store.List("user")
				if err != nil || len(all) != strings.Count(fmt.Sprint(h.events), "live") {
					t.Errorf("stored %+v, %v", all, err)
				}
			})
		})
	}
}
