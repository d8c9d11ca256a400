package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// transition is a change of state. The table in docs/pgo.md has pairs of states.
type transition struct{ from, to control.State }

func (t transition) String() string { return fmt.Sprintf("%s -> %s", t.from, t.to) }

// documentedTransitions reads the table of states in docs/pgo.md. It ignores text in parentheses, which is for readers.
func documentedTransitions(t *testing.T) map[transition]bool {
	t.Helper()
	text, err := os.ReadFile("../../../docs/pgo.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## States\n")
	section, _, _ = strings.Cut(section, "\n## ")
	states := []control.State{
		control.Waiting, control.Starting, control.Ready, control.Reloading, control.Draining, control.Stopping,
		control.Stopped, control.BackingOff, control.Failed,
	}
	known := func(word string) control.State {
		state := control.State(strings.TrimSpace(word))
		if !slices.Contains(states, state) {
			t.Fatalf("docs/pgo.md: %q in the table of states is none", word)
		}
		return state
	}
	table := map[transition]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.TrimSpace(cells[1]) == "state" {
			continue
		}
		for to := range strings.SplitSeq(removeParentheses(cells[3]), ",") {
			table[transition{known(cells[1]), known(to)}] = true
		}
	}
	return table
}

func removeParentheses(text string) string {
	var kept strings.Builder
	depth := 0
	for _, c := range text {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0:
			kept.WriteRune(c)
		}
	}
	return kept.String()
}

