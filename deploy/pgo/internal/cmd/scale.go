package cmd

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func newScaleCommand(e *env) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "scale NAME N",
		Short: "Run N instances of a process until the process file is applied again",
		Args:  requireCount(2, "name a process and a number of instances"),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return usageErrorf("%q: expected a number of instances", args[1])
			}
			return runAndFollow(c.Context(), e, "scale", control.ScaleRequest{Name: args[0], Instances: n}, func(f *follower) error {
				return f.awaitReady(c.Context(), selectNamed, args[:1], timeout)
			})
		},
	}
	addTimeout(c.Flags(), &timeout)
	return c
}
