package command

import (
	"context"
	"os/exec"
	"syscall"
	"time"

	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/shim"
)

// Run describes a run of a program beside a process of the process file: a probe, a question, an ad hoc command.
type Run struct {
	Process    processfile.Process // whose user, groups and limits the program gets
	Program    string              // path of the program
	Args       []string
	Name       string // its argv[0]; Program if empty
	Dir        string
	Env        []string // the complete environment: KEY=value
	Foreground bool     // it shares the terminal, so it stays in the process group of pgo and gets SIGTERM instead of SIGKILL
}

// Build returns the command of a run. It starts the program as pgo starts the process itself: through the shim, with the
// process's user, groups and limits. The program ends with pgo, and what it leaves in its process group is killed when ctx ends.
func Build(ctx context.Context, r Run) (*exec.Cmd, error) {
	as, err := LookupUser(r.Process.User, r.Process.Group)
	if err != nil {
		return nil, err
	}
	settings := ShimSettings(r.Process.Limits, as)
	settings.ParentDeath = syscall.SIGKILL
	if r.Foreground {
		settings.ParentDeath = syscall.SIGTERM
	}
	if r.Name == "" {
		r.Name = r.Program
	}
	args, err := shim.BuildArgs(shim.NoReport, settings, r.Program, append([]string{r.Name}, r.Args...))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...) // this very program, even if its file was replaced
	cmd.Args[0] = "pgo"
	cmd.Dir, cmd.Env, cmd.WaitDelay = r.Dir, r.Env, time.Second
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would inherit pgo's environment
	}
	if r.Foreground {
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		return cmd, nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return proc.KillGroup(cmd.Process.Pid, syscall.SIGKILL) }
	return cmd, nil
}
