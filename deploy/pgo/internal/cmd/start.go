package cmd

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func newStartCommand(e *env) *cobra.Command {
	c := newStartingCommand(e, "start", "Start processes, or a program without a process file, and wait until they are ready")
	c.Use = "start NAME... | PROGRAM [-- ARG...]"
	c.Long = "Starts processes of the process file. A path (./web), or any command before --, is a program that the process file need not\n" +
		"have: pgo runs it in this directory and with this environment, restarts it when it ends, and keeps its log, until a process\n" +
		"file is applied. Without a process file pgo's state is .pgo in your home directory."
	var name string
	c.Flags().StringVar(&name, "name", "", "of the program's process (default from the program)")
	startNamed := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		timeout, err := c.Flags().GetDuration("timeout")
		if err != nil {
			return err
		}
		dash := c.ArgsLenAtDash()
		isProgram := dash == 1 || dash < 0 && len(args) == 1 && strings.Contains(args[0], "/")
		switch {
		case isProgram:
			return startProgram(c.Context(), e, args[0], name, args[1:], timeout)
		case dash >= 0:
			return usageErrorf("name one program before --, and its arguments after it")
		case name != "":
			return usageErrorf("--name is for a program, such as ./web")
		}
		return startNamed(c, args)
	}
	return c
}

// newStartingCommand returns a command that waits until the named processes, and all that they start after, are ready.
func newStartingCommand(e *env, verb, short string) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Args:  requireNames,
		RunE: func(c *cobra.Command, names []string) error {
			return runAndFollow(c.Context(), e, verb, control.NamesRequest{Names: names}, func(f *follower) error {
				return f.awaitReady(c.Context(), selectWithDependencies, names, timeout)
			})
		},
	}
	addTimeout(c.Flags(), &timeout)
	return c
}
