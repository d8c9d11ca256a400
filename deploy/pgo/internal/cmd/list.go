package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/terminal"
)

func newListCommand(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list [NAME...]",
		Aliases: []string{"ls", "status"},
		Short:   "List processes, all or those that names or patterns match",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, names []string) error {
			h, client, err := e.connect(c.Context())
			processes := []control.Process{}
			if errors.Is(err, control.ErrNotRunning) {
				// That nothing runs is an answer. Processes of a killed pgo are an error.
				if left, _ := supervise.Leftovers(h); len(left) > 0 {
					return fmt.Errorf("%w, but %s that it started, since it was killed: pgo up or pgo down", control.ErrNotRunning, formatCount(len(left), "process does", "processes do"))
				}
				if !asJSON {
					fmt.Fprintln(e.stdout, err)
					return nil
				}
			} else if err != nil {
				return err
			} else if processes, err = client.ListProcesses(c.Context()); err != nil {
				return err
			}
			if len(names) > 0 && len(processes) > 0 {
				if err := checkNames(processes, names); err != nil {
					return err
				}
				processes = selectNamed(processes, names)
			}
			if asJSON {
				return e.printJSON(processes)
			}
			return printProcesses(e, processes)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}

// printProcesses prints a table, one line a process.
func printProcesses(e *env, processes []control.Process) error {
	t := terminal.NewTable("NAME", "KIND", "STATUS", "PID", "RESTARTS", "UPTIME", "CPU", "MEMORY", "VERSION", "NOTE")
	t.Optional = []string{"KIND", "VERSION", "CPU", "RESTARTS", "PID", "MEMORY", "UPTIME"}
	for _, p := range processes {
		pid, uptime, cpu, memory := "-", "-", "-", "-"
		if p.PID != 0 {
			pid, uptime = fmt.Sprint(p.PID), terminal.FormatDuration(time.Duration(p.Uptime)*time.Second)
			cpu, memory = fmt.Sprintf("%.1f%%", p.CPU), terminal.FormatMegabytes(p.Memory)
		}
		name := p.Name
		if p.Instances > 1 {
			name = fmt.Sprintf("%s/%d", p.Name, p.Instance)
		}
		t.AddColoredRow(statusColor(p), name, p.Kind, string(p.Status), pid, fmt.Sprint(p.Restarts), uptime, cpu, memory, orDash(p.Version), describeProblem(p))
	}
	return t.Print(e.stdout, e.screen())
}

// orDash returns text, and - for an empty cell.
func orDash(text string) string { return cmp.Or(text, "-") }

// describeProblem returns the note of a process in the table: what is wrong with it or under way, else its own message.
func describeProblem(p control.Process) string {
	note := p.Message
	if !p.Ready && p.Reason != "" {
		note = strings.TrimSuffix(p.Reason+"; "+p.Message, "; ")
	}
	if p.DeployFailure != "" {
		note = p.DeployFailure
	}
	if p.ReloadFailure != "" {
		note = "not replaced: " + p.ReloadFailure
	}
	if n := len(p.Draining); n > 0 {
		note = strings.TrimSuffix(fmt.Sprintf("%d draining; %s", n, note), "; ")
	}
	return note
}

// statusColor returns green for a ready process, red for a failure, yellow for a process under way, and dim for a stopped one.
func statusColor(p control.Process) string {
	switch {
	case p.Status == control.Failed, p.Status == control.BackingOff, p.ReloadFailure != "", p.DeployFailure != "":
		return terminal.Red
	case p.Ready && !p.ReloadPending:
		return terminal.Green
	case p.Status == control.Stopped:
		return terminal.Dim
	default:
		return terminal.Yellow
	}
}
