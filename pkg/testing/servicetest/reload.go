package servicetest

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/testing/testkit"
)

// AssertLogLevelReload starts the service and changes its file as an editor does: a new level applies without a restart, and
// a bad file leaves the old one in force. The call must succeed.
func (w *Env) AssertLogLevelReload(t *testing.T, call Request) {
	t.Helper()
	dir := w.service.CopyConfigs(t, "log:\n  level: info\n")
	s := w.Start(t, "PGO_CONFIG_DIR="+dir)
	change := func(level string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, w.service.Name+".yaml"), []byte("log:\n  level: "+level+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// isLogged reports whether a call is logged, which is done at level info.
	isLogged := func() bool {
		t.Helper()
		id := uuid.NewString()
		s.Expect(t, call.With(func(r *Request) { r.Header = http.Header{"X-Request-Id": {id}} }), 200, "")
		s.Expect(t, call, 200, "") // it is logged after the answer; so is the one before by now
		return len(s.Logs.LinesWith(id)) > 0
	}
	becomes := func(what string, is func() bool) {
		t.Helper()
		testkit.Eventually(t, what, func() error {
			if !is() {
				return errors.New("it is not so")
			}
			return nil
		})
	}
	change("loud")
	becomes("the refusal of a bad file", func() bool { return len(s.Logs.LinesWith("configuration refused, the old one stays in force")) > 0 })
	becomes("a call that is logged as before", isLogged)
	change("error")
	becomes("silence", func() bool { return !isLogged() })
	change("info")
	becomes("a call that is logged again", isLogged)
}
