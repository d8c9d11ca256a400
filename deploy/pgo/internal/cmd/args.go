package cmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// requireNames is the argument check of commands that need names of processes.
func requireNames(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageErrorf("name at least one process, or all")
	}
	return nil
}

// rejectArgs is the argument check of commands without arguments.
func rejectArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError{err}
	}
	return nil
}

// requireCount returns an argument check for exactly n arguments; usage says what they are.
func requireCount(n int, usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usageErrorf("%s", usage)
		}
		return nil
	}
}

// addTimeout adds --timeout, the limit of waiting for processes to become ready.
func addTimeout(flags *pflag.FlagSet, timeout *time.Duration) {
	flags.DurationVar(timeout, "timeout", 15*time.Minute, "stop waiting after this long; what was started continues")
}

// formatCount returns a number with its noun.
func formatCount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
