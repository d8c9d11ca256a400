package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestPipeline runs CI's commands, the Makefile's and .ci's own lines, with a deploy key that is only in CI's environment.
func TestPipeline(t *testing.T) {
	t.Parallel()
	host := newDeployHost(t)
	ci := newPipeline(t, host)

	t.Run("nothing to log in with", func(t *testing.T) {
		for _, missing := range []string{"DEPLOY_KEY", "DEPLOY_KNOWN_HOSTS"} {
			ci.assertFails(t, missing+" is not set", slices.Concat(ci.env, []string{missing + "="}), "make", "deploy", "TO=ci")
		}
	})
	t.Run("an unknown host", func(t *testing.T) {
		env := slices.Concat(ci.env, []string{"HOME=" + t.TempDir(), "DEPLOY_KNOWN_HOSTS=[other.example]:22 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"})
		ci.assertFails(t, "Host key verification failed", env, "make", "deploy", "TO=ci")
	})
	t.Run("a file that is not what was built", func(t *testing.T) {
		beta := filepath.Join(ci.dist, "beta")
		if err := os.WriteFile(beta, buildRelease(t, "crashes"), 0o755); err != nil {
			t.Fatal(err)
		}
		ci.assertFails(t, "beta: FAILED", ci.env, "make", "deploy", "TO=ci")
		if err := os.WriteFile(beta, buildRelease(t, "v2"), 0o644); err != nil { // CI's artifacts lose their mode
			t.Fatal(err)
		}
	})
	host.awaitRelease("v1", deployedServices...)

	assertNoFailures := host.startLoad()
	ci.mustRun("make", "deploy", "TO=ci")
	host.awaitRelease("v2", deployedServices...)

	// gateway returns the URL of a gateway through which all services but one are ready.
	gateway := func(but string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/services/"+but+"/readyz" {
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	if output := ci.mustRun("make", "verify", "TO=ci", "URL="+gateway("none")); !strings.Contains(output, "gamma is ready") {
		t.Errorf("verified: %s", output)
	}
	ci.assertFails(t, "beta is not ready", ci.env, "make", "verify", "TO=ci", "URL="+gateway("beta"))
	ci.mustRun("make", "roll-back", "TO=ci")
	host.awaitRelease("v1", deployedServices...)
	assertNoFailures()
	ci.assertKeyNotStored()
}

// pipeline is a job of CI: a checkout with the files built before, a home, and a key in its environment.
type pipeline struct {
	t               *testing.T
	dir, dist, home string
	env             []string
	key             []byte
}

func newPipeline(t *testing.T, host *deployHost) *pipeline {
	t.Helper()
	p := &pipeline{t: t, dir: t.TempDir(), home: t.TempDir()}
	p.dist = filepath.Join(p.dir, "dist", "linux-"+runtime.GOARCH)
	tools, ssh := t.TempDir(), filepath.Dir(host.sshd.Config)
	write := func(path string, text []byte, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, mode); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) []byte {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	write(filepath.Join(p.dir, "Makefile"), read("../../../Makefile"), 0o644)
	write(filepath.Join(p.dir, ".ci", "with-deploy-key"), read("../../../.ci/with-deploy-key"), 0o755)
	for _, name := range deployedServices {
		write(filepath.Join(p.dir, "services", name, "go.mod"), nil, 0o644)
		write(filepath.Join(p.dist, name), buildRelease(t, "v2"), 0o755)
	}
	if err := os.Symlink(pgoPath, filepath.Join(p.dist, "pgo")); err != nil {
		t.Fatal(err)
	}
	sums := exec.Command("sh", "-c", "sha256sum linux-*/* >SHA256SUMS")
	sums.Dir = filepath.Dir(p.dist)
	if output, err := sums.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	// ssh takes its directory from the user's account, not from HOME. The key comes from the agent alone.
	write(filepath.Join(tools, "config"), fmt.Appendf(nil, "Host ci\n\tHostName 127.0.0.1\n\tPort %d\n\tUser %s\n\tIdentityFile none\n\tStrictHostKeyChecking yes\n\tBatchMode yes\n",
		host.sshd.Port, host.sshd.User), 0o600)
	write(filepath.Join(tools, "ssh"), fmt.Appendf(nil, "#!/bin/sh\nexec /usr/bin/ssh -F %s/config -o UserKnownHostsFile=$HOME/.ssh/known_hosts -o GlobalKnownHostsFile=none \"$@\"\n", tools), 0o755)
	p.key = read(filepath.Join(ssh, "key-ci"))
	p.env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "HOME="+p.home, "XDG_CACHE_HOME="+t.TempDir(), "MAKEFLAGS=",
		"DEPLOY_KEY="+string(p.key), "DEPLOY_KNOWN_HOSTS="+string(read(filepath.Join(ssh, "known_hosts"))))
	return p
}

func (p *pipeline) runWithKey(env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(p.t.Context(), ".ci/with-deploy-key", args...)
	cmd.Dir, cmd.Env = p.dir, env
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func (p *pipeline) mustRun(args ...string) string {
	p.t.Helper()
	output, err := p.runWithKey(p.env, args...)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

func (p *pipeline) assertFails(t *testing.T, want string, env []string, args ...string) {
	t.Helper()
	output, err := p.runWithKey(env, args...)
	if err == nil || !strings.Contains(output, want) {
		t.Errorf("%s: %v, and not %q:\n%s", strings.Join(args, " "), err, want, output)
	}
}

// assertKeyNotStored checks that CI has left the key in no file.
func (p *pipeline) assertKeyNotStored() {
	p.t.Helper()
	err := filepath.WalkDir(p.home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, bytes.Split(p.key, []byte("\n"))[1]) {
			p.t.Errorf("%s has the key", path)
		}
		return err
	})
	if err != nil {
		p.t.Error(err)
	}
}
