package audit

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLog checks that entries come back, the latest first, and that a truncated line damages no other.
func TestLog(t *testing.T) {
	l := Log(filepath.Join(t.TempDir(), "audit.jsonl"))
	if all, err := l.List(); err != nil || len(all) != 0 {
		t.Fatalf("before the first: %v %v", all, err)
	}
	if err := l.Append(Entry{ID: "one", Result: Done}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(string(l), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":"cut o`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(Entry{ID: "two", Result: RolledBack, Reason: "for a reason"}); err != nil {
		t.Fatal(err)
	}
	all, err := l.List()
	if err != nil || len(all) != 2 || all[0].ID != "two" || all[1].ID != "one" {
		t.Errorf("%+v %v", all, err)
	}
	if e, known, err := l.Find("two"); err != nil || !known || e.Reason != "for a reason" {
		t.Errorf("%+v %v %v", e, known, err)
	}
	if _, known, err := l.Find("three"); err != nil || known {
		t.Errorf("%v %v", known, err)
	}
	if info, err := os.Stat(string(l)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}
