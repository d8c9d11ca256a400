package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/pkg/config"
)

func TestReadSecretFile(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ name, text, want string }{
		{"plain", "s3cret", "s3cret"}, {"line feed", "s3cret\n", "s3cret"}, {"CRLF", "s3cret\r\n", "s3cret"}, {"several", "s3cret\r\n\n", "s3cret"},
		{"byte order mark", "\ufeffs3cret\r\n", "s3cret"}, {"spaces are part of it", " s3 cret ", " s3 cret "}, {"empty", "\n", ""},
	} {
		path := filepath.Join(dir, "secret")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := config.ReadSecretFile(path); err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}
	pipe, long := filepath.Join(dir, "pipe"), filepath.Join(dir, "long")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(long, []byte(strings.Repeat("x", 64<<10+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pipe: "it is not a regular file", "/dev/zero": "it is not a regular file", dir: "it is a directory", long: "it has more than 65536 bytes",
		filepath.Join(dir, "missing"): "no such file",
	} {
		if _, err := config.ReadSecretFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

// TestLoadOfPipe reads a configuration whose layer is a pipe without a writer.
func TestLoadOfPipe(t *testing.T) {
	dir := writeDir(t, map[string]string{"sample.yaml": ""})
	path := filepath.Join(dir, "sample.yaml")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(defaults(), config.Options{Dir: dir, Name: "sample", Env: "dev", Environ: []string{goodSecret}})
	if err == nil || !strings.HasSuffix(err.Error(), "sample.yaml: expected a readable file: it is not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestRandomSecretMayContainAWordOfExamples(t *testing.T) {
	dir := writeDir(t, map[string]string{"sample.yaml": ""})
	for secret, ok := range map[string]bool{
		"k3Jtest9fQ2mZx8Lw1pX": true, "tEsTa8f3kq0zm4w7": true, "8f3kq0zadminm4w71b": true, "0123456789abcdefghij": true,
		"changeme-changeme-changeme": false, "MySecretPassword1": false, "example-example-00": false, "default_admin_test1": false,
	} {
		_, err := config.Load(defaults(), config.Options{Dir: dir, Name: "sample", Env: "prod", Environ: []string{"PGO_CFG_MYSQL__PASSWORD=" + secret}})
		if (err == nil) != ok {
			t.Errorf("%s: got %v", secret, err)
		}
	}
}

type addressed struct {
	Server string `config:"server"`
	Listen string `config:"listen"`
}

// Validate implements config.Validator.
func (a *addressed) Validate(c *config.Check) {
	c.ExpectAddr("server", a.Server, "127.0.0.1:3306")
	c.ExpectListenAddr("listen", a.Listen, "127.0.0.1:8081")
}

func TestAddresses(t *testing.T) {
	dir := writeDir(t, map[string]string{"sample.yaml": ""})
	for _, tc := range []struct {
		server, listen string
		want           string // the key of the error
	}{
		{"127.0.0.1:3306", "127.0.0.1:0", ""}, {"db.example.org:3306", ":8081", ""}, {"[::1]:3306", "[::]:8081", ""},
		{"", ":0", "server"}, {"db", ":0", "server"}, {"db:", ":0", "server"}, {":3306", ":0", "server"}, {"db:0", ":0", "server"}, {"db:70000", ":0", "server"},
		{"db:mysql", ":0", "server"}, {"http://db:80", ":0", "server"}, {"user@db:3306", ":0", "server"}, {"::1:3306", ":0", "server"},
		{"db:1", "", "listen"}, {"db:1", "8081", "listen"}, {"db:1", ":-1", "listen"}, {"db:1", "a b:1", "listen"},
	} {
		_, err := config.Load(addressed{Server: tc.server, Listen: tc.listen}, config.Options{Dir: dir, Name: "sample", Env: "dev"})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), ": "+tc.want+": expected an address such as ")) {
			t.Errorf("%q, %q: got %v, want an error about %q", tc.server, tc.listen, err, tc.want)
		}
	}
}
