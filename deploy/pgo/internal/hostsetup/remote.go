package hostsetup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrUnreachable is returned where ssh does not reach the host.
var ErrUnreachable = errors.New("the host cannot be reached")

// Remote runs pgo host setup on another machine, over ssh.
type Remote struct {
	Host    string // as ssh knows it
	SSH     string // the command that reaches it, its arguments between spaces
	Sudo    bool   // become root there, without being asked for a password
	Ask     bool   // the other side may ask on the terminal here
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Program func(platform string) (string, error) // returns the path of the pgo for a platform as linux-amd64
}

// ExitError is the exit code of the pgo there, which has printed the reason.
type ExitError int

// Error returns the exit code in words.
func (e ExitError) Error() string { return fmt.Sprintf("pgo exited with code %d there", int(e)) }

// Run copies pgo there, runs `pgo host setup` with the arguments, and removes the copy.
func (r Remote) Run(ctx context.Context, args []string) error {
	kind, err := r.runCommand(ctx, nil, "uname -sm")
	if err != nil {
		return err
	}
	arch := map[string]string{"Linux x86_64": "amd64", "Linux aarch64": "arm64"}[kind]
	if arch == "" {
		return fmt.Errorf("%s: %w: it is a machine of %q, and pgo runs on Linux on x86_64 and aarch64", r.Host, ErrRefused, kind)
	}
	path, err := r.Program("linux-" + arch)
	if err != nil {
		return err
	}
	program, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("send pgo: %w", err)
	}
	defer program.Close()
	// The home of the user, since /tmp may be mounted noexec.
	copied, err := r.runCommand(ctx, program, `umask 077 && f=$(mktemp "$HOME/.pgo-setup-XXXXXXXX") && cat >"$f" && chmod 700 "$f" && echo "$f"`)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(copied) || strings.ContainsAny(copied, "\n'") {
		return fmt.Errorf("%s: %w: the shell there printed %q: it must print nothing for a command without a terminal", r.Host, ErrRefused, copied)
	}
	command := Quote(copied) + " host setup"
	for _, arg := range args {
		command += " " + Quote(arg)
	}
	if r.Sudo {
		command = "sudo -n " + command
	}
	var sshArgs []string
	if r.Ask {
		sshArgs = []string{"-t"}
	}
	cmd, err := r.sshCommand(ctx, sshArgs, fmt.Sprintf("%s; r=$?; rm -f %s; exit $r", command, Quote(copied)))
	if err != nil {
		return err
	}
	cmd.Stdout = r.Stdout
	if r.Ask {
		cmd.Stdin = r.Stdin
	}
	return r.wrapExit(cmd.Run())
}

// runCommand runs a command there and returns its output.
func (r Remote) runCommand(ctx context.Context, in io.Reader, command string) (string, error) {
	cmd, err := r.sshCommand(ctx, nil, command)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = in, &out
	err = r.wrapExit(cmd.Run())
	return strings.TrimSpace(out.String()), err
}

func (r Remote) sshCommand(ctx context.Context, sshArgs []string, command string) (*exec.Cmd, error) {
	words := strings.Fields(r.SSH)
	if len(words) == 0 || r.Host == "" || strings.HasPrefix(r.Host, "-") {
		return nil, fmt.Errorf("%q with %q: expected a host and a command that reaches it", r.Host, r.SSH)
	}
	cmd := exec.CommandContext(ctx, words[0], append(append(words[1:], sshArgs...), r.Host, command)...)
	cmd.Stderr = r.Stderr
	return cmd, nil
}

// wrapExit tells an ssh that does not reach the host from a command that fails there.
func (r Remote) wrapExit(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case ok && exit.ExitCode() == 255, !ok:
		return fmt.Errorf("%s: %w: %w", r.Host, ErrUnreachable, err)
	}
	return fmt.Errorf("%s: %w", r.Host, ExitError(exit.ExitCode()))
}
