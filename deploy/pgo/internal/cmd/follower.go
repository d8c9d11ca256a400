package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/terminal"
)

// follower runs commands of the manager and prints what happens, a line for each change of state.
type follower struct {
	stdout io.Writer
	client *control.Client
	home   home.Home
	seq    int64 // of the last change that was printed

	hasMake bool // `make up` starts pgo too
}

// newFollower returns a follower that prints what happens from now on.
func newFollower(ctx context.Context, e *env, h home.Home, c *control.Client) (*follower, error) {
	// The changes after -1 are there already: this does not wait.
	now, err := c.AwaitChanges(ctx, -1)
	if err != nil {
		return nil, err
	}
	return &follower{stdout: e.stdout, client: c, home: h, seq: now.Seq, hasMake: e.hasMake()}, nil
}

// runAndFollow connects to the manager, has it run a command, and then calls wait with the follower of it. A nil wait
// returns as soon as the manager has answered.
func runAndFollow(ctx context.Context, e *env, command string, body any, wait func(*follower) error) error {
	h, client, err := e.connect(ctx)
	if err != nil {
		return err
	}
	f, err := newFollower(ctx, e, h, client)
	if err != nil {
		return err
	}
	if err := f.runCommand(ctx, command, body); err != nil || wait == nil {
		return err
	}
	return wait(f)
}

// runCommand has the manager run a command and prints what happens until it answers.
func (f *follower) runCommand(ctx context.Context, command string, body any) error {
	following, stop := context.WithCancel(ctx)
	running, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := f.client.AwaitChanges(following, f.seq)
			if errors.Is(err, control.ErrNoAnswer) {
				giveUp(err) // nor will it answer the command
			}
			if err != nil {
				return // the command's own answer has the error
			}
			f.printChanges(c)
		}
	}()
	c, err := f.client.RunCommand(running, command, body)
	if err != nil && running.Err() != nil && ctx.Err() == nil {
		err = context.Cause(running)
	}
	stop()
	<-done
	if err == nil {
		f.printChanges(c)
	}
	return err
}

// printChanges prints the changes that were not printed yet.
func (f *follower) printChanges(c control.Changes) {
	hasSeveral := map[string]bool{}
	for _, p := range c.Processes {
		hasSeveral[p.Name] = p.Instances > 1
	}
	for _, e := range c.Events {
		if e.Seq <= f.seq || e.Reason == control.ReasonAskedToStart {
			continue
		}
		name := e.Process
		if hasSeveral[e.Process] || e.Instance > 0 { // the last of what were several keeps its number while it ends
			name = fmt.Sprintf("%s/%d", name, e.Instance)
		}
		_ = terminal.PrintLine(f.stdout, "%-12s %-11s %s", name, e.To, e.Reason)
	}
	f.seq = max(f.seq, c.Seq)
}

// awaitReady waits until the selected processes are ready and no reload of them is under way. The error names the process
// that prevents it, with its last log lines and what to try.
func (f *follower) awaitReady(ctx context.Context, selects selector, names []string, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := f.client.AwaitChanges(limited, -1)
	for {
		if ctx.Err() != nil {
			return errors.New("interrupted: what was started continues; pgo down stops it")
		}
		f.printChanges(c)
		needed := selects(c.Processes, names)
		if p := findObstacle(needed); p != nil {
			return f.explain(*p, "")
		}
		if p := findUnready(needed); p == nil && err == nil {
			return nil
		} else if p != nil && limited.Err() != nil {
			return f.explain(*p, fmt.Sprintf("not ready after %s: ", timeout))
		}
		if err != nil {
			return err
		}
		next, failed := f.client.AwaitChanges(limited, f.seq)
		if err = failed; err == nil {
			c = next
		}
	}
}
