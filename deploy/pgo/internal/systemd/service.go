package systemd

import (
	"cmp"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"pgo/deploy/pgo/internal/processfile"
)

// serviceUnit returns the unit of one instance of a process.
func (e *exporter) serviceUnit(p processfile.Process, n int) Unit {
	var u unitFile
	var sockets []string
	for _, l := range p.Listeners {
		if hasSocketUnit(l) {
			sockets = append(sockets, socketUnitOf(p, l))
		}
	}
	u.addSection("Unit")
	u.set("Description", fmt.Sprintf("%s (%s), from %s", p.Name, p.Kind, e.file.Path))
	u.set("PartOf", TargetUnit)
	e.setOrder(&u, p, sockets)
	// systemd gives nothing up by itself unless the process file limits restarts.
	u.set("StartLimitIntervalSec", "0")
	if p.Restart.Limit > 0 {
		u.replaceSetting("StartLimitIntervalSec", formatSeconds(p.Restart.Window))
		u.set("StartLimitBurst", strconv.Itoa(p.Restart.Limit))
	}
	u.addSection("Service")
	e.setCommand(&u, p)
	e.setEnvironment(&u, p, n)
	setLifecycle(&u, p)
	u.set("Sockets", strings.Join(sockets, " "))
	setLimits(&u, p)
	if p.Kind == processfile.KindService || p.Kind == processfile.KindGate {
		u.addComment("What a program of the suite needs, and no more. Infra is not shut in: servers have needs of their own.")
		for _, s := range sandbox {
			u.set(s[0], s[1])
		}
		u.set("ReadWritePaths", "-"+quoteWord(e.Options.Home))
	}
	u.addSection("Install")
	u.set("WantedBy", TargetUnit)
	return Unit{UnitsOf(p)[n], u.String()}
}

// setOrder makes the unit start after its sockets and the processes that the process file puts before it. systemd restarts
// the units that require a unit with it. So only gates and one-shots are required: else a deploy of one service would
// restart all that come after it.
func (e *exporter) setOrder(u *unitFile, p processfile.Process, sockets []string) {
	const network = "network-online.target"
	after, requires, wants := append([]string{network}, sockets...), slices.Clone(sockets), []string{network}
	for _, name := range p.After {
		services := e.services[name] // none where it is not exported
		after = append(after, services...)
		isRequired := slices.ContainsFunc(e.file.Processes, func(p processfile.Process) bool {
			return p.Name == name && (p.Kind == processfile.KindGate || p.Kind == processfile.KindOneShot)
		})
		if isRequired {
			requires = append(requires, services...)
		} else {
			wants = append(wants, services...)
		}
	}
	u.set("Wants", strings.Join(wants, " "))
	u.set("After", strings.Join(after, " "))
	u.set("Requires", strings.Join(requires, " "))
}

// setCommand sets the type of the unit, and what it runs, where, and as whom.
func (e *exporter) setCommand(u *unitFile, p processfile.Process) {
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
	program := p.Command
	if path, err := exec.LookPath(program); err == nil {
		program = path // systemd has a PATH of its own
	}
	command := []string{quoteArgument(program)}
	for _, arg := range p.Args {
		command = append(command, quoteArgument(arg))
	}
	u.set("ExecStart", strings.Join(command, " "))
	u.set("WorkingDirectory", escapeSpecifiers(cmp.Or(p.Dir, e.file.Root)))
	u.set("User", escapeSpecifiers(cmp.Or(p.User, e.Options.User)))
	u.set("Group", escapeSpecifiers(p.Group))
}

// setEnvironment sets the environment of an instance, with secrets left to EnvDir.
func (e *exporter) setEnvironment(u *unitFile, p processfile.Process, n int) {
	files, values, secrets := e.source.environmentOf(p, e.Options.Lookup)
	for _, file := range files {
		u.set("EnvironmentFile", escapeSpecifiers(file))
	}
	if len(secrets) > 0 {
		u.addComment("May hold secrets, so they are not in a unit, which everybody can read: " + strings.Join(secrets, ", "))
		e.addNote("%s: %s may be secret: put KEY=value into %s/%s.env, readable by root alone", p.Name, strings.Join(secrets, ", "), EnvDir, p.Name)
		u.set("EnvironmentFile", "-"+EnvDir+"/"+p.Name+".env")
	}
	values["PGO_HOME"], values["PGO_INSTANCE"] = e.Options.Home, strconv.Itoa(n)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		u.set("Environment", quoteWord(key+"="+values[key]))
	}
}

// setLifecycle sets when the unit is restarted, and how long starting and stopping may take.
func setLifecycle(u *unitFile, p processfile.Process) {
	u.set("Restart", map[string]string{processfile.PolicyAlways: "always", processfile.PolicyOnFailure: "on-failure", processfile.PolicyNever: "no"}[p.Restart.Policy])
	u.set("RestartSec", formatSeconds(p.Restart.FirstWait))
	var finalCodes []string
	for _, code := range p.Restart.FinalExitCodes {
		finalCodes = append(finalCodes, strconv.Itoa(code))
	}
	u.set("RestartPreventExitStatus", strings.Join(finalCodes, " "))
	u.set("TimeoutStartSec", formatSeconds(p.Readiness.Timeout))
	u.set("TimeoutStopSec", formatSeconds(p.Stop.Timeout))
	u.set("KillSignal", p.Stop.Signal)
	u.set("KillMode", "mixed")
	if p.Watchdog > 0 {
		u.set("WatchdogSec", formatSeconds(p.Watchdog))
	}
}

func setLimits(u *unitFile, p processfile.Process) {
	setNumber := func(key string, n *int) {
		if n != nil {
			u.set(key, strconv.Itoa(*n))
		}
	}
	setNumber("LimitNOFILE", p.Limits.Files)
	setNumber("LimitNPROC", p.Limits.Processes)
	setNumber("LimitCORE", p.Limits.Core)
	setNumber("Nice", p.Limits.Nice)
	setNumber("OOMScoreAdjust", p.Limits.OOMScoreAdj)
	if p.Limits.NoNewPrivileges && p.Kind != processfile.KindService && p.Kind != processfile.KindGate {
		u.set("NoNewPrivileges", "yes") // the sandbox of services and gates has it already
	}
}
