package supervise

import (
	"path/filepath"

	"pgo/deploy/pgo/internal/audit"
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
