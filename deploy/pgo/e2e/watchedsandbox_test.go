package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
)

// releaseBuilds has the programs to deploy, each built once.
var releaseBuilds struct {
	sync.Mutex
	made map[string][]byte
}

// buildRelease returns the program of testdata/release with this build's name, which decides how it behaves.
func buildRelease(t *testing.T, name string) []byte {
	t.Helper()
	releaseBuilds.Lock()
	defer releaseBuilds.Unlock()
	if text, ok := releaseBuilds.made[name]; ok {
		return text
	}
	goarch := runtime.GOARCH
	if name == "foreign" {
		goarch = map[string]string{"amd64": "arm64", "arm64": "amd64"}[goarch]
	}
	out := filepath.Join(t.TempDir(), "release")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.build="+name, "-o", out, "./testdata/release")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=", "GOARCH="+goarch)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, output)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if releaseBuilds.made == nil {
		releaseBuilds.made = map[string][]byte{}
	}
	releaseBuilds.made[name] = text
	return text
}

const watchedProcessFile = `
  gate: {kind: gate, command: ACTOR, args: [actor, ready], ask: [actor, "later=DIR/later", "unless=DIR/forbidden", "saw=DIR/seen", exit=0], ready: {notify: true}, env: {LOOKS: bin/web}}
  web: {command: bin/web, after: [gate], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 3s, keep: 3}}
`

// newWatchedSandbox returns a sandbox in which a build of web is in the deploy directory.
func newWatchedSandbox(t *testing.T, program string) *sandbox {
	t.Helper()
	s := newSandbox(t, watchedProcessFile)
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.deployProgram(buildRelease(t, program))
	return s
}

func (s *sandbox) deployedPath() string { return filepath.Join(s.dir, "bin", "web") }

// deployProgram renames a file into place.
func (s *sandbox) deployProgram(text []byte) {
	s.t.Helper()
	next := s.deployedPath() + ".next"
	if err := errors.Join(os.WriteFile(next, text, 0o755), os.Rename(next, s.deployedPath())); err != nil {
		s.t.Fatal(err)
	}
}

// overwriteProgram overwrites the deployed file, piece by piece.
func (s *sandbox) overwriteProgram(text []byte, flags int, pieces int, pause time.Duration) {
	s.t.Helper()
	f, err := os.OpenFile(s.deployedPath(), os.O_WRONLY|flags, 0)
	if err != nil {
		s.t.Fatal(err) // ETXTBSY if it were running
	}
	defer f.Close()
	for i := range pieces {
		if _, err := f.Write(text[i*len(text)/pieces : (i+1)*len(text)/pieces]); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(pause)
	}
	if err := f.Truncate(int64(len(text))); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) webURL() string { return "http://" + s.listByName()["web"].Listeners["http"] }

// awaitBuild waits until the build answers, and nothing is under way.
func (s *sandbox) awaitBuild(name string) control.Process {
	s.t.Helper()
	var p control.Process
	url := s.webURL()
	eventually(s.t, name+" answers", func() error {
		body, err := getURL(url)
		p = s.listByName()["web"]
		if err != nil || body != name || !p.Ready || p.ReloadPending || p.Version != name {
			return fmt.Errorf("%q %w, %+v", body, err, p)
		}
		return nil
	})
	return p
}

// awaitDeployFailure waits until the process reports this reason why its last deploy failed.
func (s *sandbox) awaitDeployFailure(want string) {
	s.t.Helper()
	eventually(s.t, "it is reported: "+want, func() error {
		if p := s.listByName()["web"]; !strings.Contains(p.DeployFailure, want) {
			return fmt.Errorf("%q", p.DeployFailure)
		}
		return nil
	})
}
