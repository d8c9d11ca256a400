package systemd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// Machine deploys to the machine that it runs on, where systemd runs the processes of a process file by the units that
// Export returns. Its caller holds the deploy lock of the home.
type Machine struct {
	Home      home.Home
	File      processfile.File
	Systemctl []string // the command that restarts units, as systemctl or sudo -n systemctl
	Environ   []string // this process's environment: programs that are asked get it below that of the process file
	EnvDir    string   // the directory of NAME.env, with the values that units must not hold: /etc/pgo
	Booting   bool     // the machine boots: no unit runs yet, and systemd starts them later

	Runner command.Runner // runs gates and new programs
}

// Store returns the release store of the home.
func (m *Machine) Store() *release.Store { return &release.Store{Dir: m.Home.ReleaseDir()} }

// FindProcess returns the process of a name, if it can be deployed.
func (m *Machine) FindProcess(name string) (processfile.Process, bool) {
	i := slices.IndexFunc(m.File.Processes, func(p processfile.Process) bool { return p.Name == name && p.Watch.Enabled })
	if i < 0 {
		return processfile.Process{}, false
	}
	return m.File.Processes[i], true
}

// ListDeployables returns the processes that can be deployed, each with its intact releases, the current one first.
func (m *Machine) ListDeployables(context.Context) ([]control.Deployable, error) {
	found := []control.Deployable{}
	for _, p := range m.File.Processes {
		if !p.Watch.Enabled {
			continue
		}
		d := control.Deployable{Name: p.Name, File: p.Command, Releases: []string{}, After: p.After}
		releases, err := m.Store().List(p.Name)
		if err != nil {
			return nil, err
		}
		if d.Current, err = m.CurrentRelease(p, releases); err != nil {
			return nil, err
		}
		for _, r := range releases {
			if r.Missing || r.Damaged != "" {
				continue
			}
			if r.Record.Verification.SHA256 == d.Current.SHA256 {
				d.Releases = slices.Insert(d.Releases, 0, r.Record.Verification.SHA256)
			} else {
				d.Releases = append(d.Releases, r.Record.Verification.SHA256)
			}
		}
		found = append(found, d)
	}
	return found, nil
}

// CurrentRelease returns the release that the process's file holds, which its unit starts. Its version comes from
// releases. It is the zero Release where the file is missing.
func (m *Machine) CurrentRelease(p processfile.Process, releases []release.Release) (audit.Release, error) {
	sum, err := HashFile(p.Command)
	if errors.Is(err, os.ErrNotExist) {
		return audit.Release{}, nil
	}
	if err != nil {
		return audit.Release{}, fmt.Errorf("read the program of %s: %w", p.Name, err)
	}
	current := audit.Release{SHA256: sum}
	if i := slices.IndexFunc(releases, func(r release.Release) bool { return r.Record.Verification.SHA256 == sum }); i >= 0 {
		current.Version = releases[i].Record.Version
	}
	return current, nil
}

// HashFile returns the SHA-256 of a file's content in hexadecimal digits, which names a release.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Environment returns the environment of a process: that of this process, overridden by the process file and by the
// unit's own file in EnvDir, as far as that is readable.
func (m *Machine) Environment(p processfile.Process) map[string]string {
	env := map[string]string{}
	for _, e := range m.Environ {
		key, value, _ := strings.Cut(e, "=")
		env[key] = value
	}
	text, _ := os.ReadFile(filepath.Join(m.EnvDir, p.Name+".env"))
	maps.Copy(env, p.Env)
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			env[key] = strings.Trim(value, `"'`)
		}
	}
	env["PGO_HOME"] = string(m.Home)
	return env
}

// WorkDir returns the directory that a process runs in.
func (m *Machine) WorkDir(p processfile.Process) string {
	if p.Dir != "" {
		return p.Dir
	}
	return m.File.Root
}
