package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

func TestEnvironment(t *testing.T) {
	m := &Machine{Home: "/srv/pgo/.pgo", EnvDir: t.TempDir(), Environ: []string{"PATH=/bin", "A=of pgo", "B=of pgo", "PGO_HOME=/other"}}
	writeFile(t, filepath.Join(m.EnvDir, "p.env"), "# C=comment\nB='of the unit'\nTOKEN=\"x=y\"\nnothing\n\n", 0o600)
	tests := []struct {
		name string
		want []string
	}{
		{"p", []string{"A=of the file", "B=of the unit", "PATH=/bin", "PGO_HOME=/srv/pgo/.pgo", "TOKEN=x=y"}},
		{"without", []string{"A=of the file", "B=of the file", "PATH=/bin", "PGO_HOME=/srv/pgo/.pgo"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := m.Environment(processfile.Process{Name: test.name, Env: map[string]string{"A": "of the file", "B": "of the file"}})
			if diff := cmp.Diff(test.want, command.ListEnv(env)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCurrentRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p")
	writeFile(t, path, "program", 0o755)
	hashed, err := HashFile(path)
	if err != nil || len(hashed) != 64 {
		t.Fatalf("%q, %v", hashed, err)
	}
	known := release.Release{}
	known.Record.Verification.SHA256, known.Record.Version = hashed, "1.2"
	tests := []struct {
		name     string
		command  string
		releases []release.Release
		want     audit.Release
	}{
		{"in the store", path, []release.Release{{}, known}, audit.Release{SHA256: hashed, Version: "1.2"}},
		{"not in the store", path, []release.Release{{}}, audit.Release{SHA256: hashed}},
		{"no file", path + "-missing", []release.Release{known}, audit.Release{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := (&Machine{}).CurrentRelease(processfile.Process{Name: "p", Command: test.command}, test.releases)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	if _, err := (&Machine{}).CurrentRelease(processfile.Process{Name: "p", Command: filepath.Dir(path)}, nil); err == nil || !strings.Contains(err.Error(), "read the program of p") {
		t.Errorf("of a directory: %v", err)
	}
}

// The gate is a script that prints its arguments and the program of p that it is told to check.
func TestAskGates(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "gate"), "#!/bin/sh\necho first\necho \"$1 $PROGRAM $OTHER in $PWD\"\n[ \"$1\" != refuse ]\n", 0o755)
	program := filepath.Join(dir, "bin", "p")
	gate := func(check, plan []string) processfile.Process {
		g := processfile.Process{Name: "gate", Kind: processfile.KindGate, Command: filepath.Join(dir, "gate"), CheckArgs: check, PlanArgs: plan}
		g.Env, g.Readiness.Timeout = map[string]string{"PROGRAM": "bin/p", "OTHER": "bin/q"}, time.Minute
		return g
	}
	tests := []struct {
		name     string
		gate     processfile.Process
		programs map[string]string
		plan     bool
		want     []string // reports
		err      string
	}{
		{name: "it lets them run", gate: gate([]string{"check"}, nil), programs: map[string]string{"p": "/new/p"}, want: []string{"gate: lets them run"}},
		{name: "it refuses", gate: gate([]string{"refuse"}, nil), programs: map[string]string{"p": "/new/p"}, err: "gate: does not let it run: exit status 1: refuse /new/p bin/q in " + dir},
		{name: "it plans", gate: gate(nil, []string{"plan"}), programs: map[string]string{"p": "/new/p"}, plan: true, want: []string{"gate: first", "gate: plan /new/p bin/q in " + dir}},
		{name: "it cannot plan", gate: gate([]string{"check"}, nil), programs: map[string]string{"p": "/new/p"}, plan: true, want: []string{"gate: cannot say what it would do: the process file has no plan for it"}},
		{name: "it cannot be asked", gate: gate(nil, nil), programs: map[string]string{"p": "/new/p"}, err: "has to be one that can be asked"},
		{name: "no program waits for it", gate: gate([]string{"refuse"}, nil), programs: map[string]string{"q": "/new/q"}},
		{name: "no program is new", gate: gate([]string{"refuse"}, nil), programs: map[string]string{"p": ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &Machine{Home: home.Home(dir), EnvDir: dir, Environ: os.Environ(), File: processfile.File{Root: dir, Processes: []processfile.Process{
				test.gate, {Name: "p", Command: program, After: []string{"gate"}}, {Name: "q", Command: filepath.Join(dir, "bin", "q")},
			}}}
			var reports []string
			err := m.AskGates(t.Context(), test.programs, test.plan, func(gate, text string) { reports = append(reports, gate+": "+text) })
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("the error is %v, want %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, reports); diff != "" {
				t.Error(diff)
			}
		})
	}
}
