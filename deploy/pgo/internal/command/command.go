// Package command finds the programs of the process file, and builds the commands that run them beside their processes.
package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/shim"
)

// FindCommand returns the path of a command: a bare name is looked up in the PATH of the process. Its error is not
// retryable.
func FindCommand(name string, env map[string]string) (string, error) {
	if strings.Contains(name, "/") {
		return name, CheckExecutable(name)
	}
	for _, dir := range filepath.SplitList(env["PATH"]) {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && CheckExecutable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("command %s: not found in PATH", name)
}

// CheckExecutable returns an error if a path is not an executable file.
func CheckExecutable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("command %s: no such file", path)
	case err != nil:
		return fmt.Errorf("command: %w", err)
	case info.IsDir() || unix.Access(path, unix.X_OK) != nil:
		return fmt.Errorf("command %s: not an executable file", path)
	}
	return nil
}

// LookupUser returns the user that a process runs as; nil is pgo's own user.
func LookupUser(name, group string) (*shim.User, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("user %s: there is none of this name or number", name)
		}
	}
	as := &shim.User{}
	gid := u.Gid
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			if g, err = user.LookupGroupId(group); err != nil {
				return nil, fmt.Errorf("group %s: there is none of this name or number", group)
			}
		}
		gid = g.Gid
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("user %s: look up its groups: %w", name, err)
	}
	if as.UID, err = strconv.Atoi(u.Uid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if as.GID, err = strconv.Atoi(gid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	for _, g := range groups {
		if n, err := strconv.Atoi(g); err == nil {
			as.Groups = append(as.Groups, n)
		}
	}
	return as, nil
}

// MergeEnv returns the variables of a process, without those of one start of it.
func MergeEnv(base map[string]string, spec processfile.Process) map[string]string {
	env := maps.Clone(base)
	maps.Copy(env, spec.Env)
	return env
}

// ListEnv returns an environment as sorted KEY=value.
func ListEnv(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for key, value := range env {
		out = append(out, key+"="+value)
	}
	slices.Sort(out)
	return out
}

// ShimSettings returns what the shim sets.
func ShimSettings(l processfile.Limits, as *shim.User) shim.Settings {
	s := shim.Settings{Limits: map[int]uint64{}, Nice: l.Nice, OOMScoreAdj: l.OOMScoreAdj, NoNewPrivileges: l.NoNewPrivileges, User: as}
	for resource, limit := range map[int]*int{unix.RLIMIT_NOFILE: l.Files, unix.RLIMIT_NPROC: l.Processes, unix.RLIMIT_CORE: l.Core} {
		if limit != nil {
			s.Limits[resource] = uint64(*limit)
		}
	}
	return s
}
