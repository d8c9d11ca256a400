package e2e

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

// The lines of docs/deploy.md lead from a bare host to the first deploy.
func TestDeployDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```sh\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/deploy.md has no lines to run")
	}
	host := &deployHost{sandbox: newSandbox(t, deployedProcessFile)}
	process, err := os.ReadFile(filepath.Join(host.sandbox.dir, "configs", "pgo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(host.sandbox.dir, "configs")); err != nil { // the host is bare
		t.Fatal(err)
	}
	tools := t.TempDir()
	root := writeBareHost(t, host, tools)
	host.sshd = sshdtest.Start(t, "XDG_RUNTIME_DIR="+host.sandbox.socketsDir, "PATH="+tools+":/usr/local/bin:/usr/bin:/bin")

	// The checkout, with stand-ins for the programs that `make dist` builds.
	checkout := t.TempDir()
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
	write(filepath.Join(checkout, "built", "service"), string(buildRelease(t, "v1")), 0o755)
	// A pgo that sets up the bare host's file system instead of this machine's.
	write(filepath.Join(checkout, "built", "pgo"), fmt.Sprintf("#!/bin/sh\n[ \"$1 $2\" != 'host setup' ] || set -- \"$@\" --root %s\nexec %s \"$@\"\n", root, pgoPath), 0o755)
	recipe := "dist:\n\tmkdir -p dist/linux-amd64 dist/linux-" + runtime.GOARCH + "\n\tcp built/pgo dist/linux-amd64/pgo\n"
	for _, name := range deployedServices {
		recipe += "\tcp built/service dist/linux-" + runtime.GOARCH + "/" + name + "\n"
	}
	write(filepath.Join(checkout, "Makefile"), recipe, 0o644)
	write(filepath.Join(tools, "scp"), fmt.Sprintf("#!/bin/sh\nexec /usr/bin/scp -F %s \"$@\"\n", host.sshd.Config), 0o755)

	write(filepath.Join(checkout, "id.pub"), "ssh-ed25519 AAAA ci\n", 0o600)
	env := []string{
		"HOST=" + sshdtest.Host, "DIR=" + host.sandbox.dir, "KEY=id.pub", "DEPLOY=ci", "HOME=" + t.TempDir(), "XDG_CACHE_HOME=" + t.TempDir(),
		"PATH=" + tools + ":" + host.sshd.Bin + ":" + os.Getenv("PATH"),
	}
	run := func(line string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = checkout, env
		out, err := cmd.CombinedOutput()
		t.Logf("%s%s", line, out)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return string(out)
	}
	lines := 0
	for line := range strings.Lines(block) {
		run(line)
		lines++
		if strings.Contains(line, " --dry-run") && len(host.sandbox.findProcesses()) == 0 {
			if left, err := os.ReadDir(host.sandbox.dir); err != nil || len(left) > 0 {
				t.Errorf("looking has left %v, %v", left, err)
			}
		}
		if strings.Contains(line, "host setup") && strings.Contains(line, " --yes") {
			// In this test sshd reads keys elsewhere; the options of the key are those that were written.
			key := host.sandbox.readFile(".ssh/authorized_keys")
			options, _, ok := strings.Cut(key, " ssh-ed25519 AAAA ci")
			if !ok || !strings.HasSuffix(options, ",restrict") {
				t.Fatalf("the keys are %s", key)
			}
			host.sshd.Authorize("ci", options)
			if again := run(line); !strings.Contains(again, "there is nothing to do") {
				t.Errorf("a second time: %s", again)
			}
		}
	}
	if lines > 10 {
		t.Errorf("it takes %d lines, more than ten", lines)
	}
	host.awaitRelease("v1", deployedServices...)
}

// writeBareHost returns the root of a host's file system, and writes into tools a systemctl that runs the unit's command.
func writeBareHost(t *testing.T, host *deployHost, tools string) (root string) {
	t.Helper()
	root = t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 12345, 12345
	}
	write(filepath.Join(root, "etc/passwd"), fmt.Sprintf("root:x:0:0::/root:/bin/sh\npgo:x:%d:%d::%s:/bin/sh\n", uid, gid, host.sandbox.dir))
	write(filepath.Join(root, "lib/systemd/systemd"), "")
	write(filepath.Join(root, "usr/sbin/nft"), "")
	// The host's directory has the same path for all that runs there.
	parent := filepath.Dir(host.sandbox.dir)
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(parent)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(parent, filepath.Join(root, parent)); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(tools, "systemctl"), fmt.Sprintf(`#!/bin/sh
[ "$*" = "start pgo" ] || exec /usr/bin/systemctl "$@"
unit=%s/etc/systemd/system/pgo.service
cd "$(sed -n 's/^WorkingDirectory=//p' $unit)"
env $(sed -n 's/^Environment=//p' $unit) XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR setsid $(sed -n 's/^ExecStart=//p' $unit) </dev/null >log 2>&1 &
`, root))
	return root
}
