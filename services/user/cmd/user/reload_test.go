package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgo/pkg/testing/testkit"
)

// TestReloadChangesLoginLimits changes the file as an editor does: the new limits hold without a restart,
// and a bad file leaves the old ones in force.
func TestReloadChangesLoginLimits(t *testing.T) {
	t.Parallel()
	limits := func(account string) string { return fmt.Sprintf("login:\n  account: %s\n  window: 15m\n", account) }
	dir := program().CopyConfigs(t, limits("5"))
	env := newTestEnv(t)
	s := env.start(t, "PGO_CONFIG_DIR="+dir)
	change := func(to, logged string, times int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "user.yaml"), []byte(to), 0o600); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, logged, func() error {
			if len(s.Logs.LinesWith(logged)) < times {
				return errors.New("not logged")
			}
			return nil
		})
	}
	allowed := func(want int) {
		t.Helper()
		p := s.signUp("Ada")
		for range want {
			s.expect(loginFrom("10.2.0.1", p.Email, wrong), 401, "invalid_credentials")
		}
		s.expect(loginFrom("10.2.0.1", p.Email, wrong), 429, "too_many_attempts")
	}
	allowed(5)
	change(limits("2"), "configuration reloaded", 1)
	allowed(2)
	change(limits("many"), "configuration refused, the old one stays in force", 1)
	allowed(2)
	change(limits("1"), "configuration reloaded", 2)
	allowed(1)
}
