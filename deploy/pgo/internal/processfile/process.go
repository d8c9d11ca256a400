package processfile

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

var processName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// mostInstances is far above what one machine makes use of.
const mostInstances = 64

// reserved are names that mean something else to pgo's commands or in its folder of logs.
func reserved(name string) bool { return name == "all" || name == "pgo" }

func (r reader) process(name string, at place, root string, env map[string]string) (Process, error) {
	p := defaults(name)
	if !processName.MatchString(name) || reserved(name) {
		return p, r.fail(at, "expected a name of a-z, 0-9, - and _, at most 32 long and not all or pgo")
	}
	all := maps.Clone(env)
	if all == nil {
		all = map[string]string{}
	}
	p.Env = map[string]string{}
	if err := r.fields(at, r.processFields(&p, root, all)); err != nil {
		return p, err
	}
	if p.Command == "" {
		return p, r.fail(place{at.node, at.under("command"), at.line}, "is missing")
	}
	maps.Copy(all, p.Env)
	if p.Env = all; len(all) == 0 {
		p.Env = nil
	}
	if p.Reload.Mode == "" {
		p.Reload.Mode = ReloadRefused
		if p.Kind == KindService && len(p.Listeners) > 0 {
			p.Reload.Mode = ReloadBeside
		}
	}
	err := r.fits(p, at)
	if p.Kind == KindOneShot && p.Restart.Policy == PolicyAlways {
		p.Restart.Policy = PolicyOnFailure
	}
	return p, err
}

// fits checks what one key of a process says of another.
func (r reader) fits(p Process, at place) error {
	fail := func(key, text string) error {
		return r.fail(place{node: value(at.node, key), key: at.under(key)}, "%s", text)
	}
	switch {
	case p.Kind == KindOneShot && p.Restart.Policy == PolicyAlways && value(at.node, "restart") != nil && value(value(at.node, "restart"), "policy") != nil:
		return fail("restart", "a one-shot ends by itself: expected policy on-failure or never")
	case p.Kind == KindOneShot && p.Instances > 1:
		return fail("instances", "a one-shot has one instance")
	case p.Kind == KindOneShot && value(at.node, "ready") != nil:
		return fail("ready", "a one-shot is ready when it has ended with 0")
	case p.Group != "" && p.User == "":
		return fail("group", "expected a user with it")
	case p.Watch.Enabled && p.Kind != KindService:
		return fail("watch", "only a service is watched")
	case p.Watch.Enabled && !strings.Contains(p.Command, "/"):
		return fail("watch", "expected a command that is the path of a file, not a name to be looked up in PATH")
	case p.Watch.Enabled && p.Reload.Mode != ReloadBeside:
		return fail("watch", "what is watched is replaced by one beside it: give it listeners, or say reload: {mode: beside}")
	case p.Watch.Enabled && p.Watch.ErrorRate.Enabled && !slices.ContainsFunc(p.Listeners, func(l Listener) bool { return l.Name == p.Watch.ErrorRate.Listener && l.PerInstance }):
		return fail("watch", fmt.Sprintf("errors are looked for at the listener %s: expected one of each process's own (shared: false)", p.Watch.ErrorRate.Listener))
	case p.CheckArgs != nil && p.Kind != KindGate:
		return fail("ask", "only a gate is asked")
	case p.PlanArgs != nil && p.Kind != KindGate:
		return fail("plan", "only a gate is asked for its plan")
	case p.Restart.FirstWait > p.Restart.LongestWait:
		return fail("restart", "first_wait is longer than longest_wait")
	}
	return nil
}

