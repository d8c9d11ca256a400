package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/shim"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/watch"
)

// exitUnavailable is the exit code of a gate that cannot answer now: EX_UNAVAILABLE.
const exitUnavailable = 69

// programs holds the new program of each process.
type programs map[*supervise.Process]supervise.Program

// DeployedPrograms returns the program that runs for each deployed file that is watched, by the path of the file.
func (d *Deployer) DeployedPrograms() map[string]string {
	copies := map[string]string{}
	for _, p := range d.set.ByName() {
		if program, err := p.Program(); err == nil && program.Path != "" {
			copies[p.Spec().Command] = p.VisiblePath(program)
		}
	}
	return copies
}

// gatesOf returns the gates that a process comes after.
func (d *Deployer) gatesOf(p *supervise.Process) []*supervise.Process {
	var found []*supervise.Process
	for _, name := range p.Spec().After {
		if gate := d.set.Lookup(name); gate != nil && gate.Spec().Kind == processfile.KindGate {
			found = append(found, gate)
		}
	}
	return found
}

// gatesOfAll returns the gates that any of the processes comes after, each once, by name.
func (d *Deployer) gatesOfAll(all programs) []*supervise.Process {
	byName := map[string]*supervise.Process{}
	for p := range all {
		for _, gate := range d.gatesOf(p) {
			byName[gate.Name] = gate
		}
	}
	var gates []*supervise.Process
	for _, name := range supervise.SortedNames(byName) {
		gates = append(gates, byName[name])
	}
	return gates
}

// awaitGates returns when the gates that a process comes after are ready. If wait is false it returns watch.ErrNotNow
// instead of waiting. When ctx ends, it returns the cause and the gate that it waited for.
func (d *Deployer) awaitGates(ctx context.Context, p *supervise.Process, wait bool) error {
	var names []string
	for _, gate := range d.gatesOf(p) {
		names = append(names, gate.Name)
	}
	for {
		late, changed := d.deps.Store.FirstUnready(names)
		switch {
		case late.Name == "":
			return nil
		case !wait:
			return fmt.Errorf("%s is %s: %w", late.Name, late.Status, watch.ErrNotNow)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s is %s: %s: %w", late.Name, late.Status, late.Reason, context.Cause(ctx))
		}
	}
}

// askGates asks each gate that any of the processes comes after, once, whether they may run these programs. The error
// wraps watch.ErrNotNow if a gate cannot answer now.
func (d *Deployer) askGates(ctx context.Context, all programs) error {
	for _, gate := range d.gatesOfAll(all) {
		var err error
		if args := gate.Spec().CheckArgs; len(args) > 0 {
			_, err = d.runGate(ctx, gate, args, all)
		} else {
			err = d.restartGate(ctx, gate, all)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", gate.Name, err)
		}
	}
	return nil
}

// runGate runs the program of a gate beside it, as the gate runs but for its arguments and the programs to look at. It
// returns the last lines of the output.
func (d *Deployer) runGate(ctx context.Context, gate *supervise.Process, args []string, all programs) ([]string, error) {
	spec := gate.Spec()
	var k *supervise.Child
	for _, i := range gate.Instances() {
		k = i.Child()
	}
	if k == nil {
		return nil, fmt.Errorf("does not run: %w", watch.ErrNotNow)
	}
	limited, cancel := context.WithTimeout(ctx, spec.Readiness.Timeout)
	defer cancel()
	deployed := d.DeployedPrograms()
	for p, program := range all {
		deployed[p.Spec().Command] = program.Path
	}
	env := command.MergeEnv(d.deps.Env, spec)
	output := &state.Tail{}
	err := d.deps.Runner.Run(limited, command.Run{
		Process: spec, Program: findGateProgram(spec, k, env), Args: args, Name: spec.Command, Dir: k.Dir(),
		Env: command.ListEnv(supervise.SubstituteDeployed(env, k.Dir(), deployed)),
	}, output, output)
	if err := judgeAnswer(err, lastMessage(output)); err != nil {
		return nil, err
	}
	return output.Lines(), nil
}

// findGateProgram returns the very program that runs, since its file may be half an upload. Of a script the interpreter runs: that is
// run by its path.
func findGateProgram(spec processfile.Process, k *supervise.Child, env map[string]string) string {
	path, err := command.FindCommand(spec.Command, env)
	if err == nil {
		if _, isScript := command.ReadInterpreter(path); isScript {
			return path
		}
	}
	return fmt.Sprintf("/proc/%d/exe", k.Handle.PID)
}

// judgeAnswer returns nil if a gate's program has ended well. A program that could not run, or says that it cannot tell now, is
// asked again: its error is watch.ErrNotNow. Every other end of it is a refusal.
func judgeAnswer(err error, message string) error {
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case exit == nil, slices.Contains([]int{exitUnavailable, shim.ExitCode}, exit.ExitCode()):
		return fmt.Errorf("cannot look at it: %w: %s: %w", err, message, watch.ErrNotNow)
	}
	return fmt.Errorf("does not let it run: %w: %s", err, message)
}

// lastMessage returns the last line of the output; of a line of JSON its message.
func lastMessage(output *state.Tail) string {
	lines := output.Lines()
	if len(lines) == 0 {
		return "it said nothing"
	}
	last := strings.TrimSpace(lines[len(lines)-1])
	var line struct {
		Msg string `json:"msg"`
	}
	if d := json.NewDecoder(bytes.NewReader([]byte(last))); d.Decode(&line) == nil && line.Msg != "" {
		return line.Msg
	}
	return last
}

// restartGate restarts a gate that cannot be asked otherwise, with the new programs to look at. If it does not become
// ready, it is restarted once more with the programs from before.
func (d *Deployer) restartGate(ctx context.Context, gate *supervise.Process, all programs) error {
	if d.set.IsDown() {
		return fmt.Errorf("is not restarted to look at it: %w: %w", supervise.ErrDown, watch.ErrNotNow)
	}
	timeout := gate.Spec().Readiness.Timeout + gatesTimeout // it may wait for what comes before it
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not ready within %s", timeout))
	defer cancel()
	before := programs{}
	for p, program := range all {
		if was, noProgram := p.Program(); noProgram == nil {
			before[p] = was
		}
		p.Choose(program)
	}
	gate.Stop()
	gate.Start()
	for {
		late, changed := d.deps.Store.FirstUnready([]string{gate.Name})
		switch late.Status {
		case control.Ready:
			return nil
		case control.Failed, control.BackingOff, control.Stopped:
			restartWith(gate, before)
			return fmt.Errorf("does not let it run: it is %s with it: %s", late.Status, late.Reason)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			restartWith(gate, before)
			return fmt.Errorf("cannot look at it: it is %s: %s: %w: %w", late.Status, late.Reason, context.Cause(ctx), watch.ErrNotNow)
		}
	}
}

// restartWith restarts a gate with these programs to look at.
func restartWith(gate *supervise.Process, all programs) {
	for p, program := range all {
		p.Choose(program)
	}
	gate.Stop()
	gate.Start()
}
