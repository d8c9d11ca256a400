package manager

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
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
func (i *instance) learnVersion(k *child) {
	if k.spec.Kind == processfile.KindInfra || k.spec.Kind == processfile.KindOneShot {
		return
	}
	if k.prog.version != "" {
		k.version.Store(&k.prog.version) // it was asked before it ran
		if k.is().Role == current {
			i.showVersion(k)
		}
		return
	}
	env := surroundings(i.process.host.env, k.spec)
	program, err := k.program(env)
	if err != nil {
		return
	}
	info, err := os.Stat(program)
	if err != nil {
		return
	}
	i.process.versions.mu.Lock()
	defer i.process.versions.mu.Unlock()
	if i.process.versions.asked == nil || !os.SameFile(info, i.process.versions.asked) || info.ModTime() != i.process.versions.asked.ModTime() {
		i.process.versions.asked, i.process.versions.version = info, ask(context.Background(), program, k.dir(), list(env))
	}
	k.version.Store(&i.process.versions.version)
	if k.is().Role == current {
		i.showVersion(k)
	}
}

// showVersion puts what is known of a child's version on the board.
func (i *instance) showVersion(k *child) {
	version := k.version.Load()
	if version == nil {
		return // known soon
	}
	i.process.host.board.Update(i.slot, func(r *state.Record) {
		if r.Process.PID == k.Child.PID {
			r.Process.Version = *version
		}
	})
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
