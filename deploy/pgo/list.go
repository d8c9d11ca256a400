package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/manager"
)

func (a *app) list() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls", "status"},
		Short:   "show all processes",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, client, err := a.connect(c.Context())
			processes := []control.Process{}
			if errors.Is(err, control.ErrNotRunning) {
				// Nothing runs is an answer; that something was left behind is not to be passed over.
				if left, _ := manager.Leftovers(h); len(left) > 0 {
					return fmt.Errorf("%w, but %d processes that it started do, since it was killed: pgo up or pgo down", control.ErrNotRunning, len(left))
				}
				if !asJSON {
					fmt.Fprintln(a.stdout, err)
					return nil
				}
			} else if err != nil {
				return err
			} else if processes, err = client.Processes(c.Context()); err != nil {
				return err
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
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
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
		note := p.Message
		if !p.Ready && p.Reason != "" {
			note = strings.TrimSuffix(p.Reason+"; "+p.Message, "; ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n",
			p.Name, p.Kind, p.Status, pid, p.Restarts, uptime, cpu, memory, version, note)
	}
	return t.Flush()
}
