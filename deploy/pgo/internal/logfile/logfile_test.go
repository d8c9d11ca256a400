package logfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadLast(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	tests := []struct {
		name, text string
		n          int
		from       int64
		want       string
	}{
		{"fewer lines", "a\nb\n", 5, 0, "a\nb\n"},
		{"more lines", "a\nb\nc\n", 2, 0, "b\nc\n"},
		{"no end of line", "a\nb\nc", 2, 0, "b\nc"},
		{"empty lines", "a\n\n\n", 2, 0, "\n\n"},
		{"none", "a\n", 0, 0, ""},
		{"empty", "", 3, 0, ""},
		{"longer than a block", "a\n" + long + "\nb\n", 2, 0, long + "\nb\n"},
		{"from an offset", "old\nnew\n", 5, 4, "new\n"},
		{"truncated since", "new\n", 5, 100, "new\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, end, err := ReadLast(path, test.n, test.from)
			if err != nil || string(got) != test.want || end != int64(len(test.text)) {
				t.Errorf("got %q, %d, %v", got, end, err)
			}
		})
	}
	if got, end, err := ReadLast("/nonexistent/log", 1, 0); got != nil || end != 0 || err != nil {
		t.Errorf("no file: %q, %d, %v", got, end, err)
	}
}

func TestFollowLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	appendTo := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, text)
		f.Close()
	}
	appendTo("before\n")
	ctx, cancel := context.WithCancel(t.Context())
	lines, ended := make(chan string), make(chan error, 1)
	go func() {
		ended <- FollowLines(ctx, path, int64(len("before\n")), func(line []byte) error {
			lines <- string(line)
			return nil
		})
	}()
	expect := func(want string) {
		t.Helper()
		if got := <-lines; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	appendTo("one\ntw")
	expect("one\n")
	appendTo("o\n")
	expect("two\n")

	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	appendTo("three\n") // shorter than what was read
	expect("three\n")

	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo("four\n")
	expect("four\n")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
