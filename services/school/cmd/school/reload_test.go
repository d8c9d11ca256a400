package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"pgo/pkg/testkit"
)

// TestTheLogLevelChangesWhileRunning changes the file as an editor does: the new level holds without a restart, and a
// bad file leaves the old one in force.
func TestTheLogLevelChangesWhileRunning(t *testing.T) {
	t.Parallel()
	dir := configs(t, "log:\n  level: info\n")
	w := newWorld(t)
	s := w.start(t, "PGO_CONFIG_DIR="+dir)
	p := w.person(t)
	change := func(to string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "school.yaml"), []byte(to), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// spoken reports whether a call is logged, which is done at level info.
	spoken := func() bool {
		t.Helper()
		id := s.makeSchool(p)
		s.want(request{Method: "GET", Path: schools + "/" + id, Token: p.Token, Header: http.Header{"X-Request-Id": {id}}}, 200, "")
		s.want(request{Method: "GET", Path: schools + "/" + id, Token: p.Token}, 200, "")
		return len(s.Logs.Having(id)) > 0
	}
	change("log:\n  level: loud\n")
	testkit.Eventually(t, "the refusal", func() error {
		if len(s.Logs.Having("configuration refused, the old one stays in force")) == 0 {
			return errors.New("not logged")
		}
		return nil
	})
	testkit.Eventually(t, "a logged call", func() error {
		if !spoken() {
			return errors.New("not logged")
		}
		return nil
	})
	change("log:\n  level: error\n")
	testkit.Eventually(t, "silence", func() error {
		if spoken() {
			return errors.New("calls are still logged")
		}
		return nil
	})
}
