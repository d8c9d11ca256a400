package cmd

import (
	"errors"
	"fmt"
	"strings"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/logfile"
)

const (
	maxFailedStarts = 5  // in a row, after which a command stops waiting
	shownLogLines   = 15 // of the log of a process that failed
)

// findObstacle returns a process that does not become ready by waiting, or whose reload or deploy failed.
func findObstacle(processes []control.Process) *control.Process {
	for _, p := range processes {
		if p.Status == control.Failed || p.Status == control.Stopped && !p.Ready ||
			p.Status == control.BackingOff && p.Failures >= maxFailedStarts || (p.ReloadFailure != "" || p.DeployFailure != "") && !p.ReloadPending {
			return &p
		}
	}
	return nil
}

// findUnready returns a process that is not ready or is being reloaded. It prefers one that does not only wait for others.
func findUnready(processes []control.Process) *control.Process {
	for _, p := range processes {
		if !p.Ready && p.Status != control.Waiting {
			return &p
		}
	}
	for _, p := range processes {
		if !p.Ready || p.ReloadPending {
			return &p
		}
	}
	return nil
}

// explain returns the error for a process that does not become ready.
func (f *follower) explain(p control.Process, prefix string) error {
	if p.ReloadFailure != "" {
		return explainReload(p)
	}
	if p.DeployFailure != "" && p.Ready {
		return fmt.Errorf("%s does not run what was deployed: %s\ntry: deploy one that works, or see pgo releases %s", p.Name, p.DeployFailure, p.Name)
	}
	text := fmt.Sprintf("%s is not ready: %s%s", p.Name, prefix, p.Status)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	lines, _, err := logfile.ReadLast(f.home.LogPath(p.Name), shownLogLines, p.LogOffset)
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
	return fmt.Errorf("%s\ntry: %s", text, adviseStart(p, f.hasMake))
}

// explainReload returns the error for a reload that failed.
func explainReload(p control.Process) error {
	text := fmt.Sprintf("%s was not replaced: %s\nthe previous process continues (pid %d)", p.Name, p.ReloadFailure, p.PID)
	if len(p.LastLines) == 0 {
		return errors.New(text + "\nthe new one wrote nothing to its log")
	}
	return errors.New(text + "\nlast lines of the new one:\n  | " + strings.Join(p.LastLines, "\n  | "))
}

// adviseStart returns what to try for a process that does not become ready. hasMake says that `make up` brings it up as well.
func adviseStart(p control.Process, hasMake bool) string {
	switch {
	case strings.Contains(p.Reason, "no such file"):
		return "build or install the program, then pgo up"
	case strings.HasPrefix(p.Reason, "exit code 78"):
		return "correct the configuration that it names, then pgo up"
	case p.Status == control.Stopped:
		return "pgo start " + p.Name
	default:
		advice := "pgo logs " + p.Name + " shows more; when the cause is gone, pgo up"
		if hasMake {
			advice += " (or make up, which also builds)"
		}
		return advice
	}
}
