package cmd

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
)

// Until a command that waits gives up.
const (
	hopelessAfter = 5  // starts in a row that failed
	shownLines    = 15 // of the log of what failed
)

// follower shows what happens, one line for each change.
type follower struct {
	app    *app
	client *control.Client
	home   home.Home
	seq    int64 // shown so far
}

func (a *app) follow(ctx context.Context, h home.Home, c *control.Client) (*follower, error) {
	// After -1 there is always something: this does not wait.
	now, err := c.AwaitChanges(ctx, -1)
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
			c, err := f.client.AwaitChanges(watching, f.seq)
			if err != nil {
				return // the command's own answer says what there is to say
			}
			f.show(c)
		}
	}()
	c, err := f.client.RunCommand(ctx, command, body)
	stop()
	<-watched
	if err == nil {
		f.show(c)
	}
	return c, err
}

func (f *follower) show(c control.Changes) {
	several := map[string]bool{}
	for _, p := range c.Processes {
		several[p.Name] = p.Instances > 1
	}
	for _, e := range c.Events {
		if e.Seq <= f.seq || e.Reason == control.ReasonAskedToStart {
			continue
		}
		name := e.Process
		if several[e.Process] || e.Instance > 0 { // one that goes may be of several that were
			name = fmt.Sprintf("%s/%d", name, e.Instance)
		}
		fmt.Fprintln(f.app.stdout, strings.TrimRight(fmt.Sprintf("%-12s %-11s %s", name, e.To, e.Reason), " "))
	}
	f.seq = max(f.seq, c.Seq)
}

// untilReady waits until the processes that which takes of all, by name, are ready and not being replaced. The error
// names the one that stands in the way, with its last log lines and what to try.
func (f *follower) untilReady(ctx context.Context, which chooser, names []string, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := f.client.AwaitChanges(limited, -1)
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: what was started goes on; pgo down stops it")
		}
		f.show(c)
		needed := which(c.Processes, names)
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
		next, failed := f.client.AwaitChanges(limited, f.seq)
		if err = failed; err == nil {
			c = next
		}
	}
}

// chooser takes processes by name.
type chooser func(all []control.Process, names []string) []control.Process

// named returns the processes that names name; these may be patterns, and all is every one.
func named(all []control.Process, names []string) []control.Process {
	var chosen []control.Process
	for _, p := range all {
		if anyMatches(names, p.Name) {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// anyMatches tells whether one of names, which may be patterns, means the process.
func anyMatches(names []string, process string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		match, err := path.Match(name, process)
		return name == "all" || err == nil && match
	})
}

// withAfter returns those and all that they come after.
func withAfter(all []control.Process, names []string) []control.Process {
	taken := map[string]bool{}
	queue := []string{}
	for _, p := range named(all, names) {
		queue = append(queue, p.Name)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, p := range all {
			if p.Name == queue[0] && !taken[p.Name] {
				queue = append(queue, p.After...)
			}
		}
		taken[queue[0]] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(p control.Process) bool { return !taken[p.Name] })
}

// obstacle returns a process that will not become ready by waiting, or a reload that did not work out.
func obstacle(processes []control.Process) *control.Process {
	for _, p := range processes {
		if p.Status == control.Failed || p.Status == control.Stopped && !p.Ready ||
			p.Status == control.BackingOff && p.Failures >= hopelessAfter || (p.ReloadFailure != "" || p.DeployFailure != "") && !p.ReloadPending {
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
		if !p.Ready || p.ReloadPending {
			return &p
		}
	}
	return nil
}

// explain is the error for a process that does not become ready.
func (f *follower) explain(p control.Process, prefix string) error {
	if p.ReloadFailure != "" {
		return notReplaced(p)
	}
	if p.DeployFailure != "" && p.Ready {
		return fmt.Errorf("%s does not run what was deployed: %s\ntry: deploy one that works, or see pgo releases %s", p.Name, p.DeployFailure, p.Name)
	}
	text := fmt.Sprintf("%s is not ready: %s%s", p.Name, prefix, p.Status)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	lines, _, err := logfile.ReadLast(f.home.LogPath(p.Name), shownLines, p.LogOffset)
	switch {
	case err != nil:
		text += "\n" + err.Error()
	case len(lines) == 0:
		text += "\nit wrote nothing to its log"
	default:
		text += "\nlast lines of " + f.home.LogPath(p.Name) + ":\n"
		for line := range strings.Lines(string(lines)) {
			text += "  | " + strings.TrimRight(line, "\n") + "\n"
		}
		text = strings.TrimRight(text, "\n")
	}
	return fmt.Errorf("%s\ntry: %s", text, advice(p))
}

// notReplaced is the error for a reload that did not work out.
func notReplaced(p control.Process) error {
	text := fmt.Sprintf("%s was not replaced: %s\nthe process from before goes on (pid %d)", p.Name, p.ReloadFailure, p.PID)
	if len(p.LastLines) == 0 {
		return errors.New(text + "\nthe new one wrote nothing to its log")
	}
	return errors.New(text + "\nlast lines of the new one:\n  | " + strings.Join(p.LastLines, "\n  | "))
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
