package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Durations of two modules are in one file, and the output is that of go test without -v.
func TestRunsOfTwoModules(t *testing.T) {
	if testing.Short() {
		t.Skip("builds several test binaries")
	}
	times := filepath.Join(t.TempDir(), "times")
	t.Setenv("GOWORK", "off")
	for _, module := range []struct {
		name, test string
		fails      bool
		want, not  []string
	}{
		{"good", "t.Log(\"hidden\"); time.Sleep(30 * time.Millisecond); t.Run(\"sub\", func(t *testing.T) {})", false, []string{"ok  \texample.org/good"}, []string{"hidden", "PASS", "=== RUN"}},
		{"bad", "t.Run(\"sub\", func(t *testing.T) { t.Error(\"broken\") })", true, []string{"--- FAIL: TestIt/sub", "broken", "FAIL\texample.org/bad"}, []string{"=== RUN"}},
		{"panics", "panic(\"out of luck\")", true, []string{"panic: out of luck", "FAIL\texample.org/panics"}, nil},
		{"unbuildable", "undefined()", true, []string{"undefined: undefined", "FAIL\texample.org/unbuildable [build failed]"}, nil},
	} {
		t.Run(module.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"go.mod":     "module example.org/" + module.name + "\n\ngo 1.26.0\n",
				"it_test.go": "package it\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nvar _ time.Time\n\nfunc TestIt(t *testing.T) { " + module.test + " }\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			var out bytes.Buffer
			err := run(t.Context(), []string{"-times", times, "--", "-count=1", "./..."}, &out)
			var exit *exec.ExitError
			if (module.fails && !errors.As(err, &exit)) || (!module.fails && err != nil) {
				t.Errorf("error %v", err)
			}
			for _, want := range module.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, &out)
				}
			}
			for _, not := range module.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("%q in\n%s", not, &out)
				}
			}
		})
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-times", times, "-slowest", "1"}, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "the 1 slowest tests:\n") || !strings.HasSuffix(got, " s  example.org/good TestIt\n") {
		t.Errorf("the slowest test:\n%s", got)
	}
}
