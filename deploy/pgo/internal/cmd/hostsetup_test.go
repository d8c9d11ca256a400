package cmd

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/hostsetup"
)

func TestReadKey(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	public, private := write("id.pub", "ssh-ed25519 AAAA ci\n"), write("id", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
	tests := []struct{ name, key, want, failure string }{
		{"none", "", "", ""},
		{"a line", " ssh-ed25519 AAAA ci ", "ssh-ed25519 AAAA ci", ""},
		{"a file", public, "ssh-ed25519 AAAA ci", ""},
		{"a missing file", public + "x", "", "read the key that may deploy"},
		{"the private key", private, "", private + " is the private key: name the public one, " + private + ".pub"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := hostSetup{key: test.key}
			err := s.readKey()
			if test.failure != "" {
				if err == nil || !strings.Contains(err.Error(), test.failure) {
					t.Errorf("got %v", err)
				}
			} else if err != nil || s.options.Key != test.want {
				t.Errorf("got %q, %v", s.options.Key, err)
			}
		})
	}
}

func TestRemoteArgs(t *testing.T) {
	s := hostSetup{yes: true, options: hostsetup.Options{
		Dir: "/srv/pgo", User: "pgo", Gateway: []int{8080, 8443}, Firewall: "none", Connections: 32, Image: "rocky", Root: "/", Key: "ssh-ed25519 AAAA ci",
	}}
	got := s.remoteArgs()
	want := []string{"--dir", "/srv/pgo", "--user", "pgo", "--gateway", "8080,8443", "--firewall", "none", "--connections", "32", "--image", "rocky", "--root", "/", "--key", "ssh-ed25519 AAAA ci", "--yes"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindProgram(t *testing.T) {
	s := hostSetup{from: t.TempDir()}
	here, err := s.findProgram(runtime.GOOS + "-" + runtime.GOARCH)
	if self, _ := os.Executable(); err != nil || here != self {
		t.Errorf("for this machine: %s, %v", here, err)
	}
	if _, err := s.findProgram("linux-riscv64"); err == nil || !strings.Contains(err.Error(), "make dist, or name its directory with --from") {
		t.Errorf("for another: %v", err)
	}
	path := filepath.Join(s.from, "linux-riscv64", "pgo")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := s.findProgram("linux-riscv64"); err != nil || got != path {
		t.Errorf("for another, of make dist: %s, %v", got, err)
	}
}
