// Package cmd has the commands of pgo, each in a file named after its verb.
package cmd

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/shim"
)

// Build describes the program: version, commit, and the commit's time in RFC 3339. The linker sets them.
type Build struct{ Version, Commit, Time string }

// Run executes the command line args, which do not include the program's name, and returns the exit code.
func Run(ctx context.Context, build Build, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == shim.Command {
		// Before anything else: every start of a process goes through here.
		fmt.Fprintln(stderr, "pgo:", shim.Exec(args[1:]))
		return shim.ExitCode
	}
	e := &env{build: build, getenv: getenv, stdout: stdout, stderr: stderr}
	return e.reportError(ctx, execute(ctx, e, args))
}

func execute(ctx context.Context, e *env, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case keeperCommand:
			return runKeeper(ctx, e, args[1:])
		case managerCommand:
			return runManager(ctx, e, args[1:])
		}
	}
	root := newRootCommand(e)
	root.SetArgs(args)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	return root.ExecuteContext(ctx)
}

func newRootCommand(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:           "pgo",
		Short:         "Manage the processes of a process file and deploy new releases of them",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          rejectUnknownCommand,
		RunE:          showHelp,
		Version:       e.build.Version,

		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().BoolP("version", "v", false, "print the version of this program")
	root.PersistentFlags().StringVar(&e.file, "file", "", "process file (default configs/pgo.yaml here or in a directory above)")
	root.PersistentFlags().StringVar(&e.homeDir, "home", "", "pgo's state directory (default $PGO_HOME, else .pgo beside configs/)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newUpCommand(e), newDownCommand(e), newApplyCommand(e), newCheckCommand(e), newSchemaCommand(e),
		newListCommand(e), newDescribeCommand(e), newLogsCommand(e), newEventsCommand(e), newInfoCommand(e), newVersionCommand(e),
		newStartCommand(e), newStopCommand(e), newRestartCommand(e), newReloadCommand(e), newRollbackCommand(e), newReleasesCommand(e),
		newScaleCommand(e), newDeleteCommand(e), newSignalCommand(e), newFlushCommand(e), newExecCommand(e), newUpgradeCommand(e),
		newExportCommand(e), newInitCommand(e), newImportCommand(e), newDeployCommand(e), newReceiveCommand(e), newHostCommand(e))
	setCompletions(e, root)
	return root
}

func showHelp(c *cobra.Command, _ []string) error { return c.Help() }
