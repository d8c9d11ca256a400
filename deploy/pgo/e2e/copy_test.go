package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/sshdtest"
)

// A copier copies a file to the deploy directory over SSH.
type copier struct {
	name    string
	command func(host *sshdtest.Server, from, to string) []string
}

var copiers = []copier{
	{"scp", func(host *sshdtest.Server, from, to string) []string {
		return []string{"scp", "-F", host.Config, from, sshdtest.Host + ":" + to}
	}},
	{"scp with its old protocol", func(host *sshdtest.Server, from, to string) []string {
		return []string{"scp", "-O", "-F", host.Config, from, sshdtest.Host + ":" + to}
	}},
	{"sftp", func(host *sshdtest.Server, from, to string) []string {
		return []string{"sh", "-c", `echo put "$1" "$2" | sftp -b - -F "$3" "$4"`, "sftp", from, to, host.Config, sshdtest.Host}
	}},
	newRsync("rsync", "-az"),
	newRsync("rsync --inplace", "-az", "--inplace"),
	{"cat", func(host *sshdtest.Server, from, to string) []string {
		return []string{"sh", "-c", `ssh -F "$1" "$2" "cat > $3" < "$4"`, "cat", host.Config, sshdtest.Host, to, from}
	}},
}

func newRsync(name string, options ...string) copier {
	return copier{name, func(host *sshdtest.Server, from, to string) []string {
		return append(append([]string{"rsync"}, options...), "-e", "ssh -F "+host.Config, from, sshdtest.Host+":"+to)
	}}
}

// copyFile copies the file, as a person or CI would.
func (c copier) copyFile(ctx context.Context, host *sshdtest.Server, from, to string) error {
	args := c.command(host, from, to)
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, err, bytes.TrimSpace(out))
	}
	return nil
}

// writeUpload writes a program to where CI would have built it, age old. Ages must differ: rsync takes two files of the same
// size and second for the same file.
func writeUpload(t *testing.T, name string, age time.Duration) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web")
	if err := os.WriteFile(path, buildRelease(t, name), 0o755); err != nil {
		t.Fatal(err)
	}
	built := time.Now().Add(-age)
	if err := os.Chtimes(path, built, built); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program copied over the running one is deployed, whatever copies it: it answers, and no request fails.
func TestCopied(t *testing.T) {
	t.Parallel()
	host := sshdtest.Start(t)
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	s.awaitBuild("v1")
	builds := []string{"v2", "v3"}
	for n, c := range copiers {
		t.Run(c.name, func(t *testing.T) {
			name := builds[n%2]
			from := writeUpload(t, name, time.Hour-time.Duration(n)*time.Minute)
			l := startLoad(t, s.webURL())
			if err := c.copyFile(t.Context(), host, from, s.deployedPath()); err != nil {
				t.Fatal(err)
			}
			copied := time.Now()
			s.awaitBuild(name)
			t.Logf("answered by the new one %s after it was copied", time.Since(copied))
			if answered := l.assertNoFailures(t); answered != 2 {
				t.Errorf("%d builds answered: %v", answered, l.pids)
			}
		})
	}
}

// A connection that is lost in the middle of a copy changes nothing but the file: the process reports that the file is not
// deployed until it is whole again, and the next copy is deployed.
func TestCopyLost(t *testing.T) {
	t.Parallel()
	host := sshdtest.Start(t)
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	before := s.awaitBuild("v1")
	v1, from := buildRelease(t, "v1"), writeUpload(t, "v2", time.Hour)
	l := startLoad(t, s.webURL())
	// rsync's delta is too short to be interrupted, so here it sends the whole file.
	tests := []struct {
		copier copier
		over   bool // the tool overwrites the file instead of replacing it
	}{
		{copiers[0], true},
		{copiers[1], true},
		{copiers[2], true},
		{newRsync("rsync", "-aW"), false},
		{newRsync("rsync --inplace", "-aW", "--inplace"), true},
		{copiers[len(copiers)-1], true},
	}
	for _, test := range tests {
		t.Run(test.copier.name, func(t *testing.T) {
			s.deployProgram(v1) // the file that is there before the copy
			eventually(t, "nothing is amiss", func() error {
				if p := s.listByName()["web"]; p.DeployFailure != "" {
					return errors.New(p.DeployFailure)
				}
				return nil
			})
			host.CutAfter(1_000_000)
			if err := test.copier.copyFile(t.Context(), host, from, s.deployedPath()); err == nil {
				t.Fatal("the connection was not lost")
			}
			if test.over {
				eventually(t, "it is reported that the file is not whole", func() error {
					// Which of the two depends on whether the tool truncates the file first; it differs from version to version.
					if p := s.listByName()["web"]; !strings.Contains(p.DeployFailure, "incomplete") && !strings.Contains(p.DeployFailure, "mixed") {
						return fmt.Errorf("%q", p.DeployFailure)
					}
					return nil
				})
			} else if is, err := os.ReadFile(s.deployedPath()); err != nil || !bytes.Equal(is, v1) {
				t.Errorf("the file is another one: %v", err)
			}
			if p := s.listByName()["web"]; p.PID != before.PID || !p.Ready {
				t.Errorf("web: %+v", p)
			}
		})
	}
	if err := copiers[0].copyFile(t.Context(), host, from, s.deployedPath()); err != nil {
		t.Fatal(err)
	}
	s.awaitBuild("v2")
	if answered := l.assertNoFailures(t); answered != 2 {
		t.Errorf("%d builds answered: %v", answered, l.pids)
	}
}
