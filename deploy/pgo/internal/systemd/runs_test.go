package systemd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/shim"
)

// TestMain is also the shim, as pgo is where it starts the programs of processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == shim.Command {
		fmt.Fprintln(os.Stderr, shim.Exec(os.Args[2:]))
		os.Exit(shim.ExitCode)
	}
	os.Exit(m.Run())
}

// identity prints what pgo sets for a program, as the program has it.
const identity = `#!/bin/sh
echo "$(id -u) $(id -G) $(ulimit -n) $(ulimit -c) $(nice) $(cat /proc/self/oom_score_adj) $(pwd) $LOOKS" >>"$SEEN"
echo {}
`

// A new program and a gate have the user, the groups, the limits, the environment and the directory of their process. It takes
// root to set a user: another user runs them as itself.
func TestRunsOfAProcess(t *testing.T) {
	dir := t.TempDir()
	for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, seen := filepath.Join(dir, "program"), filepath.Join(dir, "seen")
	writeFile(t, program, identity, 0o755)
	writeFile(t, seen, "", 0o666)
	if err := os.Chmod(seen, 0o666); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	files, core, nice, adjustment := 321, 0, 5, 300
	m := &Machine{Home: home.Home(filepath.Join(dir, "home")), Environ: []string{"PATH=" + os.Getenv("PATH"), "SEEN=" + seen}, EnvDir: dir}
	if err := errors.Join(m.Home.CreateDirs(), os.Mkdir(m.Home.ReleaseDir(), 0o700)); err != nil {
		t.Fatal(err)
	}
	process := processfile.Process{
		Name: "web", Command: program, Dir: dir, User: "nobody", Env: map[string]string{"LOOKS": "of the file"},
		Limits: processfile.Limits{Files: &files, Core: &core, Nice: &nice, OOMScoreAdj: &adjustment},
	}
	process.Readiness.Defaults()
	if err := (&target{backend: newBackend(m), process: process, program: program}).runPreflight(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.runGate(t.Context(), process, []string{"ask"}, nil); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may run a program as another user; all ran as this one")
	}
	const runs = 3 // version --json, check, ask
	want := strings.Repeat(fmt.Sprintf("65534 65534 321 0 5 300 %s of the file\n", dir), runs)
	got, err := os.ReadFile(seen)
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
