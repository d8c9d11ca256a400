package cmd

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/terminal"
)

func newDescribeCommand(e *env) *cobra.Command {
	var asJSON, showEnv bool
	c := &cobra.Command{
		Use:   "describe NAME",
		Short: "Show the details of a process, with its secrets masked",
		Long: "Shows the configuration of a process, and of each instance its state, resource use, log and environment. Values that may be\n" +
			"secrets are masked: by their name, as a password in a URL, or as a part of another value.",
		Args: requireCount(1, "name one process, or a pattern"),
		RunE: func(c *cobra.Command, args []string) error {
			h, client, err := e.connect(c.Context())
			if err != nil {
				return err
			}
			all, err := client.DescribeProcesses(c.Context(), args[0], showEnv)
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(all)
			}
			for _, d := range all {
				printDescription(e.stdout, h, d)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().BoolVar(&showEnv, "show-env", false, "print the environment with its secrets; only root and the owner of pgo can")
	return c
}

func printDescription(w io.Writer, h home.Home, d control.Description) {
	row := func(key string, value any) { _ = terminal.PrintLine(w, "%-14s %v", key, value) }
	optional := func(key, value string) {
		if value != "" {
			row(key, value)
		}
	}
	row("name", d.Spec.Name)
	row("kind", d.Spec.Kind)
	row("command", strings.TrimSpace(d.Spec.Command+" "+strings.Join(d.Spec.Args, " ")))
	row("after", strings.Join(d.Spec.After, ", "))
	row("restart", d.Spec.Restart.Policy)
	row("stop", fmt.Sprintf("%s, then %s", d.Spec.Stop.Signal, d.Spec.Stop.Timeout))
	row("reload", d.Spec.Reload.Mode)
	if d.Spec.Cron != "" {
		row("schedule", fmt.Sprintf("%s, next at %s", d.Spec.Cron, processfile.NextRun(d.Spec.Cron, time.Now()).Local().Format(time.DateTime)))
	}
	row("log", h.LogPath(d.Spec.Name))
	if d.Spec.Logs.Split {
		row("log of stderr", h.ErrLogPath(d.Spec.Name))
	}
	for _, p := range d.Rows {
		fmt.Fprintln(w)
		row("instance", p.Instance)
		row("status", fmt.Sprintf("%s since %s", p.Status, p.Since.Local().Format(time.DateTime)))
		optional("reason", p.Reason)
		optional("message", p.Message)
		row("pid", p.PID)
		row("version", p.Version)
		if p.PID != 0 {
			row("uptime", terminal.FormatDuration(time.Duration(p.Uptime)*time.Second))
			row("cpu", fmt.Sprintf("%.1f%%", p.CPU))
			row("memory", terminal.FormatMegabytes(p.Memory))
		}
		row("restarts", p.Restarts)
		optional("last reload", p.ReloadFailure)
		optional("release", p.Release)
		optional("last deploy", p.DeployFailure)
		for _, name := range slices.Sorted(maps.Keys(p.Listeners)) {
			row("listener "+name, p.Listeners[name])
		}
	}
	fmt.Fprintf(w, "\nenvironment of its own\n")
	for _, key := range slices.Sorted(maps.Keys(d.Spec.Env)) {
		_ = terminal.PrintLine(w, "  %s=%s", key, d.Spec.Env[key])
	}
}
