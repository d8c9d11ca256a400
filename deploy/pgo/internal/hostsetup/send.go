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

// ErrUnreachable is the error for a host that ssh does not reach.
var ErrUnreachable = errors.New("the host cannot be reached")

// Remote is another machine, and how it is reached.
type Remote struct {
	Host    string // as ssh knows it
	SSH     string // the command that reaches it, its arguments between spaces
	Sudo    bool   // become root there, without being asked for a password
	Ask     bool   // there is a terminal here, on which the other side may ask
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Program func(platform string) (string, error) // the pgo for a machine as linux-amd64
}

// ExitError is how pgo ended there.
type ExitError int

// Error is a word for it; what was wrong was said there.
func (e ExitError) Error() string { return fmt.Sprintf("it ended with %d there", int(e)) }

// Run brings pgo there, for as long as it takes to run `pgo host setup` with the arguments.
func (r Remote) Run(ctx context.Context, args []string) error {
	machine, err := r.ask(ctx, nil, "uname -sm")
	if err != nil {
		return err
	}
	arch := map[string]string{"Linux x86_64": "amd64", "Linux aarch64": "arm64"}[machine]
	if arch == "" {
		return fmt.Errorf("%s: %w: it is a machine of %q, and pgo runs on Linux on x86_64 and aarch64", r.Host, ErrRefused, machine)
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
	// In the home of who logs in: /tmp may be one where nothing can be executed.
	there, err := r.ask(ctx, program, `umask 077 && f=$(mktemp "$HOME/.pgo-setup-XXXXXXXX") && cat >"$f" && chmod 700 "$f" && echo "$f"`)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(there) || strings.ContainsAny(there, "\n'") {
		return fmt.Errorf("%s: %w: it answers %q: does its shell greet where nobody is asked for?", r.Host, ErrRefused, there)
	}
	command := Quote(there) + " host setup"
	for _, arg := range args {
		command += " " + Quote(arg)
	}
	if r.Sudo {
		command = "sudo -n " + command
	}
	var more []string
	if r.Ask {
		more = []string{"-t"}
	}
	cmd, err := r.command(ctx, more, fmt.Sprintf("%s; r=$?; rm -f %s; exit $r", command, Quote(there)))
	if err != nil {
		return err
	}
	cmd.Stdout = r.Stdout
	if r.Ask {
		cmd.Stdin = r.Stdin
	}
	return r.ended(cmd.Run())
}

// ask runs a command there and returns what it said.
func (r Remote) ask(ctx context.Context, in io.Reader, command string) (string, error) {
	cmd, err := r.command(ctx, nil, command)
	if err != nil {
		return "", err
	}
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout = in, &said
	err = r.ended(cmd.Run())
	return strings.TrimSpace(said.String()), err
}

func (r Remote) command(ctx context.Context, more []string, command string) (*exec.Cmd, error) {
	words := strings.Fields(r.SSH)
	if len(words) == 0 || r.Host == "" || strings.HasPrefix(r.Host, "-") {
		return nil, fmt.Errorf("%q with %q: expected a host and a command that reaches it", r.Host, r.SSH)
	}
	cmd := exec.CommandContext(ctx, words[0], append(append(words[1:], more...), r.Host, command)...)
	cmd.Stderr = r.Stderr
	return cmd, nil
}

// ended says how ssh did.
func (r Remote) ended(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case ok && exit.ExitCode() == 255, !ok:
		return fmt.Errorf("%s: %w: %w", r.Host, ErrUnreachable, err)
	}
	return fmt.Errorf("%s: %w", r.Host, ExitError(exit.ExitCode()))
}
