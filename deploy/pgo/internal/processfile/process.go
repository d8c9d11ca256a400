package processfile

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The kinds of processes. A kind selects defaults; the order of starts comes from After alone.
const (
	KindInfra   = "infra"
	KindGate    = "gate"
	KindService = "service"
	KindOneShot = "one-shot" // runs to its end once; ready when it has ended with 0
)

// OwnerPgo is the owner of pgo's own listener; no process can have this name.
const OwnerPgo = "pgo"

// Process is one entry of the file. Load fills in defaults and makes paths absolute.
type Process struct {
	Name        string            `json:"name" yaml:"-"`
	Condition   string            `json:"-" yaml:"if" jsonschema:"enum=true,enum=false" jsonschema_description:"Default true. false: the process is left out, as if the file did not have it. A variable decides."` // empty after Load
	Kind        string            `json:"kind" yaml:"kind" jsonschema:"enum=infra,enum=gate,enum=service,enum=one-shot" jsonschema_description:"Default service. A one-shot runs to its end."`
	Command     string            `json:"command" yaml:"command" jsonschema:"required" jsonschema_description:"A path is relative to the root; a bare name is looked up in PATH."`
	Args        []string          `json:"args,omitempty" yaml:"args" jsonschema_description:"Arguments of the command."`
	VersionArgs []string          `json:"version,omitempty" yaml:"version" jsonschema:"minItems=1" jsonschema_description:"Arguments with which its program prints its version, as JSON with the key version or as a line. Without them the program is not asked: its version is read from its file."`
	Dir         string            `json:"dir,omitempty" yaml:"cwd" jsonschema_description:"Working directory: default the root."`
	User        string            `json:"user,omitempty" yaml:"user" jsonschema_description:"Name or number. Requires pgo to run as root."`
	Group       string            `json:"group,omitempty" yaml:"group" jsonschema_description:"Name or number; default the user's own."`
	After       []string          `json:"after,omitempty" yaml:"after" jsonschema_description:"Processes that must be ready before it starts."`
	Listeners   []Listener        `json:"listeners,omitempty" yaml:"listeners" jsonschema_description:"TCP listeners that pgo opens and keeps, by name."`
	Instances   int               `json:"instances" yaml:"instances" decode:"cpus" jsonschema:"minimum=1,maximum=64" jsonschema_description:"Number of instances that run side by side, or cpus: default 1."`
	Readiness   Readiness         `json:"ready" yaml:"ready" jsonschema_description:"When it counts as ready."`
	Liveness    Liveness          `json:"live" yaml:"live" jsonschema_description:"Probe of a ready process; after failures it is restarted. Default none."`
	Watchdog    time.Duration     `json:"watchdog,omitempty" yaml:"watchdog" jsonschema:"type=string,format=timespan" jsonschema_description:"It sends WATCHDOG=1 at least this often, else it is restarted. Default none."`
	Restart     Restart           `json:"restart" yaml:"restart" jsonschema_description:"What happens when it ends by itself."`
	Stop        Stop              `json:"stop" yaml:"stop" jsonschema_description:"How it is asked to end."`
	Cron        string            `json:"cron,omitempty" yaml:"cron" jsonschema:"format=cron" jsonschema_description:"Schedule in the form of cron, such as 0 3 * * * or @daily: a one-shot is run at these times and not by up, everything else is reloaded if it can be, else restarted."`
	Reload      Reload            `json:"reload" yaml:"reload" jsonschema_description:"How it is replaced."`
	Watch       Watch             `json:"watch" yaml:"watch" jsonschema_description:"true, or options: a new program in the place of command is verified, copied into pgo's store, and the copy run."`
	CheckArgs   []string          `json:"ask,omitempty" yaml:"ask" jsonschema:"minItems=1" jsonschema_description:"Gates only: arguments with which its program checks a new program. It exits with 0 if that may run, with 69 if it cannot tell now."`
	PlanArgs    []string          `json:"plan,omitempty" yaml:"plan" jsonschema:"minItems=1" jsonschema_description:"Gates only: arguments with which its program prints what it would do for a new program, and does nothing."`
	Limits      Limits            `json:"limits" yaml:"limits" jsonschema_description:"Limits that are set before the program starts."`
	Logs        Logs              `json:"logs" yaml:"logs" jsonschema_description:"Its output."`
	Env         map[string]string `json:"env,omitempty" yaml:"env" jsonschema_description:"Variables, over the env files and pgo's own environment."`
	EnvFiles    []string          `json:"-" yaml:"env_files" jsonschema_description:"KEY=value lines, over the file's env_file."` // empty after Load: their values are in Env
}

