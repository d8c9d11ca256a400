package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/home"
	"pgo/deploy/pgo/logfile"
)

// Until a command that waits gives up.
const (
	hopelessAfter = 5  // starts in a row that failed
	shownLines    = 15 // of the log of what failed
)

// follower shows what happens, one line for each change.
type follower struct {
	*app
	client *control.Client
	home   home.Home
	seq    int64 // shown so far
}

func (a *app) follow(ctx context.Context, h home.Home, c *control.Client) (*follower, error) {
	// After -1 there is always something: this does not wait.
	now, err := c.Changes(ctx, -1)
	if err != nil {
		return nil, err
	}
	return &follower{app: a, client: c, home: h, seq: now.Seq}, nil
}

// do has a command done and shows what happens meanwhile.
func (f *follower) do(ctx context.Context, command string, body any) (control.Changes, error) {
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			c, err := f.client.Changes(watching, f.seq)
			if err != nil {
				return // the command's own answer says what there is to say
			}
			f.show(c)
		}
	}()
	c, err := f.client.Do(ctx, command, body)
	stop()
	<-watched
	if err == nil {
		f.show(c)
	}
	return c, err
}

func (f *follower) show(c control.Changes) {
	for _, e := range c.Events {
		if e.Seq <= f.seq || e.Reason == control.AskedToStart {
			continue
		}
		fmt.Fprintln(f.stdout, strings.TrimRight(fmt.Sprintf("%-12s %-11s %s", e.Process, e.To, e.Reason), " "))
	}
	f.seq = max(f.seq, c.Seq)
}

// untilReady waits until the processes named are ready; none named is all. The error names the one that stands in the
// way, with its last log lines and what to try.
func (f *follower) untilReady(ctx context.Context, names []string, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := f.client.Changes(limited, -1)
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: what was started goes on; pgo down stops it")
		}
		f.show(c)
		needed := withAfter(c.Processes, names)
		if p := obstacle(needed); p != nil {
			return f.explain(*p, "")
		}
		if p := firstUnready(needed); p == nil && err == nil {
			return nil
		} else if p != nil && limited.Err() != nil {
			return f.explain(*p, fmt.Sprintf("not ready after %s: ", timeout))
		}
		if err != nil {
			return err
		}
		next, failed := f.client.Changes(limited, f.seq)
		if err = failed; err == nil {
			c = next
		}
	}
}

// withAfter returns the processes named and all that they come after.
func withAfter(processes []control.Process, names []string) []control.Process {
	if len(names) == 0 || slices.Contains(names, "all") {
		return processes
	}
	byName, taken := map[string]control.Process{}, map[string]bool{}
	for _, p := range processes {
		byName[p.Name] = p
	}
	var needed []control.Process
	for queue := slices.Clone(names); len(queue) > 0; queue = queue[1:] {
		if p, ok := byName[queue[0]]; ok && !taken[p.Name] {
			taken[p.Name] = true
			needed = append(needed, p)
			queue = append(queue, p.After...)
		}
	}
	return needed
}

// obstacle returns a process that will not become ready by waiting.
func obstacle(processes []control.Process) *control.Process {
	for _, p := range processes {
		if p.Status == control.Failed || p.Status == control.Stopped ||
			p.Status == control.BackingOff && p.Failures >= hopelessAfter {
			return &p
		}
	}
	return nil
}

func firstUnready(processes []control.Process) *control.Process {
	for _, p := range processes {
		if !p.Ready && p.Status != control.Waiting {
			return &p // before those that only wait for it
		}
	}
	for _, p := range processes {
		if !p.Ready {
			return &p
		}
	}
	return nil
}

// explain is the error for a process that does not become ready.
func (f *follower) explain(p control.Process, prefix string) error {
	text := fmt.Sprintf("%s is not ready: %s%s", p.Name, prefix, p.Status)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	lines, _, err := logfile.Last(f.home.Log(p.Name), shownLines, p.LogFrom)
	switch {
	case err != nil:
		text += "\n" + err.Error()
	case len(lines) == 0:
		text += "\nit wrote nothing to its log"
	default:
		text += "\nlast lines of " + f.home.Log(p.Name) + ":\n"
		for line := range strings.Lines(string(lines)) {
			text += "  | " + strings.TrimRight(line, "\n") + "\n"
		}
		text = strings.TrimRight(text, "\n")
	}
	return fmt.Errorf("%s\ntry: %s", text, advice(p))
}

func advice(p control.Process) string {
	switch {
	case strings.Contains(p.Reason, "no such file"):
		return "build or install the program, then pgo up"
	case strings.HasPrefix(p.Reason, "exit code 78"):
		return "correct the configuration that it names, then pgo up"
	case p.Status == control.Stopped:
		return "pgo start " + p.Name
	default:
		return "pgo logs " + p.Name + " shows more; when the cause is gone, pgo up (or make up, which also builds)"
	}
}
