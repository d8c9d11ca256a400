package cmd

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/ecosystem"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/terminal"
)

func newImportCommand(e *env) *cobra.Command {
	var section string
	var onlyPrint bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Write a process file from an ecosystem file of PM2",
		Long: "Converts an ecosystem file of PM2 (.config.js, .json, .yaml) to configs/pgo.yaml, or to --file. What has no counterpart is\n" +
			"listed on stderr, with what to do. A JavaScript file is evaluated by Node.",
		Args: requireCount(1, "name an ecosystem file, such as ecosystem.config.js"),
		RunE: func(c *cobra.Command, args []string) error {
			path := ""
			var err error
			if !onlyPrint {
				if path, err = newProcessFile(e); err != nil {
					return err
				}
			}
			root, err := filepath.Abs(processfile.RootDir(path))
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			source, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			apps, hasDeploy, err := ecosystem.Read(c.Context(), source)
			if err != nil {
				return err
			}
			text, notes, err := ecosystem.Convert(apps, hasDeploy, ecosystem.Options{Dir: filepath.Dir(source), Root: root, Section: section})
			if err != nil {
				return err
			}
			header := fmt.Sprintf("# Written by pgo import from %s. pgo schema and docs/pgo-process-file.md have all keys.\n", filepath.Base(source))
			text = append([]byte(header), text...)
			for _, note := range notes {
				_ = terminal.PrintLine(e.stderr, "%s", note)
			}
			if onlyPrint {
				_, err = e.stdout.Write(text)
				return err
			}
			if err := writeProcessFile(e, path, text); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "%s has %s: look at it, then pgo check and pgo up\n", path, formatCount(len(apps), "process", "processes"))
			return err
		},
	}
	c.Flags().StringVar(&section, "env", "", "also take the values of env_NAME, such as production")
	c.Flags().BoolVar(&onlyPrint, "print", false, "print the process file instead of writing it")
	return c
}
