package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNextSave(t *testing.T) {
	tests := []struct {
		name, file string
		isSource   bool
	}{
		{"a Go file", "services/user/user.go", true},
		{"a migration", "services/user/migrations/00003_x.sql", true},
		{"a test", "services/user/user_test.go", false},
		{"an editor's own file", "services/user/.user.go.swp", false},
		{"a built program", "bin/user.go", false},
		{"state", ".pgo/x.go", false},
		{"documentation", "docs/x.go", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			seen, err := digestSources(root)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, tc.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("package x\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			now, err := digestSources(root)
			if err != nil || (now != seen) != tc.isSource {
				t.Errorf("it is a source: %v, %v, want %v", now != seen, err, tc.isSource)
			}
			if !tc.isSource {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if got, err := awaitSave(ctx, root, seen); err != nil || got != now {
				t.Errorf("nextSave: %v, %v", got, err)
			}
		})
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := awaitSave(ended, t.TempDir(), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: %v", err)
	}
}
