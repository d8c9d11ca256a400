package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A command that shows the log of a program that never stops writing ends when it is interrupted, and when no one reads it
// any more.
func TestLogsEnd(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  flood: {command: sh, args: [-c, "while :; do echo some words of a line that is repeated for ever; done"], logs: {max_size: 1MB, keep: 3}}
  quiet: {command: ACTOR, args: [actor, print=one]}
`)
	s.mustRun("up")
	reads := func(t *testing.T, out io.ReadCloser) { go func() { _, _ = io.Copy(io.Discard, out) }() }
	stays := func(t *testing.T, out io.ReadCloser) {
		eventually(t, "the pipe is full", func() error {
			if n, err := unix.IoctlGetInt(int(out.(*os.File).Fd()), unix.TIOCINQ); err != nil || n < 60<<10 {
				return fmt.Errorf("%d bytes, %w", n, err)
			}
			return nil
		})
	}
	closes := func(_ *testing.T, out io.ReadCloser) { out.Close() }
	tests := []struct {
		name      string
		args      []string
		then      func(*testing.T, io.ReadCloser)
		interrupt bool
	}{
		{"interrupted", []string{"logs", "-f", "flood"}, reads, true},
		{"interrupted, with a time", []string{"logs", "-f", "--since", "1h", "flood"}, reads, true},
		{"interrupted, with a filter", []string{"logs", "-f", "--grep", "words", "flood"}, reads, true},
		{"interrupted while no one reads", []string{"logs", "-f", "--since", "1h", "flood"}, stays, true},
		{"the reader of a flood is gone", []string{"logs", "-f", "flood"}, closes, false},
		{"the reader of a quiet log is gone", []string{"logs", "-f", "quiet"}, closes, false},
		{"the reader of events is gone", []string{"events", "-f"}, closes, false},
		{"a time, without following", []string{"logs", "--since", "1h", "flood"}, reads, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := s.newCommand(test.args...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) == "" {
				_ = cmd.Wait()
				t.Fatalf("it begins with %q, %v: %s", line, err, &stderr)
			}
			test.then(t, out)
			asked := time.Now()
			if test.interrupt {
				_ = cmd.Process.Signal(os.Interrupt)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case err := <-ended:
				t.Logf("ended after %s: %v", time.Since(asked), err)
				if test.interrupt && err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Minute):
				_ = cmd.Process.Kill()
				t.Error("it does not end")
			}
		})
	}
}
