// Package systemd holds what pgo knows of systemd: the units that run the processes of a process file, their names, and
// the commands that read and restart them.
package systemd

import (
	"cmp"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
)

// TargetUnit is the unit that all others belong to: what is started and stopped together.
const TargetUnit = "pgo.target"

// Options are what units need to know beside the process file.
type Options struct {
	Home   string                           // pgo's home: PGO_HOME, and where processes may write
	User   string                           // whom processes run as that name none; default root
	Lookup func(name string) (string, bool) // the environment, for paths of env files
	Only   []string                         // names; default all
	// Program is pgo itself, which puts back what a crash of the machine has cut off before anything is started. Where it
	// is empty nothing does.
	Program string
}

// Unit is one file.
type Unit struct {
	Name    string
	Content string
}

// Export returns units that do what the process file says, as far as systemd can. Notes say what it cannot.
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
	all := map[string][]string{} // the services of each process
	for _, p := range chosen {
		all[p.Name] = UnitsOf(p)
	}
	e := exporter{Options: o, file: f, source: src, services: all}
	var wants []string
	for _, p := range chosen {
		for _, l := range p.Listeners {
			if l.PerInstance || strings.HasSuffix(l.Addr, ":0") {
				e.note("%s: systemd chooses no free port: it binds the listener %s by its own configuration", p.Name, l.Name)
				continue
			}
			units = append(units, e.socket(p, l))
			wants = append(wants, socketName(p, l))
		}
		for n := range p.Instances {
			units = append(units, e.service(p, n))
		}
		wants = append(wants, all[p.Name]...)
		e.cannot(p)
	}
	if settle, ok := e.settle(chosen); ok {
		units = append(units, settle)
		wants = append(wants, RecoverUnit)
	}
	var t unitFile
	t.section("Unit")
	t.set("Description", "All that "+f.Path+" lists")
	t.set("Wants", strings.Join(wants, " "))
	t.section("Install")
	t.set("WantedBy", "multi-user.target")
	return append(units, Unit{TargetUnit, t.String()}), e.notes, nil
}

// RecoverUnit is the unit that puts back a deploy that a crash of the machine has cut off. No process has a unit of that name:
// theirs begin with pgo-.
const RecoverUnit = "pgo.settle.service"

// settle puts files back before the units that run them are started. It is root, and becomes who has deployed.
func (e *exporter) settle(chosen []processfile.Process) (Unit, bool) {
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
	u.section("Unit")
	u.set("Description", "Puts back what a crash of this machine has cut off, of a deploy to "+e.Options.Home)
	u.set("ConditionPathExists", percent(home.Home(e.Options.Home).UnitRolloutPath()))
	u.set("Wants", "network-online.target")
	u.set("After", "network-online.target")
	u.set("Before", strings.Join(before, " "))
	u.section("Service")
	u.set("Type", "oneshot")
	words := []string{e.Options.Program, "host", "settle", "--file", e.file.Path, "--home", e.Options.Home}
	for i := range words {
		words[i] = word(words[i])
	}
	u.set("ExecStart", strings.Join(words, " "))
	u.section("Install")
	u.set("WantedBy", TargetUnit)
	return Unit{RecoverUnit, u.String()}, true
}

// UnitsOf are the names of a process's units, one an instance.
func UnitsOf(p processfile.Process) []string {
	if p.Instances == 1 {
		return []string{"pgo-" + p.Name + ".service"}
	}
	var names []string
	for n := range p.Instances {
		names = append(names, fmt.Sprintf("pgo-%s-%d.service", p.Name, n))
	}
	return names
}

func socketName(p processfile.Process, l processfile.Listener) string {
	return fmt.Sprintf("pgo-%s-%s.socket", p.Name, l.Name)
}

type exporter struct {
	Options  Options
	file     processfile.File
	source   source
	services map[string][]string
	notes    []string
}

