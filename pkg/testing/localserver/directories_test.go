package localserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketDir(t *testing.T) {
	deep := "/home/someone/" + strings.Repeat("a-deep-directory/", 20)
	tests := []struct {
		name, runtime, home, wantPrefix string
	}{
		{"no runtime directory", "", "/srv/pgo/.pgo", "/tmp/pgo-"},
		{"a runtime directory", "/dev", "/srv/pgo/.pgo", "/dev/pgo-"},
		{"a runtime directory that is not there", "/nowhere", "/srv/pgo/.pgo", "/tmp/pgo-"},
		{"a deep home", "", deep, "/tmp/pgo-"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", tc.runtime)
			dir := SocketDir(tc.home)
			if !strings.HasPrefix(dir, tc.wantPrefix) || len(dir) > 60 {
				t.Errorf("got %s", dir)
			}
			if SocketDir(tc.home) != dir || SocketDir(tc.home+"2") == dir {
				t.Error("not one directory for each home")
			}
		})
	}
}

func TestMakePrivateDirRefusesALink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := makePrivateDir(link); err == nil {
		t.Error("a link was taken for a directory of ours")
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := makePrivateDir(open); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(open); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}
