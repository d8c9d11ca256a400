package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
	files "pgo/deploy/pgo/internal/watch"
)

// gates look at programs before they run.
type gates interface {
	// deployed is what is run for each file that is watched.
	deployed() map[string]string
	// pass asks the gates that the process comes after whether it may run the program. The error is files.ErrNotNow
	// where they cannot tell now.
	pass(p *process, c copied) error
}

// tryLater is the exit code of a gate that cannot tell now: EX_UNAVAILABLE.
const tryLater = 69

func (m *Manager) deployed() map[string]string {
	m.mu.Lock()
	processes := maps.Clone(m.processes)
	m.mu.Unlock()
	copies := map[string]string{}
	for _, p := range processes {
		if c, err := p.program(); err == nil && c.path != "" {
			copies[p.current().Command] = p.shown(c)
		}
	}
	return copies
}

// gatesOf are the gates that a process comes after.
func (m *Manager) gatesOf(p *process) []*process {
	var found []*process
	for _, name := range p.current().After {
		if gate := m.process(name); gate != nil && gate.current().Kind == processfile.KindGate {
			found = append(found, gate)
		}
	}
	return found
}

// awaitGates returns when the gates that a process comes after are ready. One that is not patient gets files.ErrNotNow.
func (m *Manager) awaitGates(ctx context.Context, p *process, patient bool) error {
	var names []string
	for _, gate := range m.gatesOf(p) {
		names = append(names, gate.name)
	}
	for {
		late, changed := m.host.board.FirstUnready(names)
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
		case <-m.ended:
			return errDown
		}
	}
}

func (m *Manager) pass(p *process, c copied) error { return m.passAll(map[*process]copied{p: c}) }

// passAll asks each gate that one of the processes comes after once, whether they may run these programs.
func (m *Manager) passAll(programs map[*process]copied) error {
	for _, gate := range m.gatesOfAll(programs) {
		var err error
		if args := gate.current().CheckArgs; len(args) > 0 {
			_, err = m.askGate(gate, args, programs)
		} else {
			err = m.restartGate(gate, programs)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", gate.name, err)
		}
	}
	return nil
}

func (m *Manager) gatesOfAll(programs map[*process]copied) []*process {
	byName := map[string]*process{}
	for p := range programs {
		for _, gate := range m.gatesOf(p) {
			byName[gate.name] = gate
		}
	}
	var all []*process
	for _, name := range sortedNames(byName) {
		all = append(all, byName[name])
	}
	return all
}

// askGate runs the program of the gate beside it, as the gate runs but for its arguments and the programs to look at.
// It returns what was said.
func (m *Manager) askGate(gate *process, args []string, programs map[*process]copied) ([]string, error) {
	spec := gate.current()
	var k *child
	for _, i := range gate.all() {
		k = i.runs()
	}
	if k == nil {
		return nil, fmt.Errorf("does not run: %w", files.ErrNotNow)
	}
	ctx, cancel := context.WithTimeout(context.Background(), spec.Readiness.Timeout)
	defer cancel()
	deployed := m.deployed()
	for p, c := range programs {
		deployed[p.current().Command] = c.path
	}
	// The very program that runs: its file may be half an upload too.
	cmd := exec.CommandContext(ctx, fmt.Sprintf("/proc/%d/exe", k.Child.PID), args...)
	cmd.Args[0] = spec.Command
	cmd.Dir, cmd.Env = k.dir(), list(looksAt(surroundings(m.host.env, spec), k.dir(), deployed))
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
func (m *Manager) restartGate(gate *process, programs map[*process]copied) error {
	before := map[*process]copied{}
	for p, c := range programs {
		if was, unfit := p.program(); unfit == nil {
			before[p] = was
		}
		p.choose(c)
	}
	gate.stop()
	gate.start()
	for {
		late, changed := m.host.board.FirstUnready([]string{gate.name})
		switch late.Status {
		case control.Ready:
			return nil
		case control.Failed, control.BackingOff, control.Stopped:
			for p, was := range before {
				p.choose(was)
			}
			gate.stop()
			gate.start()
			return fmt.Errorf("does not let it run: it is %s with it: %s", late.Status, late.Reason)
		}
		select {
		case <-changed:
		case <-m.ended:
			return errDown
		}
	}
}