func (e *exporter) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// cannot notes what of a process systemd has nothing for.
func (e *exporter) cannot(p processfile.Process) {
	if p.Readiness.TCP != "" || p.Readiness.HTTP != "" || len(p.Readiness.Exec) > 0 {
		e.note("%s: systemd does not ask whether it is ready: what comes after it starts when it runs", p.Name)
	}
	if p.Liveness.TCP != "" || p.Liveness.HTTP != "" || len(p.Liveness.Exec) > 0 {
		e.note("%s: systemd does not ask whether it is alive: give it a watchdog", p.Name)
	}
	if p.Instances == 1 && p.Reload.Mode == processfile.ReloadBeside {
		e.note("%s: systemd starts nothing new beside what runs: a restart keeps connections waiting as long as it takes", p.Name)
	}
}

func (e *exporter) socket(p processfile.Process, l processfile.Listener) Unit {
	var u unitFile
	u.section("Unit")
	u.set("Description", fmt.Sprintf("The listener %s of %s", l.Name, p.Name))
	u.set("PartOf", TargetUnit)
	u.section("Socket")
	u.set("ListenStream", l.Addr)
	u.set("FileDescriptorName", l.Name)
	u.set("Service", UnitsOf(p)[0])
	u.set("Backlog", "4096")
	u.section("Install")
	u.set("WantedBy", "sockets.target")
	return Unit{socketName(p, l), u.String()}
}

func (e *exporter) service(p processfile.Process, n int) Unit {
	var u unitFile
	var before, needs, likes, sockets []string
	for _, name := range p.After {
		before = append(before, e.services[name]...) // none where it is not exported
		// What needs a unit is started anew with it: that is meant for gates only, else a deploy of one would be one of all
		// that come after it.
		if slices.ContainsFunc(e.file.Processes, func(p processfile.Process) bool {
			return p.Name == name && (p.Kind == processfile.KindGate || p.Kind == processfile.KindOneShot)
		}) {
			needs = append(needs, e.services[name]...)
		} else {
			likes = append(likes, e.services[name]...)
		}
	}
	for _, l := range p.Listeners {
		if !l.PerInstance && !strings.HasSuffix(l.Addr, ":0") {
			sockets = append(sockets, socketName(p, l))
		}
	}
	u.section("Unit")
	u.set("Description", fmt.Sprintf("%s (%s), from %s", p.Name, p.Kind, e.file.Path))
	u.set("PartOf", TargetUnit)
	u.set("Wants", strings.Join(append([]string{"network-online.target"}, likes...), " "))
	u.set("After", strings.Join(append([]string{"network-online.target"}, append(sockets, before...)...), " "))
	u.set("Requires", strings.Join(append(sockets, needs...), " "))
	// Nothing is given up by itself unless the process file says so.
	u.set("StartLimitIntervalSec", "0")
	if p.Restart.Limit > 0 {
		u.replace("StartLimitIntervalSec", seconds(p.Restart.Window))
		u.set("StartLimitBurst", strconv.Itoa(p.Restart.Limit))
	}
	u.section("Service")
	e.starts(&u, p, n)
	u.set("Sockets", strings.Join(sockets, " "))
	e.limits(&u, p)
	if p.Kind == processfile.KindService || p.Kind == processfile.KindGate {
		u.comment("What a program of the suite needs, and no more. Infra is not shut in: servers have needs of their own.")
		for _, s := range sandbox {
			u.set(s[0], s[1])
		}
		u.set("ReadWritePaths", "-"+quote(e.Options.Home))
	}
	u.section("Install")
	u.set("WantedBy", TargetUnit)
	return Unit{UnitsOf(p)[n], u.String()}
}