// setName sets the name. It rejects names that pgo's commands and log directory use for something else.
func (p *Process) setName(name string) error {
	p.Name = name
	if !namePattern.MatchString(name) || name == "all" || name == OwnerPgo {
		return &keyError{text: "expected a name of a-z, 0-9, - and _, at most 32 long and not all or pgo"}
	}
	return nil
}

// Defaults sets the values of keys that the file does not have, in all sections.
func (p *Process) Defaults() {
	p.Condition, p.Kind, p.Instances = "true", KindService, 1
	p.Readiness.Defaults()
	p.Liveness.Defaults()
	p.Restart.Defaults()
	p.Stop.Defaults()
	p.Reload.Defaults()
	p.Watch.Defaults()
	p.Logs.Defaults()
}

// Validate checks the keys of a process against each other.
func (p *Process) Validate(given Keys) error {
	isOneShot := p.Kind == KindOneShot
	hasOwnListener := func(name string) bool {
		return slices.ContainsFunc(p.Listeners, func(l Listener) bool { return l.Name == name && l.PerInstance })
	}
	switch {
	case isOneShot && p.Restart.Policy == PolicyAlways && given("restart", "policy"):
		return &keyError{key: "restart", text: "a one-shot ends by itself: expected policy on-failure or never"}
	case isOneShot && p.Instances > 1:
		return &keyError{key: "instances", text: "a one-shot has one instance"}
	case isOneShot && given("ready"):
		return &keyError{key: "ready", text: "a one-shot is ready when it has ended with 0"}
	case p.Group != "" && p.User == "":
		return &keyError{key: "group", text: "expected a user with it"}
	case p.Watch.Enabled && p.Kind != KindService:
		return &keyError{key: "watch", text: "only a service is watched"}
	case p.Watch.Enabled && !strings.Contains(p.Command, "/"):
		return &keyError{key: "watch", text: "expected a command that is the path of a file, not a name to be looked up in PATH"}
	case p.Watch.Enabled && p.reloadMode() != ReloadBeside:
		return &keyError{key: "watch", text: "what is watched is replaced by one beside it: give it listeners, or set reload: {mode: beside}"}
	case p.Watch.Enabled && p.Watch.ErrorRate.Enabled && !hasOwnListener(p.Watch.ErrorRate.Listener):
		return &keyError{key: "watch", text: fmt.Sprintf("errors are looked for at the listener %s: expected one of each process's own (shared: false)", p.Watch.ErrorRate.Listener)}
	case p.CheckArgs != nil && p.Kind != KindGate:
		return &keyError{key: "ask", text: "only a gate is asked"}
	case p.PlanArgs != nil && p.Kind != KindGate:
		return &keyError{key: "plan", text: "only a gate is asked for its plan"}
	}
	return nil
}

// reloadMode returns the mode of the file, or the default for the process's kind and listeners.
func (p *Process) reloadMode() string {
	switch {
	case p.Reload.Mode != "":
		return p.Reload.Mode
	case p.Kind == KindService && len(p.Listeners) > 0:
		return ReloadBeside
	}
	return ReloadRefused
}

// resolve fills in what depends on other keys and on the file's place: modes, absolute paths, and the environment out of
// env, the values of all env files, and the process's own.
func (p *Process) resolve(root string, env map[string]string) {
	p.Reload.Mode = p.reloadMode()
	if p.Kind == KindOneShot && p.Restart.Policy == PolicyAlways {
		p.Restart.Policy = PolicyOnFailure
	}
	p.Command = resolveCommand(root, p.Command)
	for _, words := range [][]string{p.Readiness.Exec, p.Liveness.Exec} {
		if len(words) > 0 {
			words[0] = resolveCommand(root, words[0])
		}
	}
	if p.Dir != "" && !filepath.IsAbs(p.Dir) {
		p.Dir = filepath.Join(root, p.Dir)
	}
	maps.Copy(env, p.Env)
	p.Env, p.EnvFiles = env, nil
	if len(env) == 0 {
		p.Env = nil
	}
}

// resolveCommand returns the absolute path of a command. As in a shell, a bare name stays, to be looked up in PATH, and everything
// else is a path.
func resolveCommand(root, command string) string {
	if !strings.Contains(command, "/") || filepath.IsAbs(command) {
		return command
	}
	return filepath.Join(root, command)
}
