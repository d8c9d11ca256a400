// Package units has releases run where systemd runs the services, by the units that `pgo export systemd` makes: the other
// end of a deploy where no pgo runs. systemd starts nothing beside what runs: it holds the listening sockets, so
// connections wait while a service is started anew.
package units

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/export"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// Host is a machine whose systemd runs what a process file lists. Who uses it has the lock of the home.
type Host struct {
	Home      home.Home
	File      processfile.File
	Systemctl []string // the command that starts units anew: systemctl, or sudo -n systemctl
	Environ   []string // of this process: what is asked gets it below what the process file says
	EnvDir    string   // where NAME.env has what units must not hold: /etc/pgo
	Starting  bool     // the machine is: no unit runs yet, and systemd will start them
}

func (h *Host) store() *release.Store { return &release.Store{Dir: h.Home.Releases()} }

// process finds one that can be deployed.
func (h *Host) process(name string) (processfile.Process, bool) {
	i := slices.IndexFunc(h.File.Processes, func(p processfile.Process) bool { return p.Name == name && p.Watch.On })
	if i < 0 {
		return processfile.Process{}, false
	}
	return h.File.Processes[i], true
}

// Deployables are the processes that can be deployed.
func (h *Host) Deployables(context.Context) ([]control.Deployable, error) {
	found := []control.Deployable{}
	for _, p := range h.File.Processes {
		if !p.Watch.On {
			continue
		}
		d := control.Deployable{Name: p.Name, File: p.Command, Has: []string{}, After: p.After}
		all, err := h.store().List(p.Name)
		if err != nil {
			return nil, err
		}
		if d.Live, err = h.live(p, all); err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.Missing || r.Damaged != "" {
				continue
			}
			if r.Record.Proof.SHA256 == d.Live.SHA256 {
				d.Has = slices.Insert(d.Has, 0, r.Record.Proof.SHA256)
			} else {
				d.Has = append(d.Has, r.Record.Proof.SHA256)
			}
		}
		found = append(found, d)
	}
	return found, nil
}

// live is what the process's file holds: what the unit starts. Nothing where there is no file.
func (h *Host) live(p processfile.Process, all []release.Release) (audit.Release, error) {
	sum, err := sumOf(p.Command)
	if errors.Is(err, os.ErrNotExist) {
		return audit.Release{}, nil
	}
	if err != nil {
		return audit.Release{}, fmt.Errorf("look at what %s runs: %w", p.Name, err)
	}
	live := audit.Release{SHA256: sum}
	if i := slices.IndexFunc(all, func(r release.Release) bool { return r.Record.Proof.SHA256 == sum }); i >= 0 {
		live.Version = all[i].Record.Version
	}
	return live, nil
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// state is what systemd says of a unit.
type state struct {
	loaded, active, result string
	restarts, pid          int
	memory                 int64
}

func (h *Host) show(ctx context.Context, unit string) (state, error) {
	cmd := exec.CommandContext(ctx, "systemctl", "show", "-p", "LoadState,ActiveState,Result,NRestarts,MainPID,MemoryCurrent", unit)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return state{}, fmt.Errorf("ask systemd about %s: %w: %s", unit, err, strings.TrimSpace(string(said)))
	}
	words := map[string]string{}
	for line := range strings.Lines(string(said)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		words[key] = value
	}
	s := state{loaded: words["LoadState"], active: words["ActiveState"], result: words["Result"]}
	s.restarts, _ = strconv.Atoi(words["NRestarts"])
	s.pid, _ = strconv.Atoi(words["MainPID"])
	s.memory, _ = strconv.ParseInt(words["MemoryCurrent"], 10, 64) // "[not set]" is nothing
	return s, nil
}

// restart has a unit started anew, and returns when it has said that it is ready. It is not cut short: what is half done
// could not be told from what failed.
func (h *Host) restart(p processfile.Process, unit string) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.Stop.Timeout+p.Ready.Within+10*time.Second)
	defer cancel()
	words := append(slices.Clone(h.Systemctl), "restart", unit)
	said, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		text, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, text)
	}
	return nil
}

// lastWords are what a unit has said last, where the journal may be read.
func lastWords(unit string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, "journalctl", "-q", "-u", unit, "-n", "10", "-o", "cat", "--no-pager").Output()
	if err != nil || len(said) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(said)), "\n")
}

// environ is what a process gets: ours, what the process file says, and what the unit takes from where only it may
// look, if we may.
func (h *Host) environ(p processfile.Process) map[string]string {
	env := map[string]string{}
	for _, e := range h.Environ {
		key, value, _ := strings.Cut(e, "=")
		env[key] = value
	}
	text, _ := os.ReadFile(filepath.Join(h.EnvDir, p.Name+".env"))
	maps.Copy(env, p.Env)
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			env[key] = strings.Trim(value, `"'`)
		}
	}
	env["PGO_HOME"] = string(h.Home)
	return env
}

func list(env map[string]string) []string {
	var all []string
	for key, value := range env {
		all = append(all, key+"="+value)
	}
	slices.Sort(all)
	return all
}

// dir is where a process runs.
func (h *Host) dir(p processfile.Process) string {
	if p.Dir != "" {
		return p.Dir
	}
	return h.File.Root
}

// pass asks each gate that one of the processes comes after whether these programs may run, or what it would do for
// them. programs are the new programs' paths by process.
func (h *Host) pass(ctx context.Context, programs map[string]string, plan bool, tell func(gate, text string)) error {
	for _, gate := range h.File.Processes {
		before := slices.ContainsFunc(h.File.Processes, func(p processfile.Process) bool {
			return programs[p.Name] != "" && slices.Contains(p.After, gate.Name)
		})
		if gate.Kind != processfile.Gate || !before {
			continue
		}
		args := gate.Ask
		if plan {
			args = gate.Plan
		}
		if len(args) == 0 {
			if plan {
				tell(gate.Name, "cannot say what it would do: the process file has no plan for it")
				continue
			}
			return fmt.Errorf("%s: under systemd a gate has to be one that can be asked: give it `ask` in the process file", gate.Name)
		}
		said, err := h.ask(ctx, gate, args, programs)
		if err != nil {
			return fmt.Errorf("%s: does not let it run: %w", gate.Name, err)
		}
		for line := range strings.Lines(said) {
			if plan {
				tell(gate.Name, strings.TrimSpace(line))
			}
		}
		if !plan {
			tell(gate.Name, "lets them run")
		}
	}
	return nil
}

// ask runs a gate's program with the new programs in place of those that its environment names.
func (h *Host) ask(ctx context.Context, gate processfile.Process, args []string, programs map[string]string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gate.Ready.Within)
	defer cancel()
	env := h.environ(gate)
	for _, p := range h.File.Processes {
		for key, value := range env {
			path := value
			if !filepath.IsAbs(path) {
				path = filepath.Join(h.dir(gate), path)
			}
			if new := programs[p.Name]; value != "" && new != "" && filepath.Clean(path) == p.Command {
				env[key] = new
			}
		}
	}
	cmd := exec.CommandContext(ctx, gate.Command, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = h.dir(gate), list(env), time.Second
	said, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(said))
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, text[strings.LastIndex(text, "\n")+1:])
	}
	return text, nil
}

// unitsOf are the units of a process, one an instance.
func unitsOf(p processfile.Process) []string { return export.Services(p) }
