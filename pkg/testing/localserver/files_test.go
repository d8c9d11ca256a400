package localserver

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRedisKeepsAccountsAndReplacesItsOwn(t *testing.T) {
	dir := t.TempDir()
	r := Redis{Programs: HostPrograms(), Data: dir, Etc: dir, Port: 1, AdminPassword: "first"}
	prepareRedis(t, r)
	saved := "user default on nopass ~* +@all\nuser pgo_admin on #0000 ~* +@all\nuser user on #abcd ~user:* resetchannels +get\n"
	acl := filepath.Join(dir, "users.acl")
	if err := os.WriteFile(acl, []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	}
	r.AdminPassword = "second"
	prepareRedis(t, r)
	content, err := os.ReadFile(acl)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"user default reset off ~* &* +@all\n", "user pgo_admin reset on #", "user user on #abcd ~user:* resetchannels +get\n"} {
		if strings.Count(string(content), want) != 1 {
			t.Errorf("want %q once in:\n%s", want, content)
		}
	}
	for _, not := range []string{"nopass", "#0000", "second"} {
		if strings.Contains(string(content), not) {
			t.Errorf("%q is in:\n%s", not, content)
		}
	}
}

func TestMySQLAccounts(t *testing.T) {
	tests := []struct {
		name, password, want string
	}{
		{"plain", "abc-_1", "IDENTIFIED BY 'abc-_1';"},
		{"a quote and a backslash", `a'b\`, `IDENTIFIED BY 'a''b\\';`},
		{"empty", "", ""},
		{"a line break", "a\nDROP", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			sql, err := MySQL{AdminPassword: tc.password}.renderAccounts()
			if (err != nil) != (tc.want == "") {
				t.Fatalf("error %v", err)
			}
			if err == nil && !strings.Contains(sql, tc.want) {
				t.Errorf("no %q in:\n%s", tc.want, sql)
			}
		})
	}
}

func TestMySQLKeepsUnknownFiles(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(data, "thesis.txt")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := MySQL{Programs: HostPrograms(), Data: data, Etc: dir, Socket: filepath.Join(shortDir(t), "s"), Port: 1, AdminPassword: "x"}
	if _, err := m.Prepare(context.Background()); err == nil || !strings.Contains(err.Error(), "move them away") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

func TestMySQLRecoversFromAnInterruptedInstall(t *testing.T) {
	dir := t.TempDir()
	m := MySQL{Programs: HostPrograms(), Data: filepath.Join(dir, "data"), Etc: dir, Socket: filepath.Join(shortDir(t), "s"), Port: 1, AdminPassword: "x"}
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() { _, err := m.Prepare(ctx); failed <- err }()
	// The first of the system tables is there: the script is in the middle of its work.
	waitFor(t, func() bool { return isMySQLData(m.Data + ".partial") })
	cancel()
	if err := <-failed; err == nil {
		t.Fatal("it was done before it was ended")
	}
	if _, err := os.Stat(m.Data); !os.IsNotExist(err) {
		t.Fatalf("a half-made directory is in place: %v", err)
	}
	if _, err := m.Prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !isMySQLData(m.Data) {
		t.Error("no data directory")
	}
}

func prepareRedis(t *testing.T, r Redis) {
	t.Helper()
	if _, err := r.Prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
}
