package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/logfile"
)

// pgo's own log is rotated while keeper and manager have it open.
func TestOwnLogIsRotated(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n")
	log := filepath.Join(s.homeDir(), "logs", "pgo.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte(strings.Repeat("{\"msg\":\"of another day\"}\n", 11<<20/24)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustRun("up")
	s.killManager() // the keeper logs it
	s.mustRun("restart", "p")
	old := logfile.ListRotated(log)
	if len(old) != 1 {
		t.Fatalf("rotated: %v", old)
	}
	text := s.readFile(".pgo/logs/pgo.log")
	for _, want := range []string{"manager started", "the manager ended", `"process":"p"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%.2000s", want, text)
		}
	}
	if strings.Contains(text, "of another day") || !strings.Contains(s.mustRun("logs", "-n", "5", "pgo"), `"process":"p"`) {
		t.Errorf("pgo.log:\n%.2000s", text)
	}
}