// TestTransitions plays every life of a process and compares it with the table in docs/pgo.md: no other change of state occurs,
// and each one in the table does.
func TestTransitions(t *testing.T) {
	t.Parallel()
	const web = `{command: ACTOR, args: [actor, "ends=DIR/web.final:78", "ends=DIR/web.done:0", "await=DIR/web.open", ready, "leaves=DIR/web.leave"],
    after: [gate], ready: {notify: true}, reload: {mode: beside, stable: 10ms}, stop: {timeout: 5s}, restart: {policy: on-failure, final_exit_codes: [78], first_wait: 10ms}}`
	s := newSandbox(t, `  gate: {kind: gate, command: ACTOR, args: [actor, ready], ready: {notify: true}}
  web: `+web+`
  late: {command: ACTOR, args: [actor], ready: {notify: true, within: 50ms}, restart: {first_wait: 1h, longest_wait: 1h}}
  never: {command: ACTOR, args: [actor], ready: {notify: true, within: 50ms}, restart: {policy: never}}
`)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	tell := func(name string) { t.Helper(); touchFile(t, at(name)) }
	open := func() { t.Helper(); tell("web.open") }
	shut := func() {
		t.Helper()
		if err := os.Remove(at("web.open")); err != nil {
			t.Fatal(err)
		}
	}
	is := func(name string, state control.State) control.Process { t.Helper(); return s.awaitState(name, state) }
	kill := func(name string) (pid int) {
		t.Helper()
		eventually(t, name+" is killed", func() error {
			pid = s.listByName()[name].PID // 0 until it runs
			return proc.Kill(pid, syscall.SIGKILL)
		})
		return pid
	}
	// begin starts a command that does not end before something else happens.
	begin := func(args ...string) {
		t.Helper()
		cmd := s.newCommand(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it has ended in most cases
			_ = cmd.Wait()
		})
	}
	ready := func() {
		t.Helper()
		open()
		begin("start", "web")
		is("web", control.Ready)
	}
	reloading := func() {
		t.Helper()
		shut()
		begin("reload", "web")
		is("web", control.Reloading)
	}
	// ended waits until web has ended by itself, and restarts it.
	ended := func(state control.State) {
		t.Helper()
		is("web", state)
		begin("start", "web")
		is("web", control.Ready)
	}

	scenarios := []struct {
		name  string
		shows string // the transitions that it shows
		play  func()
	}{
		{"a start and a stop", "waiting starting ready stopping stopped", func() { ready(); s.mustRun("stop", "web"); ready() }},
		{"a crash", "ready backing-off waiting starting ready", func() {
			kill("web")
			eventually(t, "it runs again", func() error {
				if p := s.listByName()["web"]; p.Status != control.Ready || p.Restarts == 0 {
					return fmt.Errorf("%+v", p)
				}
				return nil
			})
		}},
		{"a final end, and an end that is well", "ready failed, ready stopped", func() {
			tell("web.final")
			ended(control.Failed)
			tell("web.done")
			ended(control.Stopped)
		}},
		{"an end before it is ready", "starting failed, stopped, backing-off, stopping", func() {
			for file, state := range map[string]control.State{"web.final": control.Failed, "web.done": control.Stopped} {
				s.mustRun("stop", "web")
				shut()
				begin("start", "web")
				is("web", control.Starting)
				tell(file)
				is("web", state)
				open()
			}
			shut()
			begin("start", "web")
			is("web", control.Starting)
			killed := kill("web")
			eventually(t, "it starts again", func() error {
				if p := s.listByName()["web"]; p.Status != control.Starting || p.PID == killed || p.PID == 0 {
					return fmt.Errorf("%+v", p)
				}
				return nil
			})
			s.mustRun("stop", "web")
			open()
			ready()
		}},
		{"not ready in time", "starting stopping backing-off stopped, and failed", func() {
			eventually(t, "late waits: the first start again is at once", func() error {
				if p := s.listByName()["late"]; p.Status != control.BackingOff || p.Restarts == 0 {
					return fmt.Errorf("%+v", p)
				}
				return nil
			})
			s.mustRun("stop", "late")
			is("late", control.Stopped)
			is("never", control.Failed) // since up
			s.mustRun("stop", "never")
			is("never", control.Stopped) // failed stopped
			begin("start", "never")
			is("never", control.Failed)
			begin("start", "never") // failed waiting
			is("never", control.Failed)
		}},
		{"a reload", "ready reloading ready, ready draining stopped", func() { s.mustRun("reload", "web"); is("web", control.Ready) }},
		{"a stop in a reload", "reloading stopping", func() { reloading(); s.mustRun("stop", "web"); ready() }},
		{"the old one crashes in a reload", "reloading starting", func() {
			reloading()
			kill("web")
			is("web", control.Starting)
			open()
			is("web", control.Ready)
		}},
		{"the old one leaves in a reload", "reloading stopping ready", func() {
			reloading()
			tell("web.leave")
			is("web", control.Stopping)
			open()
			is("web", control.Ready)
		}},
		{"the old one leaves in a reload, and ends", "reloading stopping starting", func() {
			reloading()
			tell("web.leave")
			is("web", control.Stopping)
			kill("web")
			is("web", control.Starting)
			open()
			is("web", control.Ready)
		}},
		{"a reload of one that is leaving", "stopping reloading", func() {
			tell("web.leave")
			is("web", control.Stopping)
			s.mustRun("reload", "web")
			is("web", control.Ready)
		}},
		{"it ends while its successor waits", "reloading failed, stopped, backing-off; backing-off waiting, waiting stopped", func() {
			for _, how := range []struct {
				end   func()
				state control.State
			}{
				{func() { tell("web.final") }, control.Failed},
				{func() { tell("web.done") }, control.Stopped},
				{func() { kill("web") }, control.Waiting}, // by backing-off
			} {
				s.mustRun("stop", "gate")
				begin("reload", "web")
				is("web", control.Reloading)
				how.end()
				is("web", how.state)
				if how.state == control.Waiting {
					s.mustRun("stop", "web")
				}
				s.mustRun("start", "gate")
				ready()
			}
		}},
	}
	open()
	s.runPgo("up") // late and never do not become ready
	for _, scenario := range scenarios {
		t.Logf("%s: %s", scenario.name, scenario.shows)
		scenario.play()
	}
	s.mustRun("down")

	table, seen := documentedTransitions(t), map[transition]control.Event{}
	for _, e := range s.readEvents() {
		if e.From != e.To {
			seen[transition{e.From, e.To}] = e
		}
	}
	for change, e := range seen {
		if !table[change] {
			t.Errorf("%s is not in docs/pgo.md: %+v", change, e)
		}
	}
	for change := range table {
		if _, ok := seen[change]; !ok {
			t.Errorf("%s is in docs/pgo.md and never occurred", change)
		}
	}
}

// readEvents returns all events.
func (s *sandbox) readEvents() (all []control.Event) {
	s.t.Helper()
	for line := range strings.Lines(s.mustRun("events", "--json", "-n", "100000")) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}
