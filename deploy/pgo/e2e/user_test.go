package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/release"
)

// identifyEnv names the file to which the test program appends its identity when it is asked for its version or to check its
// configuration.
const identifyEnv = "PGO_TEST_IDENTIFY"

// Whatever pgo runs for a process has the user, the groups, the limits, the environment and the directory of the process.
// It takes root to set a user.
func TestUserOfEveryRun(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may run a process as another user")
	}
	settings := "user: nobody, cwd: sub, limits: {files: 321, core: 0, nice: 5, oom_score_adj: 300, no_new_privileges: true}, env: {" + identifyEnv + ": DIR/seen, LOOKS: bin/web}"
	run := func(name string) string { return `[actor, "identify=DIR/seen:` + name + `", exit=0]` }
	probe := func(name string) string { return `{exec: [ACTOR, actor, "identify=DIR/seen:` + name + `", exit=0]` }
	s := newWatchedSandbox(t, "v1")
	_, web, _ := strings.Cut(watchedProcessFile, "  web:")
	s.writeProcessFile(`
  p: {command: ACTOR, args: [actor, "identify=DIR/seen:run"], ready: ` + probe("ready") + `}, live: ` + probe("live") + `, every: 100ms, timeout: 1m}, version: ` + run("declared") + `, ` + settings + `}
  gate: {kind: gate, command: ACTOR, args: [actor, "identify=DIR/seen:gate", ready], ask: ` + run("ask") + `, plan: ` + run("plan") + `, ready: {notify: true}, ` + settings + `}
  watched: {command: bin/watched, args: [actor, "identify=DIR/seen:watched", ready], listeners: {http: "127.0.0.1:0"}, watch: true, ready: {notify: true}, ` + settings + `}
  web:` + web)
	s.deployTestProgram("watched")
	s.openToUsers()
	for _, err := range []error{
		os.Mkdir(filepath.Join(s.dir, "sub"), 0o755),
		os.WriteFile(filepath.Join(s.dir, "seen"), nil, 0o600),
		os.Chmod(filepath.Join(s.dir, "seen"), 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.mustRun("up")
	s.mustRun("exec", "p", "actor", "identify="+filepath.Join(s.dir, "seen")+":exec", "exit=0")
	s.awaitBuild("v1")
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitBuild("v2")
	s.planDeploy("web", buildRelease(t, "v1"))
	want := "Uid: 65534 65534 65534 65534; Gid: 65534 65534 65534 65534; Groups: 65534; NoNewPrivs: 1; Max open files 321 321 files; " +
		"Max core file size 0 0 bytes; oom_score_adj 300; " + filepath.Join(s.dir, "sub") + "; bin/web"
	eventually(t, "every run", func() error {
		seen := s.readFile("seen")
		for _, name := range []string{"run", "gate", "watched", "ready", "live", "declared", "version", "check", "ask", "plan", "exec"} {
			if !strings.Contains("\n"+seen, "\n"+name+" is ") {
				return fmt.Errorf("no %s in\n%s", name, seen)
			}
		}
		return nil
	})
	for line := range strings.Lines(s.readFile("seen")) {
		if name, got, _ := strings.Cut(strings.TrimSpace(line), " is "); got != want {
			t.Errorf("%s has\n%s, want\n%s", name, got, want)
		}
	}
}

// deployTestProgram puts the test program into the deploy directory, with the checksum that verifies it: go test leaves the hash
// out of its build ID.
func (s *sandbox) deployTestProgram(name string) {
	s.t.Helper()
	text, err := os.ReadFile(s.self)
	path := filepath.Join(s.dir, "bin", name)
	err = errors.Join(err, os.WriteFile(path, text, 0o755), os.WriteFile(release.SumFilePath(path), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(text), name), 0o644))
	if err != nil {
		s.t.Fatal(err)
	}
}

// planDeploy asks what the deploy of a program that the store has would do.
func (s *sandbox) planDeploy(process string, program []byte) {
	s.t.Helper()
	client, err := control.Connect(s.t.Context(), home.Home(s.homeDir()))
	if err != nil {
		s.t.Fatal(err)
	}
	change := audit.Change{Process: process, To: audit.Release{SHA256: fmt.Sprintf("%x", sha256.Sum256(program))}}
	request := control.RolloutRequest{Entry: audit.Entry{ID: "plan", Kind: audit.KindDeploy, Changes: []audit.Change{change}}, Since: time.Now(), CheckOnly: true}
	if entry, err := client.RunRollout(s.t.Context(), request, func(control.Progress) {}); err != nil || entry.Result != audit.Done {
		s.t.Fatalf("%+v, %v", entry, err)
	}
}

// appendIdentity appends what pgo sets for a process, as this process has it.
func appendIdentity(file, name string) {
	var parts []string
	status, err := os.ReadFile("/proc/self/status")
	exitOnError(err)
	limits, err := os.ReadFile("/proc/self/limits")
	exitOnError(err)
	for _, prefix := range []string{"Uid:", "Gid:", "Groups:", "NoNewPrivs:", "Max open files", "Max core file size"} {
		for line := range strings.Lines(string(status) + string(limits)) {
			if strings.HasPrefix(line, prefix) {
				parts = append(parts, strings.Join(strings.Fields(line), " "))
			}
		}
	}
	adjustment, err := os.ReadFile("/proc/self/oom_score_adj")
	exitOnError(err)
	dir, err := os.Getwd()
	exitOnError(err)
	parts = append(parts, "oom_score_adj "+strings.TrimSpace(string(adjustment)), dir, os.Getenv("LOOKS"))
	appendLine(file, name+" is "+strings.Join(parts, "; "))
}

// openToUsers lets other users run the test program, and reach the sandbox and pgo's sockets.
func (s *sandbox) openToUsers() {
	s.t.Helper()
	errs := []error{os.Chmod(s.socketsDir, 0o755)}
	for dir := s.self; dir != "/"; dir = filepath.Dir(dir) { // the test program is in a closed directory
		info, err := os.Stat(dir)
		if err == nil {
			err = os.Chmod(dir, info.Mode().Perm()|0o055)
		}
		errs = append(errs, err)
	}
	for dir := s.dir; dir != os.TempDir(); dir = filepath.Dir(dir) {
		errs = append(errs, os.Chmod(dir, 0o755))
	}
	if err := errors.Join(errs...); err != nil {
		s.t.Fatal(err)
	}
}