// starts says how it starts and ends.
func (e *exporter) starts(u *unitFile, p processfile.Process, n int) {
	switch {
	case p.Kind == processfile.KindOneShot:
		u.set("Type", "oneshot")
		u.set("RemainAfterExit", "yes")
	case p.Readiness.Notify:
		u.set("Type", "notify")
		u.set("NotifyAccess", "all")
	default:
		u.set("Type", "exec")
	}
	command := p.Command
	if path, err := exec.LookPath(command); err == nil {
		command = path // systemd has a PATH of its own
	}
	words := []string{word(command)}
	for _, arg := range p.Args {
		words = append(words, word(arg))
	}
	u.set("ExecStart", strings.Join(words, " "))
	u.set("WorkingDirectory", percent(cmp.Or(p.Dir, e.file.Root)))
	u.set("User", percent(cmp.Or(p.User, e.Options.User)))
	u.set("Group", percent(p.Group))
	files, own, left := e.source.environment(p, e.Options.Lookup)
	for _, file := range files {
		u.set("EnvironmentFile", percent(file))
	}
	if len(left) > 0 {
		u.comment("May hold secrets, so they are not in a unit, which everybody can read: " + strings.Join(left, ", "))
		e.note("%s: %s may be secret: put KEY=value into /etc/pgo/%s.env, readable by root alone", p.Name, strings.Join(left, ", "), p.Name)
		u.set("EnvironmentFile", "-/etc/pgo/"+p.Name+".env")
	}
	own["PGO_HOME"], own["PGO_INSTANCE"] = e.Options.Home, strconv.Itoa(n)
	for _, key := range slices.Sorted(maps.Keys(own)) {
		u.set("Environment", quote(key+"="+own[key]))
	}
	u.set("Restart", map[string]string{processfile.PolicyAlways: "always", processfile.PolicyOnFailure: "on-failure", processfile.PolicyNever: "no"}[p.Restart.Policy])
	u.set("RestartSec", seconds(p.Restart.FirstWait))
	var final []string
	for _, code := range p.Restart.FinalExitCodes {
		final = append(final, strconv.Itoa(code))
	}
	u.set("RestartPreventExitStatus", strings.Join(final, " "))
	u.set("TimeoutStartSec", seconds(p.Readiness.Timeout))
	u.set("TimeoutStopSec", seconds(p.Stop.Timeout))
	u.set("KillSignal", p.Stop.Signal)
	u.set("KillMode", "mixed")
	if p.Watchdog > 0 {
		u.set("WatchdogSec", seconds(p.Watchdog))
	}
}

func (e *exporter) limits(u *unitFile, p processfile.Process) {
	number := func(key string, n *int) {
		if n != nil {
			u.set(key, strconv.Itoa(*n))
		}
	}
	number("LimitNOFILE", p.Limits.Files)
	number("LimitNPROC", p.Limits.Processes)
	number("LimitCORE", p.Limits.Core)
	number("Nice", p.Limits.Nice)
	number("OOMScoreAdjust", p.Limits.OOMScoreAdj)
	if p.Limits.NoNewPrivileges && p.Kind != processfile.KindService && p.Kind != processfile.KindGate {
		u.set("NoNewPrivileges", "yes") // the others have it anyway
	}
}

// sandbox is what a static Go program that serves HTTP and talks to servers can live with.
var sandbox = [][2]string{
	{"NoNewPrivileges", "yes"},
	{"CapabilityBoundingSet", "~CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_MODULE CAP_NET_ADMIN CAP_MKNOD CAP_SYS_RAWIO CAP_SYS_BOOT CAP_SYS_TIME"},
	{"ProtectSystem", "strict"},
	{"ProtectHome", "read-only"},
	{"PrivateTmp", "yes"},
	{"PrivateDevices", "yes"},
	{"ProtectKernelTunables", "yes"},
	{"ProtectKernelModules", "yes"},
	{"ProtectKernelLogs", "yes"},
	{"ProtectControlGroups", "yes"},
	{"ProtectClock", "yes"},
	{"ProtectHostname", "yes"},
	{"RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"},
	{"RestrictNamespaces", "yes"},
	{"RestrictRealtime", "yes"},
	{"RestrictSUIDSGID", "yes"},
	{"LockPersonality", "yes"},
	{"MemoryDenyWriteExecute", "yes"},
	{"SystemCallArchitectures", "native"},
	{"SystemCallFilter", "@system-service"},
	{"UMask", "0077"},
}
