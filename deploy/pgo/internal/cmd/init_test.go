package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInit(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string // in the file, or in the output of a failure
	}{
		{"a program", []string{"--command", "./bin/My App"}, ExitOK, "  my-app:\n    command: \"./bin/My App\"\n"},
		{"a name and an address", []string{"--command", "web", "--name", "api", "--address", "127.0.0.1:80"}, ExitOK, "  api:\n    command: \"web\"\n    # args: [-v]\n    ready: {tcp: \"127.0.0.1:80\"}"},
		{"a dollar sign", []string{"--command", "./a${B}"}, ExitOK, `"./a$${B}"`},
		{"no program", nil, ExitUsage, "name the program to run: --command ./web"},
		{"an invalid name", []string{"--command", "web", "--name", "Web"}, ExitUsage, "expected a name of a-z"},
		{"an invalid address", []string{"--command", "web", "--address", "localhost"}, ExitUsage, "expected an IP address and port"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var out bytes.Buffer
			run := func(args ...string) int {
				return Run(t.Context(), Build{}, args, func(string) string { return "" }, &out, &out)
			}
			code := run(append([]string{"init"}, test.args...)...)
			text, err := os.ReadFile(filepath.Join("configs", "pgo.yaml"))
			if code != test.code || (err == nil) != (code == ExitOK) || !strings.Contains(string(text)+out.String(), test.want) {
				t.Fatalf("exit code %d, %v\n%s%s", code, err, out.String(), text)
			}
			if code != ExitOK {
				return
			}
			if code := run("check"); code != ExitOK {
				t.Errorf("check: exit code %d\n%s", code, out.String())
			}
			if code := run("init", "--command", "other"); code != ExitUsage || !strings.Contains(out.String(), "configs/pgo.yaml exists already") {
				t.Errorf("a second init: exit code %d\n%s", code, out.String())
			}
		})
	}
}

func TestInitAsks(t *testing.T) {
	a := initAnswers{address: "127.0.0.1:80"}
	var out bytes.Buffer
	err := a.ask(strings.NewReader("./web\n\n"), &out, func(flag string) bool { return flag == "address" })
	if err != nil || a != (initAnswers{"./web", "web", "127.0.0.1:80"}) || out.String() != "Program to run, such as ./web or bin/web: Name of its process [web]: " {
		t.Errorf("%+v, %v, %q", a, err, out.String())
	}
	if err := (&initAnswers{}).ask(strings.NewReader("./web\n"), &out, func(string) bool { return false }); err == nil {
		t.Error("an end of the answers is accepted")
	}
}

func TestImport(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("ecosystem.json", []byte(`{"apps":[{"name":"web","script":"./web","namespace":"x"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		code = Run(t.Context(), Build{}, args, func(string) string { return "" }, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, out, errs := run("import", "--print", "ecosystem.json"); code != ExitOK || !strings.Contains(out, "  web:\n    command: ./web\n") || !strings.HasPrefix(errs, "web: namespace: ") {
		t.Errorf("--print: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := run("import", "ecosystem.json"); code != ExitOK || !strings.HasPrefix(out, "configs/pgo.yaml has 1 process: ") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs := run("check"); code != ExitOK {
		t.Errorf("check: exit code %d\n%s", code, errs)
	}
	if code, _, errs := run("import", "ecosystem.json"); code != ExitUsage || !strings.Contains(errs, "exists already") {
		t.Errorf("a second import: exit code %d\n%s", code, errs)
	}
	if code, _, errs := run("import", "--print", "missing.json"); code != ExitFailed || !strings.Contains(errs, "no such file") {
		t.Errorf("a missing file: exit code %d\n%s", code, errs)
	}
}
