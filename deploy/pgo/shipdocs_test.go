package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/sshdtest"
)

// The lines of docs/deploy.md that lead from a bare host to the first deploy.
func TestDeployDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```sh\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/deploy.md has no lines to run")
	}
	host := &target{stack: newStack(t, shipped)}
	process, err := os.ReadFile(filepath.Join(host.dir, "configs", "pgo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(host.dir, "configs")); err != nil { // the host is bare
		t.Fatal(err)
	}
	host.sshd = sshdtest.Start(t, "PGO_TEST_AS=pgo", "XDG_RUNTIME_DIR="+host.sockets)

	// The checkout: what `make dist` builds are stand-ins.
	checkout, tools := t.TempDir(), t.TempDir()
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(checkout, "configs", "pgo.yaml"), string(process), 0o600)
	write(filepath.Join(checkout, "built", "service"), string(build(t, "v1")), 0o755)
	recipe := "dist:\n\tmkdir -p dist/linux-amd64 dist/linux-" + runtime.GOARCH + "\n\tcp " + host.self + " dist/linux-amd64/pgo\n"
	for _, name := range services {
		recipe += "\tcp built/service dist/linux-" + runtime.GOARCH + "/" + name + "\n"
	}
	write(filepath.Join(checkout, "Makefile"), recipe, 0o644)
	write(filepath.Join(tools, "scp"), fmt.Sprintf("#!/bin/sh\nexec /usr/bin/scp -F %s \"$@\"\n", host.sshd.Config), 0o755)

	env := []string{
		"HOST=" + sshdtest.Host, "DIR=" + host.dir, "HOME=" + t.TempDir(), "PGO_TEST_AS=pgo", "XDG_CACHE_HOME=" + t.TempDir(),
		"PATH=" + tools + ":" + host.sshd.Bin + ":" + os.Getenv("PATH"),
	}
	lines := 0
	for line := range strings.Lines(block) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = checkout, env
		out, err := cmd.CombinedOutput()
		t.Logf("%s%s", line, out)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines++
	}
	if lines > 10 {
		t.Errorf("it takes %d lines, more than ten", lines)
	}
	host.runs("v1", services...)
}
