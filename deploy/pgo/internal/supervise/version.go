package supervise

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// versionTimeout bounds the question for a program's version.
const versionTimeout = 5 * time.Second

// versionCache remembers the version of a program as long as its file is the same.
type versionCache struct {
	mu      sync.Mutex
	file    os.FileInfo
	version string
}

// learnVersion asks the program for its version, as every service and gate of pgo answers `version --json`. A program that
// does not answer has none.
func (i *Instance) learnVersion(k *Child) {
	if k.Spec.Kind == processfile.KindInfra || k.Spec.Kind == processfile.KindOneShot {
		return
	}
	if k.Program.Version != "" {
		k.version.Store(&k.Program.Version) // it was asked before it ran
		if k.currentState().Role == roleCurrent {
			i.publishVersion(k)
		}
		return
	}
	env := command.MergeEnv(i.Process.Deps.Env, k.Spec)
	program, err := k.programPath(env)
	if err != nil {
		return
	}
	info, err := os.Stat(program)
	if err != nil {
		return
	}
	i.Process.versions.mu.Lock()
	defer i.Process.versions.mu.Unlock()
	if i.Process.versions.file == nil || !os.SameFile(info, i.Process.versions.file) || info.ModTime() != i.Process.versions.file.ModTime() {
		i.Process.versions.file, i.Process.versions.version = info, QueryVersion(context.Background(), command.Run{Process: k.Spec, Program: program, Dir: k.Dir(), Env: command.ListEnv(env)})
	}
	k.version.Store(&i.Process.versions.version)
	if k.currentState().Role == roleCurrent {
		i.publishVersion(k)
	}
}

// publishVersion publishes a child's version, if it is known.
func (i *Instance) publishVersion(k *Child) {
	version := k.version.Load()
	if version == nil {
		return // known soon
	}
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
		if r.Process.PID == k.Handle.PID {
			r.Process.Version = *version
		}
	})
}

// QueryVersion runs `version --json` with the settings of run and returns the version, or "" if the program does not answer.
func QueryVersion(ctx context.Context, run command.Run) string {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	run.Args = []string{"version", "--json"}
	cmd, err := command.Build(ctx, run)
	if err != nil {
		return ""
	}
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
