package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/manager"
)

func (a *app) list() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list [NAME...]",
		Aliases: []string{"ls", "status"},
		Short:   "show the processes named (names, patterns), or all",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, names []string) error {
			h, client, err := a.connect(c.Context())
			processes := []control.Process{}
			if errors.Is(err, control.ErrNotRunning) {
				// Nothing runs is an answer; that something was left behind is not to be passed over.
				if left, _ := manager.Leftovers(h); len(left) > 0 {
					return fmt.Errorf("%w, but %s that it started, since it was killed: pgo up or pgo down", control.ErrNotRunning, count(len(left), "process does", "processes do"))
				}
				if !asJSON {
					fmt.Fprintln(a.stdout, err)
					return nil
				}
			} else if err != nil {
				return err
			} else if processes, err = client.ListProcesses(c.Context()); err != nil {
				return err
			}
			if len(names) > 0 && len(processes) > 0 {
				if processes = named(processes, names); len(processes) == 0 {
					return fmt.Errorf("there is no process %q", names[0])
				}
			}
			if asJSON {
				return a.printJSON(processes)
			}
			return a.printTable(processes)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return c
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (a *app) printTable(processes []control.Process) error {
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tSTATUS\tPID\tRESTARTS\tUPTIME\tCPU\tMEMORY\tVERSION\tNOTE")
	for _, p := range processes {
		pid, uptime, cpu, memory := "-", "-", "-", "-"
		if p.PID != 0 {
			pid, uptime = fmt.Sprint(p.PID), (time.Duration(p.Uptime) * time.Second).String()
			cpu, memory = fmt.Sprintf("%.1f%%", p.CPU), fmt.Sprintf("%.1f MB", float64(p.Memory)/1e6)
		}
		version := p.Version
		if version == "" {
			version = "-"
		}
		name := p.Name
		if p.Instances > 1 {
			name = fmt.Sprintf("%s/%d", p.Name, p.Instance)
		}
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n",
			name, p.Kind, p.Status, pid, p.Restarts, uptime, cpu, memory, version, note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !a.colours() {
		_, err := fmt.Fprint(a.stdout, table.String())
		return err
	}
	for i, line := range strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n") {
		colour := "1" // the heading
		if i > 0 {
			colour = colourOf(processes[i-1])
		}
		fmt.Fprintf(a.stdout, "\x1b[%sm%s\x1b[0m\n", colour, line)
	}
	return nil
}

// colours tells whether a person looks at a terminal and has nothing against colours.
func (a *app) colours() bool {
	f, ok := a.stdout.(*os.File)
	if !ok || a.getenv("NO_COLOR") != "" || a.getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// colourOf is green for what is well, red for what is not, yellow for what is under way.
func colourOf(p control.Process) string {
	switch {
	case p.Status == control.Failed, p.Status == control.BackingOff, p.ReloadFailure != "", p.DeployFailure != "":
		return "31"
	case p.Ready && !p.ReloadPending:
		return "32"
	case p.Status == control.Stopped:
		return "2"
	default:
		return "33"
	}
}
