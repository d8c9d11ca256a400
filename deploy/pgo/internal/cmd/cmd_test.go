package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// runIn runs a command line in a checkout with this process file and returns the exit code and the output.
func runIn(t *testing.T, processes string, args ...string) (code int, output string) {
	t.Helper()
	return run(t, append(args, "--file", writeCheckout(t, processes))...)
}

// writeCheckout writes a checkout with this process file and returns the file's path.
func writeCheckout(t *testing.T, processes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "configs"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "configs", "pgo.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nhttp: \"\"\nprocesses:\n"+processes), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func run(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	var out bytes.Buffer
	build := Build{Version: "1.2.3", Commit: "abc", Time: "2026-01-31T15:04:05Z"}
	code = Run(t.Context(), build, args, func(string) string { return "" }, &out, &out)
	return code, out.String()
}

const oneProcess = "  web: {command: sleep, args: [\"1000\"]}\n"

func TestCommandsWithoutManager(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"check", []string{"check"}, ExitOK, "is valid: 1 process\n"},
		{"schema", []string{"schema"}, ExitOK, `"pgo process file"`},
		{"version", []string{"version"}, ExitOK, "1.2.3\n"},
		{"version as JSON", []string{"version", "--json"}, ExitOK, `"commit": "abc"`},
		{"list", []string{"list"}, ExitOK, "pgo is not running"},
		{"list as JSON", []string{"list", "--json"}, ExitOK, "[]\n"},
		{"info", []string{"info"}, ExitOK, "running       no\n"},
		{"down", []string{"down"}, ExitOK, "nothing runs\n"},
		{"a plan", []string{"apply", "--dry-run"}, ExitOK, "web          start    nothing runs\n"},
		{"releases as JSON", []string{"releases", "--json"}, ExitOK, "[]\n"},
		{"releases of an unknown process", []string{"releases", "api"}, ExitFailed, "there are no releases of api"},
		{"start", []string{"start", "web"}, ExitUnavailable, "start it with pgo up"},
		{"a program that is missing", []string{"start", "./missing"}, ExitFailed, "missing: no such file"},
		{"a program that is in no directory", []string{"start", "missing-program", "--", "-v"}, ExitFailed, "command missing-program: not found in PATH"},
		{"a name that a process cannot have", []string{"start", "--name", "My App", "/bin/sh"}, ExitUsage, `"My App" cannot be the name of a process`},
		{"a name for a process of the file", []string{"start", "--name", "app", "web"}, ExitUsage, "--name is for a program"},
		{"two programs", []string{"start", "./a", "./b", "--", "-v"}, ExitUsage, "name one program before --"},
		{"reload", []string{"reload", "web"}, ExitUnavailable, "start it with pgo up"},
		{"the version as a flag", []string{"--version"}, ExitOK, "1.2.3\n"},
		{"the version as a short flag", []string{"-v"}, ExitOK, "1.2.3\n"},
		{"an unknown command", []string{"frobnicate"}, ExitUsage, `unknown command "frobnicate": pgo --help lists them`},
		{"a typo", []string{"lsit"}, ExitUsage, `unknown command "lsit": did you mean pgo list?`},
		{"the beginning of a command", []string{"desc-"}, ExitUsage, `unknown command "desc-"`},
		{"a command of PM2", []string{"jlist"}, ExitUsage, `"jlist" is a command of PM2; in pgo it is pgo list --json`},
		{"another command of PM2", []string{"kill"}, ExitUsage, "pgo down"},
		{"a command of PM2 with a name", []string{"show", "web"}, ExitUsage, "pgo describe NAME"},
		{"an unknown command of host", []string{"host", "frobnicate"}, ExitUsage, `unknown command "frobnicate": pgo host --help lists them`},
		{"a typo of host", []string{"host", "doctro"}, ExitUsage, "did you mean pgo host doctor?"},
		{"an unknown flag", []string{"list", "--jsn"}, ExitUsage, "unknown flag"},
		{"no names", []string{"stop"}, ExitUsage, "name at least one process, or all"},
		{"an argument too many", []string{"up", "web"}, ExitUsage, "unknown command"},
		{"a scale without a number", []string{"scale", "web"}, ExitUsage, "name a process and a number of instances"},
		{"a scale to a word", []string{"scale", "web", "many"}, ExitUsage, `"many": expected a number of instances`},
		{"a signal without a process", []string{"signal", "SIGHUP"}, ExitUsage, "name a signal"},
		{"two descriptions", []string{"describe", "web", "api"}, ExitUsage, "name one process, or a pattern"},
		{"three arguments of a rollback", []string{"rollback", "web", "v1", "v2"}, ExitUsage, "accepts at most 2"},
		{"a deploy to nowhere", []string{"deploy"}, ExitUsage, "name a host: --to HOST"},
		{"fewer events than none", []string{"events", "-n", "-1"}, ExitUsage, "expected a number of lines"},
		{"the keeper", []string{"keeper"}, ExitUsage, "pgo up starts the keeper"},
		{"the manager", []string{"manager"}, ExitUsage, "the keeper starts the manager"},
		{"recovery while the services run", []string{"host", "recover"}, ExitUsage, "only for pgo.settle.service"},
		{"recovery by its old name", []string{"host", "settle"}, ExitUsage, `Command "settle" is deprecated, its name is pgo host recover`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			code, output := runIn(t, oneProcess, args...)
			if code != test.code || !strings.Contains(output, test.want) {
				t.Errorf("exit code %d, want %d, and %q in\n%s", code, test.code, test.want, output)
			}
		})
	}
	if code, output := runIn(t, "  web: {comand: sleep}\n", "check"); code != ExitConfig || !strings.Contains(output, "processes.web.comand: unknown key") {
		t.Errorf("an invalid process file: exit code %d\n%s", code, output)
	}
}

