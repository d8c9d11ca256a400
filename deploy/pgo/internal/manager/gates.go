package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	files "pgo/deploy/pgo/internal/watch"
)

// tryLater is the exit code of a gate that cannot tell now: EX_UNAVAILABLE.
const tryLater = 69

// DeployedPrograms returns the program that runs for each deployed file that is watched.
func (m *Manager) DeployedPrograms() map[string]string {
	processes := m.set.ByName()
	copies := map[string]string{}
	for _, p := range processes {
		if c, err := p.Program(); err == nil && c.Path != "" {
			copies[p.Spec().Command] = p.VisiblePath(c)
		}
	}
	return copies
}

// gatesOf are the gates that a process comes after.
func (m *Manager) gatesOf(p *supervise.Process) []*supervise.Process {
	var found []*supervise.Process
	for _, name := range p.Spec().After {
		if gate := m.set.Lookup(name); gate != nil && gate.Spec().Kind == processfile.KindGate {
			found = append(found, gate)
		}
	}
	return found
}

// awaitGates returns when the gates that a process comes after are ready. One that is not patient gets files.ErrNotNow.
func (m *Manager) awaitGates(ctx context.Context, p *supervise.Process, patient bool) error {
	var names []string
	for _, gate := range m.gatesOf(p) {
		names = append(names, gate.Name)
	}
	for {
		late, changed := m.host.Store.FirstUnready(names)
		switch {
		case late.Name == "":
			return nil
		case !patient:
			return fmt.Errorf("%s is %s: %w", late.Name, late.Status, files.ErrNotNow)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.set.Ended():
			return supervise.ErrDown
		}
	}
}

func (m *Manager) pass(p *supervise.Process, c supervise.Program) error {
	return m.passAll(map[*supervise.Process]supervise.Program{p: c})
}

// passAll asks each gate that one of the processes comes after once, whether they may run these programs.
func (m *Manager) passAll(programs map[*supervise.Process]supervise.Program) error {
	for _, gate := range m.gatesOfAll(programs) {
		var err error
		if args := gate.Spec().CheckArgs; len(args) > 0 {
			_, err = m.askGate(gate, args, programs)
		} else {
			err = m.restartGate(gate, programs)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", gate.Name, err)
		}
	}
	return nil
}

func (m *Manager) gatesOfAll(programs map[*supervise.Process]supervise.Program) []*supervise.Process {
	byName := map[string]*supervise.Process{}
	for p := range programs {
		for _, gate := range m.gatesOf(p) {
			byName[gate.Name] = gate
		}
	}
	var all []*supervise.Process
	for _, name := range supervise.SortedNames(byName) {
		all = append(all, byName[name])
	}
	return all
}

// askGate runs the program of the gate beside it, as the gate runs but for its arguments and the programs to look at.
// It returns what was said.
func (m *Manager) askGate(gate *supervise.Process, args []string, programs map[*supervise.Process]supervise.Program) ([]string, error) {
	spec := gate.Spec()
	var k *supervise.Child
	for _, i := range gate.Instances() {
		k = i.Child()
	}
	if k == nil {
		return nil, fmt.Errorf("does not run: %w", files.ErrNotNow)
	}
	ctx, cancel := context.WithTimeout(context.Background(), spec.Readiness.Timeout)
	defer cancel()
	deployed := m.DeployedPrograms()
	for p, c := range programs {
		deployed[p.Spec().Command] = c.Path
	}
	// The very program that runs: its file may be half an upload too.
	cmd := exec.CommandContext(ctx, fmt.Sprintf("/proc/%d/exe", k.Handle.PID), args...)
	cmd.Args[0] = spec.Command
	cmd.Dir, cmd.Env = k.Dir(), supervise.ListEnv(supervise.SubstituteDeployed(supervise.MergeEnv(m.host.Env, spec), k.Dir(), deployed))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return proc.KillGroup(cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said := &state.Tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return said.Lines(), nil
	case exit != nil && exit.ExitCode() == tryLater, exit == nil:
		return nil, fmt.Errorf("cannot look at it: %w: %s: %w", err, lastWord(said), files.ErrNotNow)
	}
	return nil, fmt.Errorf("does not let it run: %w: %s", err, lastWord(said))
}

// lastWord is the last line that was said; of a line of JSON its message.
func lastWord(w *state.Tail) string {
	lines := w.Lines()
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

// restartGate starts a gate anew that cannot be asked otherwise, with the new programs to look at. Where it does not
// become ready it is started anew once more, with those from before.
func (m *Manager) restartGate(gate *supervise.Process, programs map[*supervise.Process]supervise.Program) error {
	before := map[*supervise.Process]supervise.Program{}
	for p, c := range programs {
		if was, unfit := p.Program(); unfit == nil {
			before[p] = was
		}
		p.Choose(c)
	}
	gate.Stop()
	gate.Start()
	for {
		late, changed := m.host.Store.FirstUnready([]string{gate.Name})
		switch late.Status {
		case control.Ready:
			return nil
		case control.Failed, control.BackingOff, control.Stopped:
			for p, was := range before {
				p.Choose(was)
			}
			gate.Stop()
			gate.Start()
			return fmt.Errorf("does not let it run: it is %s with it: %s", late.Status, late.Reason)
		}
		select {
		case <-changed:
		case <-m.set.Ended():
			return supervise.ErrDown
		}
	}
}
