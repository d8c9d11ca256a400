package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindHome(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "services", "user")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "configs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "configs", "pgo.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	tests := []struct{ name, flag, variable, want string }{
		{"default", "", "", filepath.Join(root, ".pgo")},
		{"an absolute flag", "/srv/pgo/../state", "/elsewhere", "/srv/state"},
		{"a relative flag", "state", "", filepath.Join(root, "state")},
		{"an absolute variable", "", "/srv/state", "/srv/state"},
		{"a relative variable", "", "state", filepath.Join(root, "state")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := &env{homeDir: test.flag, getenv: func(string) string { return test.variable }}
			if h, err := e.findHome(); err != nil || string(h) != test.want {
				t.Errorf("got %s, %v, want %s", h, err, test.want)
			}
		})
	}
	if file, err := findProcessFile(""); err != nil || file != "../../configs/pgo.yaml" {
		t.Errorf("the process file is %s, %v", file, err)
	}
	t.Chdir(t.TempDir())
	if _, err := findProcessFile(""); err == nil || !strings.Contains(err.Error(), "name one with --file") {
		t.Errorf("without a process file: %v", err)
	}
}

func TestIsOtherRelease(t *testing.T) {
	tests := []struct {
		name, program, manager string
		want                   bool
	}{
		{"the same release", "v1", "v1", false},
		{"another release", "v2", "v1", true},
		{"a build from uncommitted files", "20260301-3f2a9c81d0e4-dirty", "v1", false},
		{"a manager from uncommitted files", "v1", "v1-dirty", false},
		{"a development build", "dev", "v1", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isOtherRelease(test.program, test.manager); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
