package systemd

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
)

// AskGates asks each gate that one of the programs waits for whether they may run, or, with plan, what it would do for
// them. programs holds the paths of the new programs by process. report gets the answers. The error names the first gate
// that refuses.
func (m *Machine) AskGates(ctx context.Context, programs map[string]string, plan bool, report func(gate, text string)) error {
	for _, gate := range m.File.Processes {
		isAwaited := slices.ContainsFunc(m.File.Processes, func(p processfile.Process) bool {
			return programs[p.Name] != "" && slices.Contains(p.After, gate.Name)
		})
		if gate.Kind != processfile.KindGate || !isAwaited {
			continue
		}
		args := gate.CheckArgs
		if plan {
			args = gate.PlanArgs
		}
		if len(args) == 0 {
			if plan {
				report(gate.Name, "cannot say what it would do: the process file has no plan for it")
				continue
			}
			return fmt.Errorf("%s: under systemd a gate has to be one that can be asked: give it `ask` in the process file", gate.Name)
		}
		answer, err := m.runGate(ctx, gate, args, programs)
		if err != nil {
			return fmt.Errorf("%s: does not let it run: %w", gate.Name, err)
		}
		for line := range strings.Lines(answer) {
			if plan {
				report(gate.Name, strings.TrimSpace(line))
			}
		}
		if !plan {
			report(gate.Name, "lets them run")
		}
	}
	return nil
}

// runGate runs a gate's program with args and returns its output. Where the gate's environment names the file of a
// process, the gate gets the path of the new program instead. The error ends with the last line of the output.
func (m *Machine) runGate(ctx context.Context, gate processfile.Process, args []string, programs map[string]string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gate.Readiness.Timeout)
	defer cancel()
	env := m.Environment(gate)
	for _, p := range m.File.Processes {
		for key, value := range env {
			path := value
			if !filepath.IsAbs(path) {
				path = filepath.Join(m.WorkDir(gate), path)
			}
			if program := programs[p.Name]; value != "" && program != "" && filepath.Clean(path) == p.Command {
				env[key] = program
			}
		}
	}
	program, err := command.FindCommand(gate.Command, env)
	if err != nil {
		return "", err
	}
	process, err := m.asDeployer(gate)
	if err != nil {
		return "", err
	}
	output := &command.Output{}
	err = m.Runner.Run(ctx, command.Run{
		Process: process, Program: program, Args: args, Dir: m.WorkDir(gate), Env: command.ListEnv(env),
	}, output, output)
	text := strings.TrimSpace(string(output.Bytes()))
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, text[strings.LastIndex(text, "\n")+1:])
	}
	return text, nil
}
