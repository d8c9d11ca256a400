package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What the kernel tells of is looked at, however seldom the looks are: none comes by itself here.
func TestTold(t *testing.T) {
	tests := []struct {
		name string
		put  func(t *testing.T, path string)
	}{
		{"written in place", func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("b"), 0o755)) }},
		{"renamed into place", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".new", []byte("c"), 0o755))
			must(t, os.Rename(path+".new", path))
		}},
		{"another one behind a link", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".d", []byte("d"), 0o755))
			must(t, os.Symlink(path+".d", path+".link"))
			must(t, os.Rename(path+".link", path))
		}},
		{"what the link leads to", func(t *testing.T, path string) { must(t, os.WriteFile(path+".d", []byte("e"), 0o755)) }},
		{"in a folder that was made anew", func(t *testing.T, path string) {
			must(t, os.RemoveAll(filepath.Dir(path)))
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, []byte("f"), 0o755))
		}},
	}
	path := filepath.Join(t.TempDir(), "folder", "user")
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte("a"), 0o755))
	if !local(filepath.Dir(path)) {
		t.Fatalf("%s is on a file system that this test cannot be run on", path)
	}
	taken := make(arrivals)
	// The folder that is gone for a moment is looked for again.
	w := New(taken, Options{UseInotify: true, IdleInterval: time.Hour})
	w.SetFiles(File{Path: path})
	run(t, w)
	<-taken
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.put(t, path)
			<-taken
		})
	}
}
