package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// versionTimeout limits how long a program may take to print its version.
const versionTimeout = 5 * time.Second

// maxVersion is the maximum length of a version in bytes.
const maxVersion = 100

// versionCache remembers the version of a process's program as long as its file, and how it is asked, are the same.
type versionCache struct {
	mu      sync.Mutex // held while a program is asked: the instances of a process ask it once
	file    os.FileInfo
	args    []string
	version string
}

// find returns the version of the file that the child runs.
func (c *versionCache) find(k *Child) (string, error) {
	env := command.MergeEnv(k.deps.Env, k.Spec)
	program, err := k.programPath(env)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(program)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil && os.SameFile(info, c.file) && info.ModTime().Equal(c.file.ModTime()) && slices.Equal(c.args, k.Spec.VersionArgs) {
		return c.version, nil
	}
	version := ""
	switch {
	case len(k.Spec.VersionArgs) > 0:
		ctx, stop := k.untilExit(context.Background())
		defer stop()
		release, err := k.deps.starts.reserve(descriptorsOfQuery)
		if err != nil {
			return "", err // it runs, and its version stays unknown
		}
		defer release()
		run := command.Run{Process: k.Spec, Program: program, Args: k.Spec.VersionArgs, Dir: k.Dir(), Env: command.ListEnv(env)}
		version = QueryVersion(ctx, k.deps.Runner, run)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	case k.Spec.Kind == processfile.KindService, k.Spec.Kind == processfile.KindGate: // the program of infra is of others: its command may be a wrapper
		version = release.ReadVersion(program)
	}
	c.file, c.args, c.version = info, k.Spec.VersionArgs, version
	return version, nil
}

// QueryVersion runs a program that prints its version, as JSON with the key version or as a line of text. It returns "" if the
// program fails.
func QueryVersion(ctx context.Context, runner *command.Runner, run command.Run) string {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	output := &command.Output{}
	if runner.Run(ctx, run, output, nil) != nil {
		return ""
	}
	return parseVersion(output.Bytes())
}

// parseVersion returns the version in what a program has printed: the key version of a JSON object, else the first line.
func parseVersion(output []byte) string {
	text := bytes.TrimSpace(output)
	var object struct {
		Version string `json:"version"`
	}
	if bytes.HasPrefix(text, []byte("{")) {
		if json.Unmarshal(text, &object) != nil {
			return ""
		}
		return cutVersion(object.Version)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return cutVersion(strings.TrimSpace(line))
}

func cutVersion(version string) string {
	if len(version) > maxVersion {
		version = version[:maxVersion]
	}
	return strings.ToValidUTF8(version, "?")
}
