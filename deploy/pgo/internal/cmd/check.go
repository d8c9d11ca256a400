package cmd

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
)

func newCheckCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check that the process file is valid",
		Long: "Reads the process file as pgo up does, and looks for the programs of its probes (ready.exec, live.exec). The programs of the\n" +
			"processes themselves may be built or deployed later.",
		Args: rejectArgs,
		RunE: func(*cobra.Command, []string) error {
			_, file, err := e.loadProcessFile()
			if err != nil {
				return err
			}
			if err := checkProbes(file, os.Environ()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "%s is valid: %s\n", file.Path, formatCount(len(file.Processes), "process", "processes"))
			return err
		},
	}
}

// checkProbes returns an *processfile.Error for each probe whose program is missing. A probe that runs the program of its process
// is left out: that may not be built yet.
func checkProbes(file processfile.File, environ []string) error {
	base := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		base[name] = value
	}
	var missing []error
	for _, p := range file.Processes {
		env := command.MergeEnv(base, p)
		for _, probe := range []struct {
			key   string
			words []string
		}{{"ready.exec", p.Readiness.Exec}, {"live.exec", p.Liveness.Exec}} {
			if len(probe.words) == 0 || probe.words[0] == p.Command {
				continue
			}
			if _, err := command.FindCommand(probe.words[0], env); err != nil {
				missing = append(missing, &processfile.Error{Path: file.Path, Key: fmt.Sprintf("processes.%s.%s", p.Name, probe.key), Text: err.Error()})
			}
		}
	}
	return errors.Join(missing...)
}
