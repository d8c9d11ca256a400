package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/home"
)

// newMachine returns a machine that passes all checks, except that pgo does not run.
func newMachine(t *testing.T) Machine {
	t.Helper()
	root := t.TempDir()
	h := Machine{Home: home.Home(filepath.Join(root, ".pgo")), Version: "v1", UserHome: root, Root: root}
	for _, dir := range []string{string(h.Home), filepath.Join(root, ".ssh"), filepath.Join(root, "proc", "net")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.writeFile(t, ".ssh/authorized_keys", `command="pgo receive --as ci",restrict ssh-ed25519 AAAA ci`)
	h.writeFile(t, "proc/net/tcp", header+`   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 2
   2: 0500000A:1F91 0600000A:9C40 01 00000000:00000000 00:00000000 00000000 0 0 3
`)
	h.writeFile(t, "proc/net/tcp6", header+`   0: 00000000000000000000000001000000:2382 00000000000000000000000000000000:0000 0A 0 0 0 0 0 1
   1: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0 0 0 0 0 2
`)
	return h
}

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func (h Machine) writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.Root, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInspect(t *testing.T) {
	tests := []struct {
		name   string
		damage func(h *Machine)
		what   string
		ok     bool
		says   string
	}{
		{"a key that can do nothing else", nil, "deploy key", true, "nothing but deploy"},
		{"a key that can forward", func(h *Machine) { h.writeFile(t, ".ssh/authorized_keys", `command="pgo receive" ssh-ed25519 AAAA`) }, "deploy key", false, "no `restrict`"},
		{"only other keys", func(h *Machine) { h.writeFile(t, ".ssh/authorized_keys", "ssh-ed25519 AAAA me\n# pgo receive\n") }, "deploy key", false, "no key is for deploys only"},
		{"no keys", func(h *Machine) { os.Remove(filepath.Join(h.UserHome, ".ssh", "authorized_keys")) }, "deploy key", false, "no such file"},
		{"the ports that others reach", nil, "ports", true, "reach 22 443,"},
		{"closed", nil, "home", true, "closed to others"},
		{"open", func(h *Machine) { os.Chmod(string(h.Home), 0o755) }, "home", false, "is open to others"},
		{"no home", func(h *Machine) { os.RemoveAll(string(h.Home)) }, "home", false, "there is no "},
		{"pgo does not run", nil, "pgo", false, "pgo is not running"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newMachine(t)
			if test.damage != nil {
				test.damage(&h)
			}
			for _, f := range h.Inspect(t.Context()) {
				if f.Subject == test.what && (f.OK != test.ok || !strings.Contains(f.Text, test.says) || !f.OK && f.Advice == "") {
					t.Errorf("it finds %+v", f)
				}
			}
		})
	}
}
