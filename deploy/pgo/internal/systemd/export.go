package systemd

import (
	"fmt"
	"slices"
	"strings"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
)

// Options holds what units need beside the process file.
type Options struct {
	Home   string                           // pgo's home: PGO_HOME, and the directory that processes may write to
	User   string                           // runs the processes that name no user; default root
	Lookup func(name string) (string, bool) // the environment, for paths of env files
	Only   []string                         // names of processes; default all
	// Program is the path of pgo itself, which recovers an interrupted deploy before anything is started. Where it is
	// empty, nothing recovers one.
	Program string
}

// Unit is one unit file.
type Unit struct {
	Name    string
	Content string
}

// Export returns units that run the processes of a process file as far as systemd can. The notes name what it cannot.
func Export(f processfile.File, o Options) (units []Unit, notes []string, err error) {
	src, err := readSource(f.Path)
	if err != nil {
		return nil, nil, err
	}
	var chosen []processfile.Process
	for _, p := range f.Processes {
		if len(o.Only) == 0 || slices.Contains(o.Only, p.Name) {
			chosen = append(chosen, p)
		}
	}
	for _, name := range o.Only {
		if !slices.ContainsFunc(chosen, func(p processfile.Process) bool { return p.Name == name }) {
			return nil, nil, fmt.Errorf("export: there is no process %q", name)
		}
	}
	e := exporter{Options: o, file: f, source: src, services: map[string][]string{}}
	for _, p := range chosen {
		e.services[p.Name] = UnitsOf(p)
	}
	var wants []string
	for _, p := range chosen {
		for _, l := range p.Listeners {
			if !hasSocketUnit(l) {
				e.addNote("%s: systemd chooses no free port: it binds the listener %s by its own configuration", p.Name, l.Name)
				continue
			}
			units = append(units, e.socketUnit(p, l))
			wants = append(wants, socketUnitOf(p, l))
		}
		for n := range p.Instances {
			units = append(units, e.serviceUnit(p, n))
		}
		wants = append(wants, e.services[p.Name]...)
		e.noteGaps(p)
	}
	if unit, ok := e.recoverUnit(chosen); ok {
		units = append(units, unit)
		wants = append(wants, RecoverUnit)
	}
	var t unitFile
	t.addSection("Unit")
	t.set("Description", "All that "+f.Path+" lists")
	t.set("Wants", strings.Join(wants, " "))
	t.addSection("Install")
	t.set("WantedBy", "multi-user.target")
	return append(units, Unit{TargetUnit, t.String()}), e.notes, nil
}

// hasSocketUnit reports whether systemd holds a listener: it neither gives each instance its own nor chooses a free port.
func hasSocketUnit(l processfile.Listener) bool {
	return !l.PerInstance && !strings.HasSuffix(l.Addr, ":0")
}

// exporter carries what all units of one export need.
type exporter struct {
	Options  Options
	file     processfile.File
	source   source
	services map[string][]string // the service units of each exported process
	notes    []string
}

func (e *exporter) addNote(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// noteGaps notes which settings of a process systemd has nothing for.
func (e *exporter) noteGaps(p processfile.Process) {
	if p.Readiness.TCP != "" || p.Readiness.HTTP != "" || len(p.Readiness.Exec) > 0 {
		e.addNote("%s: systemd does not ask whether it is ready: what comes after it starts when it runs", p.Name)
	}
	if p.Cron != "" {
		e.addNote("%s: its schedule is not exported: write a timer with OnCalendar", p.Name)
	}
	if p.Liveness.TCP != "" || p.Liveness.HTTP != "" || len(p.Liveness.Exec) > 0 {
		e.addNote("%s: systemd does not ask whether it is alive: give it a watchdog", p.Name)
	}
	if p.Instances == 1 && p.Reload.Mode == processfile.ReloadBeside {
		e.addNote("%s: systemd starts nothing new beside what runs: a restart keeps connections waiting as long as it takes", p.Name)
	}
}

// recoverUnit returns the unit that restores the files of an interrupted deploy before the units that run them start. It
// starts as root, and becomes the user who deployed. There is none where nothing can be deployed, or Program is empty.
func (e *exporter) recoverUnit(chosen []processfile.Process) (Unit, bool) {
	var before []string
	for _, p := range chosen {
		if p.Watch.Enabled {
			before = append(before, e.services[p.Name]...)
		}
	}
	if len(before) == 0 || e.Options.Program == "" {
		return Unit{}, false
	}
	var u unitFile
	u.addSection("Unit")
	u.set("Description", "Recovers a deploy to "+e.Options.Home+" that a crash of this machine interrupted")
	u.set("ConditionPathExists", escapeSpecifiers(home.Home(e.Options.Home).UnitRolloutPath()))
	u.set("Wants", "network-online.target")
	u.set("After", "network-online.target")
	u.set("Before", strings.Join(before, " "))
	u.addSection("Service")
	u.set("Type", "oneshot")
	command := []string{e.Options.Program, "host", "recover", "--file", e.file.Path, "--home", e.Options.Home}
	for i := range command {
		command[i] = quoteArgument(command[i])
	}
	u.set("ExecStart", strings.Join(command, " "))
	u.addSection("Install")
	u.set("WantedBy", TargetUnit)
	return Unit{RecoverUnit, u.String()}, true
}

func (e *exporter) socketUnit(p processfile.Process, l processfile.Listener) Unit {
	var u unitFile
	u.addSection("Unit")
	u.set("Description", fmt.Sprintf("The listener %s of %s", l.Name, p.Name))
	u.set("PartOf", TargetUnit)
	u.addSection("Socket")
	u.set("ListenStream", l.Addr)
	u.set("FileDescriptorName", l.Name)
	u.set("Service", UnitsOf(p)[0])
	u.set("Backlog", "4096")
	u.addSection("Install")
	u.set("WantedBy", "sockets.target")
	return Unit{socketUnitOf(p, l), u.String()}
}
