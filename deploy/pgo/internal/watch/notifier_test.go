package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestInotify checks that an event triggers a scan: no poll happens during the test.
func TestInotify(t *testing.T) {
	tests := []struct {
		name string
		put  func(t *testing.T, path string)
	}{
		{"written in place", func(t *testing.T, path string) { mustSucceed(t, os.WriteFile(path, []byte("b"), 0o755)) }},
		{"renamed into place", func(t *testing.T, path string) {
			mustSucceed(t, os.WriteFile(path+".new", []byte("c"), 0o755))
			mustSucceed(t, os.Rename(path+".new", path))
		}},
		{"another one behind a link", func(t *testing.T, path string) {
			mustSucceed(t, os.WriteFile(path+".d", []byte("d"), 0o755))
			mustSucceed(t, os.Symlink(path+".d", path+".link"))
			mustSucceed(t, os.Rename(path+".link", path))
		}},
		{"what the link leads to", func(t *testing.T, path string) { mustSucceed(t, os.WriteFile(path+".d", []byte("e"), 0o755)) }},
		{"in a directory that was re-created", func(t *testing.T, path string) {
			mustSucceed(t, os.RemoveAll(filepath.Dir(path)))
			mustSucceed(t, os.Mkdir(filepath.Dir(path), 0o700))
			mustSucceed(t, os.WriteFile(path, []byte("f"), 0o755))
		}},
	}
	path := filepath.Join(t.TempDir(), "folder", "user")
	mustSucceed(t, os.Mkdir(filepath.Dir(path), 0o700))
	mustSucceed(t, os.WriteFile(path, []byte("a"), 0o755))
	if !isLocal(filepath.Dir(path)) {
		t.Fatalf("%s is on a file system that this test cannot be run on", path)
	}
	taken := make(arrivalTimes)
	// RewatchInterval finds the directory that is gone for a moment.
	w := New(taken, Options{UseInotify: true, IdleInterval: time.Hour})
	w.SetFiles(File{Path: path})
	startWatcher(t, w)
	<-taken
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.put(t, path)
			<-taken
		})
	}
}
