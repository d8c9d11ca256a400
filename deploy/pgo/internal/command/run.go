package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/shim"
)

// Run describes a run of a program beside a process of the process file: a probe, a question, an ad hoc command.
type Run struct {
	Process processfile.Process // whose user, groups and limits the program gets
	Program string              // path of the program
	Args    []string
	Name    string // its argv[0]; Program if empty
	Dir     string
	Env     []string // the complete environment: KEY=value
}

// Build returns the command of a run that shares the terminal. It starts the program as pgo starts the process itself: through
// the shim, with the process's user, groups and limits. The program stays in the process group of pgo. It gets SIGTERM when
// ctx or pgo ends. All other runs are those of a Runner.
func Build(ctx context.Context, r Run) (*exec.Cmd, error) {
	return r.build(ctx, shim.NoReport, syscall.SIGTERM)
}

// build returns the command of a run, which gets a signal when this process ends. The shim reports a failure to the file
// descriptor report of the command.
func (r Run) build(ctx context.Context, report int, death syscall.Signal) (*exec.Cmd, error) {
	as, err := LookupUser(r.Process.User, r.Process.Group)
	if err != nil {
		return nil, err
	}
	settings := ShimSettings(r.Process.Limits, as)
	settings.ParentDeath, settings.Parent = death, os.Getpid()
	if r.Name == "" {
		r.Name = r.Program
	}
	args, err := shim.BuildArgs(report, settings, r.Program, append([]string{r.Name}, r.Args...))
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", r.Name, err)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...) // this very program, even if its file was replaced
	cmd.Args[0] = "pgo"
	cmd.Dir, cmd.Env, cmd.WaitDelay = r.Dir, r.Env, time.Second
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would inherit pgo's environment
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(death) }
	return cmd, nil
}
