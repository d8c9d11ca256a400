package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// pgo host setup rejects these arguments before it inspects the machine.
func TestHostSetupRejectsArguments(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  one: {kind: infra, command: sleep, args: [\"1000\"]}")
	key := filepath.Join(s.dir, "id")
	if err := os.WriteFile(key, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nossh := filepath.Join(s.dir, "nossh")
	if err := os.WriteFile(nossh, []byte("#!/bin/sh\nexit 255\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		code int
		want string
		args []string
	}{
		{"both", exitUsage, "exclude each other", []string{"--yes", "--dry-run"}},
		{"no key", exitUsage, "read the key", []string{"--key", key + ".pub"}},
		{"the private key", exitUsage, "is the private key", []string{"--key", key}},
		{"a wrong directory", exitUsage, "--dir", []string{"--dir", "/"}},
		{"a wrong firewall", exitUsage, "--firewall", []string{"--firewall", "pf"}},
		{"an argument", exitUsage, "unknown command", []string{"host"}},
		{"no host", exitUnavailable, "cannot be reached", []string{"--to", "nowhere", "--ssh", nossh}},
		{"an invalid host", exitFailed, "expected a host", []string{"--to", "-oProxyCommand=x"}},
		{"another kind of machine", exitRefused, "pgo runs on Linux", []string{"--to", "bsd", "--ssh", "echo OpenBSD"}},
		{"no ssh", exitUnavailable, "cannot be reached", []string{"--to", "host", "--ssh", "no-such-ssh"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(*testing.T) {
			s.assertFails(test.code, []string{test.want}, append([]string{"host", "setup"}, test.args...)...)
		})
	}
}
