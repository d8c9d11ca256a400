package supervise

import (
	"errors"
	"os"
	"path/filepath"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// Program is a release in the store, which a watched process runs whatever happens to the deployed file. The zero value is
// for processes that are not watched.
type Program struct{ SHA256, Path, Version string }

// ProgramOf returns the program of a release.
func ProgramOf(r release.Release) Program {
	return Program{r.Record.Verification.SHA256, r.Path, r.Record.Version}
}

// String returns the short SHA-256 and the version.
func (c Program) String() string {
	if c.Version == "" {
		return release.ShortSum(c.SHA256)
	}
	return release.ShortSum(c.SHA256) + " (" + c.Version + ")"
}

// Release returns the release as the audit log has it.
func (c Program) Release() audit.Release { return audit.Release{SHA256: c.SHA256, Version: c.Version} }

// Releases returns the release store of a process.
func (h *Deps) Releases(spec processfile.Process) *release.Store {
	return &release.Store{Dir: h.Home.ReleaseDir(), Keep: spec.Watch.Keep, MaxBytes: spec.Watch.MaxSize, Log: h.Log}
}

// chosenLink is the name, in the directory of a process's releases, of a link to the chosen release. A gate gets its path:
// what the gate reads later, as a specification, is then of the program that runs then.
const chosenLink = "chosen"

// linkChosen makes the link lead to a release.
func (p *Process) linkChosen(c Program) {
	link := filepath.Join(p.Deps.Home.ReleaseDir(), p.Name, chosenLink)
	half := link + ".new"
	_ = os.Remove(half) // of a manager that was killed
	if err := errors.Join(os.Symlink(c.SHA256, half), os.Rename(half, link)); err != nil {
		p.Deps.Log.Error("link a release", "process", p.Name, "error", err)
	}
}

// VisiblePath returns the path of the link if it leads to the release, else the path of the release.
func (p *Process) VisiblePath(c Program) string {
	link := filepath.Join(p.Deps.Home.ReleaseDir(), p.Name, chosenLink)
	if to, err := os.Readlink(link); err != nil || to != c.SHA256 {
		return c.Path
	}
	return link
}

// programPath returns the path of the program that the child runs.
func (k *Child) programPath(env map[string]string) (string, error) {
	if k.Program.Path != "" {
		return k.Program.Path, command.CheckExecutable(k.Program.Path)
	}
	return command.FindCommand(k.Spec.Command, env)
}

// argv0 returns the name under which it runs: people look for the file that they have deployed.
func (k *Child) argv0(program string) string {
	if k.Program.Path != "" {
		return k.Spec.Command
	}
	return program
}

// SubstituteDeployed returns a gate's environment in which the path of a deployed file is replaced by that of the release
// that runs: the file itself may be half an upload.
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