// check finds the programs of probes as up does: a path is relative to the root, a bare name is looked up in PATH.
func TestCheckProbes(t *testing.T) {
	tests := []struct {
		name, processes string
		want            []string // in the output; none: valid
	}{
		{"a name in PATH", `  web: {command: sleep, ready: {exec: [sh, -c, exit 0]}}`, nil},
		{"a path from the root", `  web: {command: sleep, ready: {exec: [./probe]}}`, []string{"processes.web.ready.exec: command ", "no such file"}},
		{"a name that is in no directory", `  web: {command: sleep, live: {exec: [no-such-probe]}}`, []string{"processes.web.live.exec: command no-such-probe: not found in PATH"}},
		{"a file that cannot be executed", `  web: {command: sleep, ready: {exec: [configs/pgo.yaml]}}`, []string{"processes.web.ready.exec: command ", "configs/pgo.yaml: not an executable file"}},
		{"all of them", "  web: {command: sleep, ready: {exec: [./a]}, live: {exec: [./b]}}\n  api: {command: sleep, live: {exec: [./c]}}", []string{"web.ready.exec", "web.live.exec", "api.live.exec"}},
		{"the program of the process, which is built later", `  web: {command: bin/web, ready: {exec: [bin/web, ready]}}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, output := runIn(t, test.processes+"\n", "check")
			if wantCode := map[bool]int{true: ExitOK, false: ExitConfig}[test.want == nil]; code != wantCode {
				t.Errorf("exit code %d, want %d\n%s", code, wantCode, output)
			}
			for _, text := range test.want {
				if !strings.Contains(output, text) {
					t.Errorf("no %q in\n%s", text, output)
				}
			}
		})
	}
}

// A short help is a phrase that begins with a verb in the imperative, without a period.
func TestShortHelp(t *testing.T) {
	verbs := strings.Fields("Write Apply Check Deploy Empty Export List Manage Prepare Print Receive Reload Replace Roll Run Send Set Show Start Stop")
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			check(sub)
		}
		verb, _, _ := strings.Cut(c.Short, " ")
		known := false
		for _, v := range verbs {
			known = known || strings.TrimSuffix(verb, ",") == v
		}
		if !known || strings.HasSuffix(c.Short, ".") || !unicode.IsUpper(rune(c.Short[0])) {
			t.Errorf("%s: %q is not an imperative phrase", c.CommandPath(), c.Short)
		}
	}
	check(newRootCommand(&env{}))
}

func TestHelpHidesOldNames(t *testing.T) {
	_, output := runIn(t, oneProcess, "host", "--help")
	if strings.Contains(output, "settle") || !strings.Contains(output, "recover") || !strings.Contains(output, "doctor") {
		t.Errorf("host --help:\n%s", output)
	}
}

// No command of pgo is answered as one of PM2.
func TestPM2CommandsAreUnknown(t *testing.T) {
	root := newRootCommand(&env{})
	for word, instead := range pm2Commands {
		if c, _, err := root.Find([]string{word}); err == nil && c != root {
			t.Errorf("%s is a command of pgo, not %s", word, instead)
		}
	}
}
