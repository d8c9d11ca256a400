package cmd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/release"
)

// completionTimeout is how long a shell waits for what a manager knows.
const completionTimeout = time.Second

// setCompletions sets what a shell completes for the arguments of each command. Where there is nothing to complete, it does not
// offer files.
func setCompletions(e *env, root *cobra.Command) {
	names, watched := completeEach(e.listNames, "all"), completeEach(e.listWatched)
	byCommand := map[string]cobra.CompletionFunc{
		"start": names, "stop": names, "restart": names, "reload": names, "delete": names, "flush": names, "list": names,
		"describe": completeFirst(e.listNames), "scale": completeFirst(e.listNames), "exec": completeProgramArgs(e),
		"signal": completeSignal(e), "logs": completeEach(e.listLogs, "all"), "systemd": completeEach(e.listInFile),
		"deploy": watched, "releases": watched, "rollback": completeRollback(e),
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if !c.HasSubCommands() {
			if c.ValidArgsFunction = byCommand[c.Name()]; c.ValidArgsFunction == nil {
				c.ValidArgsFunction = cobra.NoFileCompletions
			}
		}
		for _, flag := range []string{"home", "from", "dir"} {
			_ = c.MarkFlagDirname(flag) // an error means that the command does not have it
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
	_ = root.MarkPersistentFlagFilename("file", "yaml", "yml") // it is there
	_ = root.MarkPersistentFlagDirname("home")
}

// lister lists what a command takes as arguments.
type lister func(ctx context.Context) []string

// completeEach completes each argument of a list with what is not among the ones before.
func completeEach(list lister, more ...string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		all := slices.DeleteFunc(append(list(c.Context()), more...), func(name string) bool { return slices.Contains(args, name) })
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFirst completes only the first argument.
func completeFirst(list lister) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list(c.Context()), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeProgramArgs completes the name of a process, and files as arguments of its program.
func completeProgramArgs(e *env) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return e.listInFile(c.Context()), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSignal completes a signal, then names.
func completeSignal(e *env) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return []string{"SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGQUIT", "SIGKILL", "SIGSTOP", "SIGCONT"}, cobra.ShellCompDirectiveNoFileComp
		}
		return completeEach(e.listNames, "all")(c, args[1:], text)
	}
}

// completeRollback completes a watched process, then one of its releases.
func completeRollback(e *env) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return e.listWatched(c.Context()), cobra.ShellCompDirectiveNoFileComp
		case 1:
			return e.listReleases(args[0]), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// listNames lists the processes that run, else those of the process file.
func (e *env) listNames(ctx context.Context) []string {
	h, err := e.findHome()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	client, err := control.Connect(ctx, h)
	if err != nil {
		return e.listInFile(ctx)
	}
	processes, err := client.ListProcesses(ctx)
	if err != nil {
		return e.listInFile(ctx)
	}
	var names []string
	for _, p := range processes {
		if p.Instance == 0 {
			names = append(names, p.Name)
		}
	}
	return names
}

// listInFile lists the processes of the process file.
func (e *env) listInFile(context.Context) []string {
	_, file, err := e.loadProcessFile()
	if err != nil {
		return nil
	}
	var names []string
	for _, p := range file.Processes {
		names = append(names, p.Name)
	}
	return names
}

// listWatched lists the processes of the process file that can be deployed.
func (e *env) listWatched(context.Context) []string {
	_, file, err := e.loadProcessFile()
	if err != nil {
		return nil
	}
	var names []string
	for _, p := range file.Processes {
		if p.Watch.Enabled {
			names = append(names, p.Name)
		}
	}
	return names
}

// listLogs lists the processes that have a log, and pgo.
func (e *env) listLogs(context.Context) []string {
	h, err := e.findHome()
	if err != nil {
		return nil
	}
	known, err := logfile.ListNames(h.LogDir())
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(known, func(name string) bool { return strings.HasSuffix(name, ".err") })
}

// listReleases lists the releases of a process: the version, where it has one, else the beginning of the SHA-256.
func (e *env) listReleases(process string) []string {
	h, err := e.findHome()
	if err != nil {
		return nil
	}
	all, err := (&release.Store{Dir: h.ReleaseDir()}).List(process)
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range all {
		name := r.Record.Version
		if name == "" {
			name = release.ShortSum(r.Record.Verification.SHA256)
		}
		if !r.Current && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