// processFields are the keys of one process. env gets what its env files hold.
func (r reader) processFields(p *Process, root string, env map[string]string) fields {
	relative := func(into *string) field {
		f := r.string(into)
		read := f.read
		f.read = func(at place) error {
			err := read(at)
			// As a shell does: a bare name is looked up in PATH, everything else is a path.
			if err == nil && strings.Contains(*into, "/") && !filepath.IsAbs(*into) {
				*into = filepath.Join(root, *into)
			}
			return err
		}
		return f
	}
	own := r.each(map[string]any{"type": []string{"string", "number", "boolean"}}, func(name string, at place) error {
		if !key.MatchString(name) {
			return r.fail(at, "expected a name of letters, digits and _")
		}
		var value string
		err := r.text(at, &value)
		p.Env[name] = value
		return err
	})
	files := field{func(at place) error {
		return r.list(at, func(at place) error { return r.readEnvInto(at, root, env) })
	}, map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}
	return fields{
		"kind":      r.oneOf(&p.Kind, KindInfra, KindGate, KindService, KindOneShot).says("Default service. Services and gates answer `version --json`; a one-shot runs to its end."),
		"command":   relative(&p.Command).says("A path is relative to the root; a bare name is looked up in PATH."),
		"args":      r.strings(&p.Args).says("Its arguments."),
		"cwd":       r.directory(root, &p.Dir).says("Where it runs: default the root."),
		"user":      r.string(&p.User).says("Name or number. Takes pgo to run as root."),
		"group":     r.string(&p.Group).says("Name or number; default the user's own."),
		"env":       own.says("Over the env files and pgo's own environment."),
		"env_files": files.says("KEY=value lines, over the file's env_file."),
		"after":     r.strings(&p.After).says("These are ready before it starts."),
		"listeners": r.listeners(&p.Listeners).says("TCP listeners that pgo opens and keeps, by name."),
		"instances": r.instances(&p.Instances).says("How many run side by side, or cpus."),
		"ready":     r.ready(&p.Readiness).says("How it is known that it serves."),
		"live":      r.live(&p.Liveness).says("How it is known that it still serves; else it is started anew."),
		"watchdog":  r.duration(&p.Watchdog).says("It says WATCHDOG=1 at least this often, else it is started anew."),
		"restart":   r.restart(&p.Restart).says("What happens when it ends by itself."),
		"stop": r.mapping(fields{
			"signal":  r.signal(&p.Stop.Signal).says("Default SIGTERM."),
			"timeout": r.duration(&p.Stop.Timeout).says("Then it is killed: default 15s."),
		}).says("How it is asked to end."),
		"reload": r.mapping(fields{
			"mode":   r.oneOf(&p.Reload.Mode, ReloadBeside, ReloadRestart, ReloadRefused).says("Default beside for a service with listeners, else refused."),
			"stable": r.duration(&p.Reload.Stable).says("The new process runs so long after it is ready before the old one goes: default 200ms."),
		}).says("How it is replaced."),
		"watch":  r.watch(&p.Watch).says("true, or how: a new program in the place of command is proven, copied into pgo's store, and the copy run."),
		"ask":    r.filled(&p.CheckArgs).says("Of a gate: the arguments with which its program looks at a new program, and ends with 0 where that may run, with 69 where it cannot tell now."),
		"plan":   r.filled(&p.PlanArgs).says("Of a gate: the arguments with which its program says what it would do for a new program, and does nothing."),
		"limits": r.limits(&p.Limits).says("Set before the program begins."),
		"logs":   r.logs(&p.Logs).says("Its output."),
	}
}

func (r reader) directory(root string, into *string) field {
	f := r.string(into)
	read := f.read
	f.read = func(at place) error {
		err := read(at)
		if err == nil && !filepath.IsAbs(*into) {
			*into = filepath.Join(root, *into)
		}
		return err
	}
	return f
}

func (r reader) instances(into *int) field {
	count := r.number(1, mostInstances, into)
	return field{func(at place) error {
		if at.node.Value == "cpus" {
			*into = min(runtime.NumCPU(), mostInstances)
			return nil
		}
		return count.read(at)
	}, map[string]any{"oneOf": []any{count.form, map[string]any{"const": "cpus"}}}}
}

