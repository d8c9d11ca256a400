package checkout

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "go.work"), "")
	below := filepath.Join(root, "deploy", "stack")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, dir, home, want string
	}{
		{"at the top", root, "", root + "/.pgo"},
		{"below", below, "", root + "/.pgo"},
		{"PGO_HOME", root, "/srv/state/", "/srv/state"},
		{"a relative PGO_HOME", below, "state", root + "/state"},
		{"no checkout", "/", "", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			co, err := Find(tc.dir, func(string) string { return tc.home })
			if (err != nil) != (tc.want == "") || co.Home != tc.want {
				t.Errorf("got %+v, %v, want %s", co, err, tc.want)
			}
		})
	}
}

func TestMakeSecretsCreatesOnceForOwnerOnly(t *testing.T) {
	co := Checkout{Root: t.TempDir(), Home: filepath.Join(t.TempDir(), "home")}
	made, err := co.MakeSecrets()
	if err != nil || len(made) != 18 {
		t.Fatalf("made %v, %v", made, err)
	}
	before := map[string]string{}
	for _, name := range made {
		info, err := os.Stat(co.Path("secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		before[name], _ = co.ReadSecret(name)
		if name != signingKey && len(before[name]) != 43 {
			t.Errorf("%s has %d characters, want 43", name, len(before[name]))
		}
	}
	for _, dir := range []string{co.Home, co.Path("secrets")} {
		if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", dir, info.Mode())
		}
	}
	block, _ := pem.Decode([]byte(before[signingKey] + "\n"))
	if block == nil {
		t.Fatal("the signing key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if _, ok := key.(ed25519.PrivateKey); !ok || err != nil {
		t.Errorf("the signing key is a %T, %v", key, err)
	}

	// One is lost, one is open to other users and one is an operator's.
	if err := os.Remove(co.Path("secrets", "erlang_cookie")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(co.Path("secrets", "admin_password"), 0o644); err != nil {
		t.Fatal(err)
	}
	writeFile(t, co.Path("secrets", "user_mysql_password"), "an operator's own\n")
	made, err = co.MakeSecrets()
	if err != nil || len(made) != 1 || made[0] != "erlang_cookie" {
		t.Errorf("made %v, %v", made, err)
	}
	if info, _ := os.Stat(co.Path("secrets", "admin_password")); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if own, _ := co.ReadSecret("user_mysql_password"); own != "an operator's own" {
		t.Errorf("read %q", own)
	}
	if same, _ := co.ReadSecret("mysql_admin_password"); same != before["mysql_admin_password"] {
		t.Error("an existing secret has changed")
	}
}

func TestFindRejectsUnusablePaths(t *testing.T) {
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "go.work"), "")
	for _, dir := range []string{"/a b", "/a\tb", `/a"b`, "/a;b", "/a{b", "/a'b", "/a$b"} {
		if co, err := Find(root, func(string) string { return dir }); err == nil {
			t.Errorf("%q gives %+v", dir, co)
		}
	}
}

func TestRemoveHomeRemovesOnlyHomes(t *testing.T) {
	thesis := t.TempDir()
	writeFile(t, filepath.Join(thesis, "thesis.txt"), "x")
	if err := (Checkout{Root: "/r", Home: thesis}).RemoveHome(); err == nil {
		t.Error("a directory with other files was removed")
	}
	if err := (Checkout{Root: "/r", Home: thesis}).MakeHome(); err == nil {
		t.Error("a directory with other files became a home")
	}
	if entries, err := os.ReadDir(thesis); err != nil || len(entries) != 1 {
		t.Errorf("the directory now has %v, %v", entries, err)
	}
	co := Checkout{Root: "/r", Home: filepath.Join(t.TempDir(), "home")}
	if err := co.RemoveHome(); err != nil {
		t.Errorf("without a home: %v", err)
	}
	if err := co.MakeHome(); err != nil {
		t.Fatal(err)
	}
	if err := co.RemoveHome(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(co.Home); !os.IsNotExist(err) {
		t.Error("the home still exists")
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
