package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs are built outside of a repository, so that only the flags decide.
func TestReadVersion(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"the linker's flags", []string{"-ldflags=-s -w -X main.version=1.2.3"}, "1.2.3"},
		{"a quoted value", []string{"-ldflags=-s -w -X 'main.version=1.2.3'"}, "1.2.3"},
		{"the symbol table", []string{"-trimpath", "-ldflags=-X main.version=1.2.3"}, "1.2.3"},
		{"the value in the source", []string{"-trimpath"}, "built-in"},
		{"a stripped program", []string{"-trimpath", "-ldflags=-s -w -X main.version=1.2.3"}, ""},
	}
	dir := t.TempDir()
	source := "package main\n\nvar version = \"built-in\"\n\nfunc main() { println(version) }\n"
	writeFile(t, filepath.Join(dir, "main.go"), []byte(source), 0o600, testTime)
	writeFile(t, filepath.Join(dir, "go.mod"), []byte("module example.test/web\n\ngo 1.24\n"), 0o600, testTime)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "web")
			build := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", program}, test.args...), ".")...)
			build.Dir, build.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := ReadVersion(program); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	for name, text := range map[string]string{"a script": "#!/bin/sh\necho 1.2.3\n", "half a program": elfMagic, "nothing": ""} {
		if got := ReadVersion(writeFile(t, filepath.Join(dir, "other"), []byte(text), 0o700, testTime)); got != "" {
			t.Errorf("%s has version %q", name, got)
		}
	}
	if got := ReadVersion(filepath.Join(dir, "none")); got != "" {
		t.Errorf("a missing file has version %q", got)
	}
}