func (r reader) listeners(into *[]Listener) field {
	var none Listener
	form := map[string]any{"oneOf": []any{map[string]any{"type": "string"}, r.listener(&none).form("addr")}}
	return r.each(form, func(name string, at place) error {
		if !processName.MatchString(name) {
			return r.fail(at, "expected a name of a-z, 0-9, - and _")
		}
		l := Listener{Name: name}
		err := error(nil)
		if describe(at.node) != "a mapping" {
			err = r.address(true, &l.Addr).read(at)
		} else if err = r.fields(at, r.listener(&l)); err == nil {
			switch {
			case l.Addr == "":
				err = r.fail(place{at.node, at.under("addr"), at.line}, "is missing")
			case l.PerInstance && !strings.HasSuffix(l.Addr, ":0"):
				err = r.fail(at, "what is not shared needs a free port for each process: port 0")
			}
		}
		*into = append(*into, l)
		return err
	})
}

func (r reader) listener(l *Listener) fields {
	shared := field{func(at place) error {
		var shared bool
		err := r.boolean(at, &shared)
		l.PerInstance = !shared
		return err
	}, map[string]any{"type": "boolean"}}
	return fields{
		"addr":   r.address(true, &l.Addr).says("IP:port; port 0 is a free one."),
		"shared": shared.says("Default true. false: each process has one of its own, on a free port."),
	}
}

// ways are the questions that tell whether a process serves; one of them may be asked.
func (r reader) ways(count *int, tcp, http *string, exec *[]string) fields {
	counted := func(f field) field {
		read := f.read
		f.read = func(at place) error { *count++; return read(at) }
		return f
	}
	command := r.filled(exec)
	return fields{
		"tcp":  counted(r.address(false, tcp)).says("This address accepts a connection."),
		"http": counted(r.url(http)).says("This URL answers 2xx."),
		"exec": counted(command).says("This command ends with 0, run like the process."),
	}
}

func (r reader) ready(into *Readiness) field {
	count := 0
	known := r.ways(&count, &into.TCP, &into.HTTP, &into.Exec)
	notify := r.flag(&into.Notify)
	read := notify.read
	notify.read = func(at place) error { count++; return read(at) }
	known["notify"] = notify.says("It sends READY=1 to NOTIFY_SOCKET.")
	known["within"] = r.duration(&into.Timeout).says("Not ready by then is a failed start: default 30s.")
	return r.exclusive(known, &count, "notify, tcp, http and exec")
}

func (r reader) live(into *Liveness) field {
	count := 0
	known := r.ways(&count, &into.TCP, &into.HTTP, &into.Exec)
	known["every"] = r.duration(&into.Interval).says("Default 10s.")
	known["timeout"] = r.duration(&into.Timeout).says("Of one question: default 2s.")
	known["failures"] = r.number(1, 100, &into.Failures).says("In a row, after which it is started anew: default 3.")
	f := r.exclusive(known, &count, "tcp, http and exec")
	read := f.read
	f.read = func(at place) error {
		err := read(at)
		if err == nil && count == 0 {
			err = r.fail(at, "expected one of tcp, http and exec")
		}
		return err
	}
	return f
}

func (r reader) exclusive(known fields, count *int, names string) field {
	f := r.mapping(known)
	f.read = func(at place) error {
		err := r.fields(at, known)
		if err == nil && *count > 1 {
			err = r.fail(at, "expected one of %s, found %d of them", names, *count)
		}
		return err
	}
	return f
}

// filled is a list that is not empty.
func (r reader) filled(into *[]string) field {
	f := r.strings(into)
	read := f.read
	f.read = func(at place) error {
		err := read(at)
		if err == nil && len(*into) == 0 {
			err = r.fail(at, "is empty")
		}
		return err
	}
	return f
}

func (r reader) watch(into *Watch) field {
	known := fields{
		"probation": r.duration(&into.Probation).says("A new release proves itself so long: default 30s."),
		"keep":      r.number(2, 1000, &into.Keep).says("Releases that are kept: default 5."),
		"max_size":  r.size(&into.MaxSize).says("And how much of them: default 512MB."),
		"errors":    r.errors(&into.ErrorRate).says("true, or how: a release that answers too many requests with 5xx while it proves itself does not stay. Default false."),
	}
	on := r.flag(&into.Enabled)
	return field{func(at place) error {
		if describe(at.node) != "a mapping" {
			return on.read(at)
		}
		into.Enabled = true
		return r.fields(at, known)
	}, map[string]any{"oneOf": []any{on.form, known.form()}}}
}

