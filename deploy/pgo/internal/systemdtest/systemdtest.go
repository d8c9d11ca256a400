// Package systemdtest gives tests a real systemd, as the first process of namespaces of its own: its processes, mounts and
// files are separate from the machine's, and end with it. It takes root and cgroups of version 2.
package systemdtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Machine is a running systemd. It sees the files of this machine, but its writes stay in memory.
type Machine struct {
	t   testing.TB
	pid int // of systemd, in the namespace of the test
}

// enterScript makes the cgroup that is the root of the machine's, and runs a script in new namespaces. $1 is the name of the
// cgroup, $2 the script; the rest are options of unshare.
const enterScript = `
over=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
[ -n "$over" ] || { echo "no cgroups of version 2 are mounted here" >&2; exit 1; }
mkdir "$over/$1"
echo $$ >"$over/$1/cgroup.procs"
script=$2; shift 2
exec unshare "$@" --pid --mount --cgroup --uts --ipc --fork --kill-child sh -euc "$script"
`

// bootScript builds the file system of the machine and executes systemd.
const bootScript = `
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/up /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/root
cd /mnt/root
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs sysfs sys 2>/dev/null || mount --rbind /sys sys
mount -t tmpfs tmpfs sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/lock
rm -rf etc/systemd/system etc/fstab
mkdir -p etc/systemd/system
# Units of a whole machine are masked, and units that change the kernel's settings.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service \
	systemd-timesyncd.service systemd-random-seed.service systemd-logind.service getty.target systemd-binfmt.service; do
	ln -s /dev/null etc/systemd/system/$unit
done
printf '[Unit]\nDescription=only the units that a test starts\nDefaultDependencies=no\n' >etc/systemd/system/bare.target
mkdir -p .before
pivot_root . .before
umount -l /.before
ip link set lo up 2>/dev/null || true
exec env container=test /lib/systemd/systemd --system --unit=bare.target </dev/null >/dev/null 2>&1
`

// Start runs a systemd until the test ends, with an empty network of its own or in the network of the test.
func Start(t testing.TB, ownNetwork bool) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a systemd for tests takes root")
	}
	name := fmt.Sprintf("pgo-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	args := []string{"-euc", enterScript, "sh", name, bootScript}
	if ownNetwork {
		args = append(args, "--net")
	}
	cmd := exec.Command("sh", args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m := &Machine{t: t}
	t.Cleanup(func() {
		if m.pid != 0 { // the kernel ends all processes of its namespace with it
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		if err := <-ended; err != nil {
			t.Logf("systemd ended: %v", err) // expected: it was killed
		}
		removeCgroups(name)
	})
	children := fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid)
	for end := time.Now().Add(30 * time.Second); ; {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("start systemd: %v\n%s", err, output.String())
		case <-time.After(20 * time.Millisecond):
		}
		text, _ := os.ReadFile(children) // it has a child soon
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			m.pid = pid
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "systemd\n" {
				if _, err := m.TryRun("systemctl show -p Version"); err == nil {
					return m
				}
			}
		}
		if time.Now().After(end) {
			t.Fatalf("systemd does not answer\n%s", output.String())
		}
	}
}

// removeCgroups removes the cgroups of a machine once their processes have ended, or gives up after 5 s.
func removeCgroups(name string) {
	text, _ := exec.Command("findmnt", "-n", "-o", "TARGET", "-t", "cgroup2").Output()
	over, _, _ := strings.Cut(string(text), "\n")
	var groups []string
	_ = filepath.WalkDir(filepath.Join(over, name), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return nil
	})
	for end := time.Now().Add(5 * time.Second); len(groups) > 0 && time.Now().Before(end); { // a cgroup stays busy while its processes end
		if os.Remove(groups[len(groups)-1]) != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		groups = groups[:len(groups)-1]
	}
}

// Command returns a command that runs on the machine.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	target := strconv.Itoa(m.pid)
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", target, "-m", "-p", "-C", "-n", "-u", "-i", "-r", "-w", name}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	return cmd
}

// TryRun runs a shell script on the machine for up to a minute and returns its output.
func (m *Machine) TryRun(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	output, err := m.Command(ctx, "sh", "-euc", script).CombinedOutput()
	return string(output), err
}

// Run runs a shell script that has to succeed, and returns its output.
func (m *Machine) Run(script string) string {
	m.t.Helper()
	output, err := m.TryRun(script)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, output)
	}
	return output
}

// WriteFile writes a file on the machine, and makes its directory.
func (m *Machine) WriteFile(path string, content []byte, mode os.FileMode) {
	m.t.Helper()
	cmd := m.Command(context.Background(), "sh", "-euc", `mkdir -p "$(dirname "$1")"; cat >"$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"`, "sh", path, fmt.Sprintf("%04o", mode))
	cmd.Stdin = bytes.NewReader(content)
	if output, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("write %s: %v\n%s", path, err, output)
	}
}
