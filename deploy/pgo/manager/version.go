package manager

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"time"

	"pgo/deploy/pgo/processfile"
)

// versionTimeout bounds the question for a program's version.
const versionTimeout = 5 * time.Second

// versionCache remembers the answer of a program as long as its file is the same.
type versionCache struct {
	mu      sync.Mutex
	asked   os.FileInfo
	version string
}

// learnVersion asks the program for its version, as every service and gate of pgo answers `version --json`. One that
// does not is left without.
func (p *process) learnVersion(ctx context.Context) {
	if p.spec.Kind == processfile.Infra {
		return
	}
	env := p.environment()
	for _, key := range []string{"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		delete(env, key)
	}
	program, err := find(p.spec.Command, env)
	if err != nil {
		return
	}
	info, err := os.Stat(program)
	if err != nil {
		return
	}
	p.versions.mu.Lock()
	defer p.versions.mu.Unlock()
	if p.versions.asked == nil || !os.SameFile(info, p.versions.asked) || info.ModTime() != p.versions.asked.ModTime() {
		p.versions.asked, p.versions.version = info, ask(ctx, program, p.dir, list(env))
	}
	p.board.note(p.spec.Name, func(r *record) { r.Version = p.versions.version })
}

func ask(ctx context.Context, program, dir string, env []string) string {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "version", "--json")
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, env, time.Second
	answer, err := cmd.Output()
	if err != nil {
		return ""
	}
	var said struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(answer, &said) != nil {
		return ""
	}
	return said.Version
}