func (r reader) errors(into *ErrorRate) field {
	known := fields{
		"listener":     r.matching(processName, "a listener's name", &into.Listener).says("Where it shows its metrics: default admin. Each process has one of its own (shared: false)."),
		"path":         r.matching(metricsPath, "a path such as /metrics", &into.Path).says("Default /metrics."),
		"metric":       r.matching(metricName, "a metric's name", &into.Metric).says("Its counter of requests: default http_server_request_duration_seconds_count."),
		"label":        r.matching(metricName, "a label's name", &into.Label).says("Of the counter, the status: default http_response_status_code."),
		"above":        r.share(&into.MaxIncrease).says("The share that is too much, over that of the release before: default 5%."),
		"min_requests": r.number(1, 1_000_000, &into.MinRequests).says("Nothing is judged before so many: default 20."),
	}
	on := r.flag(&into.Enabled)
	return field{func(at place) error {
		if describe(at.node) != "a mapping" {
			return on.read(at)
		}
		into.Enabled = true
		return r.fields(at, known)
	}, map[string]any{"oneOf": []any{on.form, known.form()}}}
}

var (
	metricName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_:]{0,199}$`)
	metricsPath = regexp.MustCompile(`^/[a-zA-Z0-9/_.-]{0,199}$`)
)

func (r reader) restart(into *Restart) field {
	return r.mapping(fields{
		"policy":           r.oneOf(&into.Policy, PolicyAlways, PolicyOnFailure, PolicyNever).says("Default always, also after exit code 0."),
		"final_exit_codes": r.numbers(0, 255, &into.FinalExitCodes).says("After these it has failed for good."),
		"first_wait":       r.duration(&into.FirstWait).says("Before the second start again, then doubling: default 100ms. The first is at once."),
		"longest_wait":     r.duration(&into.LongestWait).says("Default 15s."),
		"proven":           r.duration(&into.ResetAfter).says("Up this long, the waits begin anew: default 30s."),
		"limit":            r.number(1, 1000, &into.Limit).says("Starts again within the window, after which it has failed: default none."),
		"window":           r.duration(&into.Window).says("Default 1m."),
	})
}

func (r reader) limits(into *Limits) field {
	return r.mapping(fields{
		"files":             r.optional(16, 1<<30, &into.Files).says("Open files."),
		"processes":         r.optional(1, 1<<22, &into.Processes).says("Processes and threads of its user."),
		"core":              r.optional(0, 1<<40, &into.Core).says("Bytes of a core file."),
		"nice":              r.optional(-20, 19, &into.Nice).says("19 is the least of the processor."),
		"oom_score_adj":     r.optional(-1000, 1000, &into.OOMScoreAdj).says("1000 is killed first when memory runs out."),
		"memory":            r.size(&into.Memory).says("Of its main process: above it the process is made new, by a reload where it can be."),
		"no_new_privileges": r.flag(&into.NoNewPrivileges).says("Nothing it starts gains rights by setuid."),
	})
}

func (r reader) logs(into *Logs) field {
	return r.mapping(fields{
		"split":    r.flag(&into.Split).says("stderr goes to NAME.err.log."),
		"max_size": r.size(&into.MaxSize).says("Rotated when larger: default 50MB."),
		"max_age":  r.days(&into.MaxAge).says("Rotated when older: default not."),
		"keep":     r.number(0, 1000, &into.Keep).says("Rotated files that are kept: default 5."),
		"keep_for": r.days(&into.KeepFor).says("Rotated files are kept so long: default 14d."),
		"compress": r.flag(&into.Compress).says("Rotated files with gzip: default true."),
	})
}
