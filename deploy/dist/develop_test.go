package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Neither a commit nor an edited file makes a new program of an unchanged one when the Makefile builds for development.
func TestDevelopmentBuild(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	c := &checkout{T: t, dir: t.TempDir()}
	c.git("init", "-q", "-b", "main")
	c.commit(map[string]string{
		"Makefile":             string(makefile),
		"go.work":              "go 1.26.0\n\ntoolchain " + toolchain(t) + "\n\nuse ./deploy\n",
		"deploy/go.mod":        "module pgo/deploy\n\ngo 1.26.0\n",
		"deploy/wecom/main.go": "package main\n\nvar version = \"dev\"\n\nfunc main() { print(version) }\n",
	})
	build := func(args ...string) (content, version string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "make", append([]string{"build", "BINARIES=wecom"}, args...)...)
		cmd.Dir, cmd.Env = c.dir, append(withoutVariables(os.Environ(), "VERSION", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"), "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		path := filepath.Join(c.dir, "bin", "wecom")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		printed, err := exec.CommandContext(t.Context(), path).CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		return string(text), string(printed)
	}
	first, version := build()
	if version != "dev" {
		t.Errorf("version %q, want dev", version)
	}
	c.commit(map[string]string{"README.md": "more\n"})
	if committed, _ := build(); committed != first {
		t.Error("a commit of another file makes a new program")
	}
	c.write(map[string]string{"README.md": "and more\n"})
	if edited, _ := build(); edited != first {
		t.Error("another file that was edited makes a new program")
	}
	if _, version := build("VERSION=v1.2.3"); version != "v1.2.3" {
		t.Errorf("VERSION=v1.2.3 builds version %q", version)
	}
}

// withoutVariables returns an environment without the variables of these names.
func withoutVariables(environ []string, names ...string) []string {
	var kept []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !slices.Contains(names, name) {
			kept = append(kept, variable)
		}
	}
	return kept
}
