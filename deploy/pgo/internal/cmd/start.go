package cmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func (a *app) start() *cobra.Command {
	return a.startCommand("start", "start processes and wait until they are ready")
}

// startCommand is a command after which the processes named are ready.
func (a *app) startCommand(verb, short string) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Args:  needNames,
		RunE: func(c *cobra.Command, names []string) error {
			return a.act(c.Context(), verb, names, func(f *follower) error {
				return f.untilReady(c.Context(), withAfter, names, timeout)
			})
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "give up waiting after this long; what was started goes on")
	return c
}

// act has a command done for the processes named, and then what comes after it.
func (a *app) act(ctx context.Context, verb string, names []string, then func(*follower) error) error {
	return a.actWith(ctx, verb, control.NamesRequest{Names: names}, then)
}

func (a *app) actWith(ctx context.Context, verb string, ask any, then func(*follower) error) error {
	h, client, err := a.connect(ctx)
	if err != nil {
		return err
	}
	f, err := a.follow(ctx, h, client)
	if err != nil {
		return err
	}
	if _, err := f.do(ctx, verb, ask); err != nil {
		return err
	}
	return then(f)
}
