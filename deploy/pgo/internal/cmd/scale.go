package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func (a *app) scale() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "scale NAME N",
		Short: "run N instances of a process, until the process file is applied again",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("name a process and a number of instances")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return usageError{fmt.Errorf("%q: expected a number of instances", args[1])}
			}
			ask := control.ScaleRequest{Name: args[0], Instances: n}
			return a.actWith(c.Context(), "scale", ask, func(f *follower) error {
				return f.untilReady(c.Context(), named, args[:1], timeout)
			})
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "give up waiting after this long; what was started goes on")
	return c
}
