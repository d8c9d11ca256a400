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

// builds are the programs that are deployed, each built once.
var builds struct {
	sync.Mutex
	made map[string][]byte
}

// build returns a program of testdata/release.
func build(t *testing.T, name string) []byte {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if text, ok := builds.made[name]; ok {
		return text
	}
	goarch := runtime.GOARCH
	if name == "foreign" {
		goarch = map[string]string{"amd64": "arm64", "arm64": "amd64"}[goarch]
	}
	out := filepath.Join(t.TempDir(), "release")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.build="+name, "-o", out, "./testdata/release")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=", "GOARCH="+goarch)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, said)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if builds.made == nil {
		builds.made = map[string][]byte{}
	}
	builds.made[name] = text
	return text
}

const watched = `
  gate: {kind: gate, command: ACTOR, args: [actor, ready], ask: [actor, "later=DIR/later", "unless=DIR/forbidden", "saw=DIR/seen", exit=0], ready: {notify: true}, env: {LOOKS: bin/web}}
  web: {command: bin/web, after: [gate], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: 10s}, restart: {first_wait: 10ms}, watch: {probation: 3s, keep: 3}}
`

// newWatched is a stack of which web was deployed.
func newWatched(t *testing.T, program string) *stack {
	t.Helper()
	s := newStack(t, watched)
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.deploy(build(t, program))
	return s
}

func (s *stack) deployed() string { return filepath.Join(s.dir, "bin", "web") }

// deploy renames a file into place.
func (s *stack) deploy(text []byte) {
	s.Helper()
	next := s.deployed() + ".next"
	if err := errors.Join(os.WriteFile(next, text, 0o755), os.Rename(next, s.deployed())); err != nil {
		s.Fatal(err)
	}
}

// over writes over the deployed file, by pieces.
func (s *stack) over(text []byte, flags int, pieces int, pause time.Duration) {
	s.Helper()
	f, err := os.OpenFile(s.deployed(), os.O_WRONLY|flags, 0)
	if err != nil {
		s.Fatal(err) // ETXTBSY, where it were run
	}
	defer f.Close()
	for i := range pieces {
		if _, err := f.Write(text[i*len(text)/pieces : (i+1)*len(text)/pieces]); err != nil {
			s.Fatal(err)
		}
		time.Sleep(pause)
	}
	if err := f.Truncate(int64(len(text))); err != nil {
		s.Fatal(err)
	}
}

func (s *stack) url() string { return "http://" + s.list()["web"].Listeners["http"] }

// answers waits until the build answers, and nothing is under way.
func (s *stack) answers(name string) control.Process {
	s.Helper()
	var p control.Process
	url := s.url()
	eventually(s.T, name+" answers", func() error {
		body, err := get(url)
		p = s.list()["web"]
		if err != nil || body != name || !p.Ready || p.ReloadPending || p.Version != name {
			return fmt.Errorf("%q %w, %+v", body, err, p)
		}
		return nil
	})
	return p
}

// refusal waits until it is reported that what was deployed is not taken.
func (s *stack) refusal(says string) {
	s.Helper()
	eventually(s.T, "it is reported: "+says, func() error {
		if p := s.list()["web"]; !strings.Contains(p.DeployFailure, says) {
			return fmt.Errorf("%q", p.DeployFailure)
		}
		return nil
	})
}
