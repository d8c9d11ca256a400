package localserver

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestScratchEnvironNamesServersThatAnswer(t *testing.T) {
	s, err := NewScratch(HostPrograms())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	env, err := s.Environ(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"PGO_TEST_MYSQL=", "PGO_TEST_REDIS=", "PGO_TEST_RABBITMQ=", "PGO_TEST_RABBITMQ_API="} {
		if !strings.HasPrefix(env[i], name) {
			t.Errorf("variable %d is %q, want %s...", i, env[i], name)
		}
	}
	pids := s.pids()
	if len(pids) != 4 {
		t.Errorf("servers: %v, want 4", pids)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	if left := runningIn(s.Dir()); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
}
