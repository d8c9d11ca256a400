package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
	"pgo/services/task/view/viewtest"
)

var viewTables = []string{
	"SELECT * FROM view_schools ORDER BY id", "SELECT * FROM view_school_members ORDER BY school_id, user_id", "SELECT * FROM view_classes ORDER BY id", "SELECT * FROM view_class_members ORDER BY class_id, user_id",
}

// TestViewRebuild repairs the view of a running service by the command, from a file and from a pipe.
func TestViewRebuild(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	school := viewtest.New(t, 7)
	for range 200 {
		school.MakeRandomChange()
	}
	told := school.TakeEvents()
	env.Deliver(t, told...)
	env.awaitEvents(t, len(told))
	// The sweep deletes members of deleted classes in the background: only the rebuild may change rows below.
	testkit.Eventually(t, "sweep the members of deleted classes", func() error {
		var left int
		err := env.db.QueryRow("SELECT COUNT(*) FROM view_class_members m JOIN view_classes c ON c.id = m.class_id WHERE c.deleted").Scan(&left)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d are left", left)
		}
		return err
	})
	file := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(file, []byte(school.WriteExport()), 0o600); err != nil {
		t.Fatal(err)
	}
	rebuild := func(in string, args ...string) (int, string, string) {
		var out, err bytes.Buffer
		code := withStdin(in)(t.Context(), append([]string{"view", "rebuild"}, args...), env.Environ, &out, &err)
		return code, out.String(), err.String()
	}
	expect := func(code, wantCode int, stdout, stderr, want string) {
		t.Helper()
		if code != wantCode || !strings.HasSuffix(stdout, want) || wantCode == 0 && stderr != "" || wantCode != 0 && strings.Count(stderr, "\n") != 1 {
			t.Errorf("ends with %d, %q, %q; want %d and %q", code, stdout, stderr, wantCode, want)
		}
	}
	code, stdout, stderr := rebuild("", file)
	expect(code, 0, stdout, stderr, "0 differences repaired\n")
	if strings.Count(stdout, "\n") != 1 {
		t.Errorf("a sound view differs: %s", stdout)
	}
	whole := servicetest.DumpRows(t, env.db, viewTables...)
	if _, err := env.db.Exec("DELETE FROM view_class_members LIMIT 3"); err != nil {
		t.Fatal(err)
	}
	damaged := servicetest.DumpRows(t, env.db, viewTables...)
	code, stdout, stderr = rebuild(school.WriteExport(), "--dry-run", "-")
	expect(code, 0, stdout, stderr, "differences found, nothing was changed\n")
	if !strings.Contains(stdout, "class_member ") || !strings.Contains(stdout, "here nothing, in School ") {
		t.Errorf("the report is %s", stdout)
	}
	export := school.WriteExport()
	for name, text := range map[string]string{"nothing": "", "cut off": export[:strings.LastIndex(strings.TrimSpace(export), "\n")+1], "nonsense": "x\n"} {
		code, stdout, stderr = rebuild(text)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "read the export: line ") {
			t.Errorf("%s: ends with %d, %q, %q", name, code, stdout, stderr)
		}
	}
	if now := servicetest.DumpRows(t, env.db, viewTables...); now != damaged {
		t.Errorf("something was changed:\n%s", servicetest.DiffLines(damaged, now))
	}
	code, stdout, stderr = rebuild(export)
	expect(code, 0, stdout, stderr, "differences repaired\n")
	if diff, err := school.FindDifferences(env.db); err != nil || diff != "" {
		t.Errorf("%v, the view differs:\n%s", err, diff)
	}
	if now := servicetest.DumpRows(t, env.db, viewTables[:3]...); !strings.HasPrefix(whole, now) {
		t.Errorf("more was changed than was damaged:\n%s", servicetest.DiffLines(whole, now))
	}
	s.AwaitReadiness(t, 200, "")

	t.Run("without a file", func(t *testing.T) {
		code, stdout, stderr := rebuild("", "/nonexistent")
		expect(code, 1, stdout, stderr, "")
	})
	t.Run("while Redis and RabbitMQ are unavailable", func(t *testing.T) {
		env.RedisLink.Cut()
		env.BrokerLink.Cut()
		defer env.RedisLink.Restore()
		defer env.BrokerLink.Restore()
		code, stdout, stderr := rebuild("", file)
		expect(code, 0, stdout, stderr, "0 differences repaired\n")
	})
	t.Run("while MySQL is unavailable", func(t *testing.T) {
		env.MySQLLink.Cut()
		defer env.MySQLLink.Restore()
		code, stdout, stderr := rebuild("", file)
		expect(code, 69, stdout, stderr, "")
	})
}
