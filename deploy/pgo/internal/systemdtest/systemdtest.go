// Package systemdtest gives tests a real systemd, as the first process of namespaces of its own: what it runs, mounts
// and writes is nobody else's, and goes with it. It takes root and cgroups of version 2.
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

// Machine is a running systemd. Its files are those of this machine, but what is written stays in memory.
type Machine struct {
	t   testing.TB
	pid int // of systemd, as seen from here
}

// enterScript makes the cgroup that is the root of all in it. $1 is its name, $2 the script of the machine; the rest are the
// options of unshare.
const enterScript = `
over=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
[ -n "$over" ] || { echo "no cgroups of version 2 are mounted here" >&2; exit 1; }
mkdir "$over/$1"
echo $$ >"$over/$1/cgroup.procs"
script=$2; shift 2
exec unshare "$@" --pid --mount --cgroup --uts --ipc --fork --kill-child sh -euc "$script"
`

// bootScript is what is done before systemd starts.
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
# Nothing of this starts what is of a whole machine, or changes the kernel's settings.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service \
	systemd-timesyncd.service systemd-random-seed.service systemd-logind.service getty.target systemd-binfmt.service; do
	ln -s /dev/null etc/systemd/system/$unit
done
printf '[Unit]\nDescription=nothing but what is asked for\nDefaultDependencies=no\n' >etc/systemd/system/bare.target
mkdir -p .before
pivot_root . .before
umount -l /.before
ip link set lo up 2>/dev/null || true
exec env container=test /lib/systemd/systemd --system --unit=bare.target </dev/null >/dev/null 2>&1
`

// Start runs a systemd until the test ends. With a network of its own, nothing else is in that; else it is the network
// of the test.
func Start(t testing.TB, ownNetwork bool) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a systemd of its own takes root")
	}
	name := fmt.Sprintf("pgo-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	args := []string{"-euc", enterScript, "sh", name, bootScript}
	if ownNetwork {
		args = append(args, "--net")
	}
	cmd := exec.Command("sh", args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m := &Machine{t: t}
	t.Cleanup(func() {
		if m.pid != 0 { // the kernel ends all others of its namespace with it
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		if err := <-ended; err != nil {
			t.Logf("systemd ended: %v", err) // it was killed
		}
		removeCgroups(name)
	})
	children := fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid)
	for end := time.Now().Add(30 * time.Second); ; {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("start systemd: %v\n%s", err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
		text, _ := os.ReadFile(children) // it has one soon
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			m.pid = pid
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "systemd\n" {
				if _, err := m.TryRun("systemctl show -p Version"); err == nil {
					return m
				}
			}
		}
		if time.Now().After(end) {
			t.Fatalf("systemd does not answer\n%s", said.String())
		}
	}
}

func removeCgroups(name string) {
	text, _ := exec.Command("findmnt", "-n", "-o", "TARGET", "-t", "cgroup2").Output()
	over, _, _ := strings.Cut(string(text), "\n")
	var all []string
	_ = filepath.WalkDir(filepath.Join(over, name), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	for end := time.Now().Add(5 * time.Second); len(all) > 0 && time.Now().Before(end); { // its processes are just ending
		if os.Remove(all[len(all)-1]) != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		all = all[:len(all)-1]
	}
}

// Command is one in it.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	target := strconv.Itoa(m.pid)
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", target, "-m", "-p", "-C", "-n", "-u", "-i", "-r", "-w", name}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	return cmd
}

// TryRun runs a script in it and returns what it printed.
func (m *Machine) TryRun(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	said, err := m.Command(ctx, "sh", "-euc", script).CombinedOutput()
	return string(said), err
}

// Run runs a script that has to succeed.
func (m *Machine) Run(script string) string {
	m.t.Helper()
	said, err := m.TryRun(script)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, said)
	}
	return said
}

// WriteFile makes a file in it.
func (m *Machine) WriteFile(path string, content []byte, mode os.FileMode) {
	m.t.Helper()
	cmd := m.Command(context.Background(), "sh", "-euc", `mkdir -p "$(dirname "$1")"; cat >"$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"`, "sh", path, fmt.Sprintf("%04o", mode))
	cmd.Stdin = bytes.NewReader(content)
	if said, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("write %s: %v\n%s", path, err, said)
	}
}
