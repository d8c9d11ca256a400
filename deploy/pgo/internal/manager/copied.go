package manager

import (
	"errors"
	"os"
	"path/filepath"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// copied is a program in the store, which is what a watched process runs: whatever happens to the file it was copied
// from. The zero value is for processes that are not watched.
type copied struct{ sum, path, version string }

func copyOf(r release.Release) copied {
	return copied{r.Record.Verification.SHA256, r.Path, r.Record.Version}
}

// String is how people are told of a release.
func (c copied) String() string {
	if c.version == "" {
		return c.sum[:min(12, len(c.sum))]
	}
	return c.sum[:min(12, len(c.sum))] + " (" + c.version + ")"
}

// store is where the releases of a process are.
func (h *host) store(spec processfile.Process) *release.Store {
	return &release.Store{Dir: h.home.ReleaseDir(), Keep: spec.Watch.Keep, MaxBytes: spec.Watch.MaxSize, Log: h.log}
}

// chosenLink is what a gate is shown: in the folder of a process's releases, a link to the one that is run. What a gate
// reads later, as a specification, is then of the program that runs then.
const chosenLink = "chosen"

// point has the link lead to the release.
func (p *process) point(c copied) {
	link := filepath.Join(p.host.home.ReleaseDir(), p.name, chosenLink)
	half := link + ".new"
	_ = os.Remove(half) // of a manager that was killed
	if err := errors.Join(os.Symlink(c.sum, half), os.Rename(half, link)); err != nil {
		p.host.log.Error("link a release", "process", p.name, "error", err)
	}
}

// shown is the link, where it leads to the release, else the release.
func (p *process) shown(c copied) string {
	link := filepath.Join(p.host.home.ReleaseDir(), p.name, chosenLink)
	if to, err := os.Readlink(link); err != nil || to != c.sum {
		return c.path
	}
	return link
}

// program is the file that the child runs.
func (k *child) program(env map[string]string) (string, error) {
	if k.prog.path != "" {
		return k.prog.path, executable(k.prog.path)
	}
	return find(k.spec.Command, env)
}

// called is the name under which it runs: people look for the one that they have deployed.
func (k *child) called(program string) string {
	if k.prog.path != "" {
		return k.spec.Command
	}
	return program
}

// looksAt is a gate's environment in which each value that names a deployed file names the copy that runs: the file
// itself may be half an upload.
func looksAt(env map[string]string, dir string, deployed map[string]string) map[string]string {
	for key, value := range env {
		path := value
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if copy := deployed[filepath.Clean(path)]; value != "" && copy != "" {
			env[key] = copy
		}
	}
	return env
}
