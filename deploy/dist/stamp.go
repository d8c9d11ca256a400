package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// stamp identifies a program. It names the last commit that changed what the program is built from, not the one
// that is checked out: else every commit would make every program another one.
type stamp struct {
	Version, Commit string
	Time            time.Time
}

func (d dist) readStamp(ctx context.Context, p program) (stamp, error) {
	specs, err := d.listInputs(ctx, p)
	if err != nil {
		return stamp{}, err
	}
	text, err := d.runGit(ctx, append([]string{"log", "-1", "--format=%H %ct", "--"}, specs...)...)
	if err != nil {
		return stamp{}, err
	}
	commit, seconds, ok := strings.Cut(text, " ")
	if !ok {
		return stamp{}, fmt.Errorf("%s is in no commit yet", p.Dir)
	}
	if d.Epoch != "" {
		seconds = d.Epoch
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return stamp{}, fmt.Errorf("the time of the build: %w", err)
	}
	s := stamp{Version: d.Version, Commit: commit, Time: time.Unix(unix, 0).UTC()}
	if s.Version == "" {
		s.Version = s.Time.Format("20060102") + "-" + commit[:12]
	}
	changed, err := d.runGit(ctx, append([]string{"status", "--porcelain", "--untracked-files=all", "--"}, specs...)...)
	if err != nil {
		return stamp{}, err
	}
	if changed != "" {
		s.Version += "-dirty"
	}
	return s, nil
}

// requireFullHistory refuses a history that was cut off: in it every file seems to come from its first commit.
func (d dist) requireFullHistory(ctx context.Context) error {
	shallow, err := d.runGit(ctx, "rev-parse", "--is-shallow-repository")
	if err == nil && shallow == "true" {
		err = errors.New("the clone is shallow, so it is not known what changed when: git fetch --unshallow (in CI: fetch the whole history)")
	}
	return err
}

// listInputs returns, in git's notation, all files of this repository that the program is built from, also those that are no
// longer there. Tests are not among them. What comes from elsewhere is pinned by go.mod and go.sum.
func (d dist) listInputs(ctx context.Context, p program) ([]string, error) {
	module, err := d.findModule(p)
	if err != nil {
		return nil, err
	}
	list := d.goCommand(ctx, "amd64", p, "list", "-deps", "-json=Dir,Standard,EmbedPatterns", ".")
	text, err := runCommand(list)
	if err != nil {
		return nil, err
	}
	root, err := filepath.EvalSymlinks(d.Root)
	if err != nil {
		return nil, err
	}
	specs := []string{":(top,exclude,glob)**/*_test.go", pathspec(module, "go.mod"), pathspec(module, "go.sum")}
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		var pkg struct {
			Dir           string
			Standard      bool
			EmbedPatterns []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return specs, nil
		} else if err != nil {
			return nil, fmt.Errorf("what go list says: %w", err)
		}
		dir, err := filepath.EvalSymlinks(pkg.Dir)
		if err != nil {
			return nil, err
		}
		dir, err = filepath.Rel(root, dir)
		if pkg.Standard || err != nil || !filepath.IsLocal(dir) {
			continue
		}
		specs = append(specs, pathspec(dir, "*.go"), pathspec(dir, "*.s"))
		for _, pattern := range pkg.EmbedPatterns {
			specs = append(specs, pathspec(dir, strings.TrimPrefix(pattern, "all:")))
		}
	}
}

func pathspec(dir, pattern string) string {
	return ":(top,glob)" + filepath.ToSlash(filepath.Join(dir, pattern))
}

// findModule returns the directory of the program's go.mod.
func (d dist) findModule(p program) (string, error) {
	for dir := p.Dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(d.Root, dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == "." || dir == "/" {
			return "", fmt.Errorf("%s is in no module", p.Dir)
		}
	}
}

func (d dist) runGit(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = d.Root
	return runCommand(cmd)
}

// runCommand returns what cmd printed; its error has what cmd complained of.
func runCommand(cmd *exec.Cmd) (string, error) {
	var complaint strings.Builder
	cmd.Stderr = &complaint
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(cmd.Path), cmd.Args[1], err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(string(text)), nil
}
