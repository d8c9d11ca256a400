package supervise

import (
	"errors"
	"os"
	"path/filepath"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// Program is a program in the store, which is what a watched process runs: whatever happens to the file it was copied
// from. The zero value is for processes that are not watched.
type Program struct{ SHA256, Path, Version string }

func ProgramOf(r release.Release) Program {
	return Program{r.Record.Verification.SHA256, r.Path, r.Record.Version}
}

// String is how people are told of a release.
func (c Program) String() string {
	if c.Version == "" {
		return release.ShortSum(c.SHA256)
	}
	return release.ShortSum(c.SHA256) + " (" + c.Version + ")"
}

// Release is how the audit log names it.
func (c Program) Release() audit.Release { return audit.Release{SHA256: c.SHA256, Version: c.Version} }

// Releases is where the releases of a process are.
func (h *Deps) Releases(spec processfile.Process) *release.Store {
	return &release.Store{Dir: h.Home.ReleaseDir(), Keep: spec.Watch.Keep, MaxBytes: spec.Watch.MaxSize, Log: h.Log}
}

// chosenLink is what a gate is shown: in the folder of a process's releases, a link to the one that is run. What a gate
// reads later, as a specification, is then of the program that runs then.
const chosenLink = "chosen"

// linkChosen has the link lead to the release.
func (p *Process) linkChosen(c Program) {
	link := filepath.Join(p.Deps.Home.ReleaseDir(), p.Name, chosenLink)
	half := link + ".new"
	_ = os.Remove(half) // of a manager that was killed
	if err := errors.Join(os.Symlink(c.SHA256, half), os.Rename(half, link)); err != nil {
		p.Deps.Log.Error("link a release", "process", p.Name, "error", err)
	}
}

// VisiblePath is the link, where it leads to the release, else the release.
func (p *Process) VisiblePath(c Program) string {
	link := filepath.Join(p.Deps.Home.ReleaseDir(), p.Name, chosenLink)
	if to, err := os.Readlink(link); err != nil || to != c.SHA256 {
		return c.Path
	}
	return link
}

// programPath is the file that the child runs.
func (k *Child) programPath(env map[string]string) (string, error) {
	if k.Program.Path != "" {
		return k.Program.Path, CheckExecutable(k.Program.Path)
	}
	return FindCommand(k.Spec.Command, env)
}

// argv0 is the name under which it runs: people look for the one that they have deployed.
func (k *Child) argv0(program string) string {
	if k.Program.Path != "" {
		return k.Spec.Command
	}
	return program
}

// SubstituteDeployed is a gate's environment in which each value that names a deployed file names the copy that runs: the file
// itself may be half an upload.
func SubstituteDeployed(env map[string]string, dir string, deployed map[string]string) map[string]string {
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
