// Package install installs servers from the packages of Debian or Ubuntu, without starting them.
package install

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"pgo/pkg/testing/localserver"
)

// Installer installs missing packages. Every field is required except Terminal and Tests.
type Installer struct {
	Programs localserver.Programs // the directories of programs; Root also holds policy-rc.d and apt's lists
	Self     string               // this program's path, for sudo
	Euid     int
	In       io.Reader
	Out, Err io.Writer
	Terminal bool // In is a terminal: ask before installing
	Tests    bool // install packages that only tests need, too
}

// RefusedError reports missing packages that this program may not install.
type RefusedError struct {
	Reason   string
	Packages []string
	Self     string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s; install the missing packages with:\n  sudo apt-get install -y --no-install-recommends %s\nor, without starting the distribution's own servers, with:\n  sudo %s install",
		e.Reason, strings.Join(e.Packages, " "), e.Self)
}

// ListMissing returns the packages whose programs are missing.
func (i Installer) ListMissing() []string {
	p := i.Programs
	lookups := []func() (string, error){p.MySQL, p.Redis, p.RabbitMQ, p.Epmd, p.Nginx}
	if i.Tests {
		lookups = append(append(lookups, p.Chromium), p.Tools()...)
	}
	var missing []string
	for _, lookup := range lookups {
		var m *localserver.MissingError
		if _, err := lookup(); errors.As(err, &m) && !slices.Contains(missing, m.Package) {
			missing = append(missing, m.Package)
		}
	}
	return missing
}

// Run installs missing packages. It returns a *RefusedError if it may not install.
func (i Installer) Run(ctx context.Context) error {
	missing := i.ListMissing()
	if len(missing) == 0 {
		return nil
	}
	refuse := func(reason string) error { return &RefusedError{Reason: reason, Packages: missing, Self: i.Self} }
	if i.findProgram("apt-get") == "" {
		return refuse("missing: " + strings.Join(missing, ", ") + ", and this machine has no apt-get")
	}
	sudo := ""
	if i.Euid != 0 {
		if sudo = i.findProgram("sudo"); sudo == "" {
			return refuse("missing: " + strings.Join(missing, ", ") + ", and only root may install (there is no sudo)")
		}
		if !i.Terminal && i.newCommand(ctx, sudo, "-n", "true").Run() != nil {
			return refuse("missing: " + strings.Join(missing, ", ") + ", and sudo wants a password")
		}
	}
	if i.Terminal && !i.confirmInstall(missing) {
		return refuse("not installed")
	}
	if sudo != "" {
		args := []string{i.Self, "install", "--yes"}
		if i.Tests {
			args = append(args, "--tests")
		}
		cmd := i.newCommand(ctx, sudo, args...)
		cmd.Stdin = os.Stdin
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("install as root: %w", err)
		}
		return i.verifyInstalled()
	}
	fmt.Fprintf(i.Err, "installing %s\n", strings.Join(missing, " "))
	if err := i.installPackages(ctx, missing); err != nil {
		return err
	}
	return i.verifyInstalled()
}

func (i Installer) verifyInstalled() error {
	if left := i.ListMissing(); len(left) > 0 {
		return fmt.Errorf("still missing after the installation: %s", strings.Join(left, ", "))
	}
	return nil
}

func (i Installer) installPackages(ctx context.Context, packages []string) (err error) {
	restore, err := denyStarts(i.rootPath("/usr/sbin/policy-rc.d"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()

	if !i.hasPackageLists() {
		if err := i.runApt(ctx, "update"); err != nil {
			return err
		}
		return i.runApt(ctx, append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
	}
	if err := i.runApt(ctx, append([]string{"install", "-y", "--no-install-recommends"}, packages...)...); err == nil || ctx.Err() != nil {
		return err
	}
	// The lists may be too old to have the packages' locations.
	if err := i.runApt(ctx, "update"); err != nil {
		return err
	}
	return i.runApt(ctx, append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
}

func (i Installer) runApt(ctx context.Context, args ...string) error {
	// Wait for another apt that holds the lock instead of failing.
	args = append([]string{"-o", "DPkg::Lock::Timeout=300", "-q"}, args...)
	cmd := i.newCommand(ctx, i.findProgram("apt-get"), args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "DEBIAN_PRIORITY=critical", "NEEDRESTART_SUSPEND=1")
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("apt-get %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (i Installer) hasPackageLists() bool {
	lists, err := filepath.Glob(i.rootPath("/var/lib/apt/lists/*_Packages*"))
	return err == nil && len(lists) > 0
}

func (i Installer) confirmInstall(packages []string) bool {
	fmt.Fprintf(i.Err, "These packages are missing: %s\nInstall them now? [Y/n] ", strings.Join(packages, " "))
	line, err := bufio.NewReader(i.In).ReadString('\n')
	if err != nil && line == "" {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "" || answer == "y" || answer == "yes"
}

// newCommand returns a command that gets SIGTERM when ctx ends, so that apt can finish its transaction.
func (i Installer) newCommand(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = i.Err, i.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	return cmd
}

func (i Installer) rootPath(path string) string { return filepath.Join("/", i.Programs.Root, path) }

func (i Installer) findProgram(name string) string {
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := i.rootPath(filepath.Join(dir, name))
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
