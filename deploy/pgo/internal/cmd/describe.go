package cmd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func (a *app) describe() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "describe NAME",
		Short: "show all that is known of a process, its secrets masked",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("name one process, or a pattern")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			_, client, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			all, err := client.DescribeProcesses(c.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(all)
			}
			for _, d := range all {
				a.printDescription(d)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return c
}

func (a *app) printDescription(d control.Description) {
	row := func(key string, value any) { fmt.Fprintf(a.stdout, "%-14s %v\n", key, value) }
	row("name", d.Spec.Name)
	row("kind", d.Spec.Kind)
	row("command", strings.TrimSpace(d.Spec.Command+" "+strings.Join(d.Spec.Args, " ")))
	row("after", strings.Join(d.Spec.After, ", "))
	row("restart", d.Spec.Restart.Policy)
	row("stop", fmt.Sprintf("%s, then %s", d.Spec.Stop.Signal, d.Spec.Stop.Timeout))
	row("reload", d.Spec.Reload.Mode)
	for _, p := range d.Rows {
		fmt.Fprintf(a.stdout, "\n")
		row("instance", p.Instance)
		row("status", fmt.Sprintf("%s since %s", p.Status, p.Since.Local().Format(time.DateTime)))
		if p.Reason != "" {
			row("reason", p.Reason)
		}
		if p.Message != "" {
			row("message", p.Message)
		}
		row("pid", p.PID)
		row("version", p.Version)
		row("restarts", p.Restarts)
		if p.ReloadFailure != "" {
			row("last reload", p.ReloadFailure)
		}
		if p.Release != "" {
			row("release", p.Release)
		}
		if p.DeployFailure != "" {
			row("last deploy", p.DeployFailure)
		}
		for _, name := range slices.Sorted(maps.Keys(p.Listeners)) {
			row("listener "+name, p.Listeners[name])
		}
	}
	fmt.Fprintf(a.stdout, "\nenvironment of its own\n")
	for _, key := range slices.Sorted(maps.Keys(d.Spec.Env)) {
		fmt.Fprintf(a.stdout, "  %s=%s\n", key, d.Spec.Env[key])
	}
}
