//go:build alerts || collected

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// shortRules writes the repository's rules with a fifteenth of their times, and returns the pattern of the files. Nothing else of
// them is changed but one threshold that is a time itself.
func shortRules(t *testing.T, root string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deploy", "prometheus", "rules", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	dir := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		short := regexp.MustCompile(`(?m)(\bfor: |\[)(\d+[smhd])\b`).ReplaceAllStringFunc(string(text), func(s string) string {
			at := strings.IndexAny(s, "0123456789")
			return s[:at] + fifteenth(t, s[at:], strings.HasPrefix(s, "["))
		})
		short = strings.ReplaceAll(short, "pgo_outbox_oldest_pending_seconds) > 60", "pgo_outbox_oldest_pending_seconds) > 3")
		write(t, filepath.Join(dir, filepath.Base(file)), short)
	}
	return filepath.Join(dir, "*.yml")
}

// fifteenth shortens a duration; a window is left wide enough for a rate.
func fifteenth(t *testing.T, text string, window bool) string {
	t.Helper()
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text = days + "h" // close enough: a fifteenth of a day is more than an hour
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	least := time.Second
	if window {
		least = 10 * time.Second
	}
	return fmt.Sprintf("%ds", int(max(d/15, least).Seconds()))
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually waits longer than testkit does: an alert has to be scraped, evaluated, grouped and sent first.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
