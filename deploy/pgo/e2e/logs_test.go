package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/logfile"
)

func TestNoLineIsLost(t *testing.T) {
	const lines = 20000
	s := newSandbox(t, fmt.Sprintf(`
  flood: {command: ACTOR, args: [actor, print=begin, "await=DIR/go", "flood=%d:5000", "touch=DIR/written"],
    logs: {max_size: 256KB, keep: 100}}
`, lines))
	s.mustRun("up")
	follow := s.newCommand("logs", "-f", "flood")
	out, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	followed := make(chan []string, 1)
	scan := bufio.NewScanner(out)
	if !scan.Scan() || scan.Text() != "begin" { // from now on it follows
		t.Fatalf("logs -f begins with %q", scan.Text())
	}
	go func() {
		var got []string
		for len(got) < lines && scan.Scan() {
			got = append(got, scan.Text())
		}
		followed <- got
		_, _ = io.Copy(io.Discard, out)
	}()
	began := time.Now()
	touchFile(t, filepath.Join(s.dir, "go"))
	for s.readFile("written") == "" && time.Since(began) < 30*time.Second {
		s.killManager()
	}
	if info, err := os.Stat(filepath.Join(s.dir, "written")); err != nil {
		t.Error(err)
	} else if took := info.ModTime().Sub(began); took > 6*time.Second { // the program's own end, not the last manager's
		t.Errorf("4 s of lines took %s", took)
	}
	var all []string
	eventually(t, "all lines are there", func() error {
		all = all[:0]
		for _, old := range logfile.ListRotated(filepath.Join(s.homeDir(), "logs", "flood.log")) {
			if err := old.ReadLines(func(line []byte) error { all = append(all, string(line)); return nil }); err != nil {
				return err
			}
		}
		for line := range strings.Lines(s.readFile(".pgo/logs/flood.log")) {
			all = append(all, line)
		}
		if len(all) <= lines {
			return fmt.Errorf("%d of %d", len(all), lines)
		}
		return nil
	})
	assertNumbered(t, "the log", all[1:], lines)
	select {
	case got := <-followed:
		assertNumbered(t, "logs -f", got, lines)
	case <-time.After(20 * time.Second):
		t.Error("logs -f did not show all lines")
	}
	follow.Process.Signal(os.Interrupt)
	follow.Wait()
	if rotated := logfile.ListRotated(filepath.Join(s.homeDir(), "logs", "flood.log")); len(rotated) < 3 {
		t.Errorf("rotated: %v", rotated)
	}
	s.mustRun("flush", "flood")
	if s.readFile(".pgo/logs/flood.log") != "" || len(logfile.ListRotated(filepath.Join(s.homeDir(), "logs", "flood.log"))) > 0 {
		t.Error("flush left something")
	}
}

// assertNumbered checks that lines are numbered without a gap and without a repetition.
func assertNumbered(t *testing.T, what string, lines []string, want int) {
	t.Helper()
	if len(lines) != want {
		t.Errorf("%s has %d lines, want %d", what, len(lines), want)
	}
	for n, line := range lines {
		if !strings.HasPrefix(line, fmt.Sprintf("line %08d ", n)) {
			t.Errorf("%s: line %d is %q", what, n, line)
			return
		}
	}
}

// A log that cannot be written does not block a process, and reports afterwards what is missing.
func TestLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  flood: {command: ACTOR, args: [actor, "await=DIR/go", "flood=60000:30000", "touch=DIR/written", "await=DIR/more", print=after, "touch=DIR/all"]}
`)
	s.mustRun("up")
	log := filepath.Join(s.homeDir(), "logs", "flood.log")
	redirectToFullDisk(t, log)
	touchFile(t, filepath.Join(s.dir, "go"))
	s.awaitPID("written")
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	touchFile(t, filepath.Join(s.dir, "more"))
	s.awaitPID("all")
	eventually(t, "the log continues", func() error {
		if text := s.readFile(".pgo/logs/flood.log"); !strings.Contains(text, "pgo could not write this log: ") || !strings.HasSuffix(text, "after\n") {
			return fmt.Errorf("%d bytes", len(text))
		}
		return nil
	})
	text := s.readFile(".pgo/logs/flood.log")
	var dropped int
	_, rest, _ := strings.Cut(text, "could not write this log: ")
	if _, err := fmt.Sscanf(rest, "%d lines", &dropped); err != nil {
		t.Fatal(err)
	}
	if kept := strings.Count(text, "line 0"); kept+dropped != 60000 || dropped == 0 {
		t.Errorf("%d lines were dropped and %d are there, of 60000", dropped, kept)
	}
}

// redirectToFullDisk makes a log a link to a disk that is full.
func redirectToFullDisk(t *testing.T, log string) {
	t.Helper()
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", log); err != nil {
		t.Fatal(err)
	}
}

func TestSplitLogs(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  p: {command: ACTOR, args: [actor, print=out, err=wrong, ready], ready: {notify: true}, logs: {split: true}}
  q: {command: ACTOR, args: [actor, print=out, err=wrong, ready], ready: {notify: true}}
`)
	s.mustRun("up")
	for file, want := range map[string]string{"p.log": "out\n", "p.err.log": "wrong\n", "q.log": "out\nwrong\n"} {
		if got := s.readFile(".pgo/logs/" + file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if out := s.mustRun("logs", "p"); !strings.Contains(out, "out\n") || !strings.Contains(out, "wrong\n") {
		t.Errorf("logs p: %q", out)
	}
}
