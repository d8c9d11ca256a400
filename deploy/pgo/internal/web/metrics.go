package web

import (
	"strconv"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/terminal"
)

// processStates are the states that a row of the list can have.
var processStates = []control.State{
	control.Waiting, control.Starting, control.Ready, control.Reloading, control.Stopping, control.Stopped, control.BackingOff, control.Failed,
}

// fill replaces the content of the set.
func (s *metricSet) fill(f Snapshot) {
	s.used = 0
	s.addProcesses(f.Processes)
	s.addGroups(f.Groups)
	s.addPgo(f)
}

func (s *metricSet) addProcesses(all []Process) {
	of := []string{"name", "instance"}
	info := s.addGauge("pgo_process_info", "What runs: always 1.", "name", "instance", "kind", "version")
	state := s.addGauge("pgo_process_state", "1 for the state that the process is in.", "name", "instance", "state")
	up := s.addGauge("pgo_process_up", "Whether the process runs.", of...)
	ready := s.addGauge("pgo_process_ready", "Whether the process serves; a one-shot, whether it has ended well.", of...)
	draining := s.addGauge("pgo_process_draining", "Processes that were replaced and finish what they hold.", of...)
	started := s.addGauge("pgo_process_start_time_seconds", "When the running process was started, since the epoch.", of...)
	restarts := s.addCounter("pgo_process_restarts_total", "Starts after the process ended by itself.", of...)
	kills := s.addCounter("pgo_process_kills_total", "Processes that hung and were killed, by what they missed.", "name", "instance", "cause")
	failures := s.addGauge("pgo_process_failed_starts", "Starts in a row, none of which became ready.", of...)
	cpu := s.addCounter("pgo_process_cpu_seconds_total", "CPU time of the running process and what it has started.", of...)
	memory := s.addGauge("pgo_process_resident_memory_bytes", "Memory of the running process and what it has started.", of...)
	limit := s.addGauge("pgo_process_memory_limit_bytes", "Memory of the main process above which it is restarted.", of...)
	warning := s.addGauge("pgo_process_warning", "1 while the process has nearly all that it may of the resource.", "name", "instance", "resource")
	releaseInfo := s.addGauge("pgo_process_release_info", "The release that runs, of a watched process: always 1.", "name", "instance", "release", "version")
	files := s.addGauge("pgo_process_open_fds", "Files that the running process has open.", of...)
	for _, p := range all {
		name, number := p.Process.Name, strconv.Itoa(p.Process.Instance)
		version := terminal.EscapeLine(p.Process.Version) // the process chose it, and people look at metrics with curl
		info.addSample(1, name, number, p.Process.Kind, version)
		for _, one := range processStates {
			state.addBool(p.Process.Status == one, name, number, string(one))
		}
		up.addBool(p.Process.PID != 0, name, number)
		ready.addBool(p.Process.Ready, name, number)
		draining.addSample(float64(len(p.Process.Draining)), name, number)
		restarts.addSample(float64(p.Restarts), name, number)
		kills.addSample(float64(p.WatchdogKills), name, number, "watchdog")
		kills.addSample(float64(p.LivenessKills), name, number, "liveness")
		failures.addSample(float64(p.Process.Failures), name, number)
		if p.Limit > 0 {
			limit.addSample(float64(p.Limit), name, number)
		}
		warning.addBool(p.CPUWarning, name, number, "cpu")
		if p.Limit > 0 {
			warning.addBool(p.MemoryWarning, name, number, "memory")
		}
		if p.Process.PID == 0 {
			continue
		}
		if p.Process.Release != "" {
			releaseInfo.addSample(1, name, number, release.ShortSum(p.Process.Release), version)
		}
		started.addSample(float64(p.Started.UnixMilli())/1000, name, number)
		cpu.addSample(p.CPU.Seconds(), name, number)
		memory.addSample(float64(p.Process.Memory), name, number)
		if p.Files >= 0 {
			files.addSample(float64(p.Files), name, number)
		}
	}
}

func (s *metricSet) addGroups(all []Group) {
	reloads := s.addCounter("pgo_reload_total", "Replacements of running processes that have ended, by how.", "name", "result")
	deploys := s.addCounter("pgo_deploy_total", "What became of programs that were deployed.", "name", "result", "reason")
	last := s.addGauge("pgo_deploy_last_duration_seconds", "Of the last deployed program that was taken, from when it was taken up until it was live.", "name")
	at := s.addGauge("pgo_deploy_last_timestamp_seconds", "When the last deployed program went live, since the epoch.", "name")
	took := s.addHistogram("pgo_reload_duration_seconds", "From asking for a new process until it has taken over.", "name")
	lines := s.addCounter("pgo_process_log_dropped_lines_total", "Lines that could not be written to the log.", "name")
	bytes := s.addCounter("pgo_process_log_dropped_bytes_total", "Bytes that could not be written to the log.", "name")
	for _, n := range all {
		lines.addSample(float64(n.Dropped.Lines), n.Name)
		bytes.addSample(float64(n.Dropped.Bytes), n.Name)
		if n.Deploys != nil {
			for _, o := range deployOutcomes {
				deploys.addSample(float64(n.Deploys.Counts[o]), n.Name, o.Result, o.Reason)
			}
			if !n.Deploys.LastAt.IsZero() {
				last.addSample(n.Deploys.LastDuration.Seconds(), n.Name)
				at.addSample(float64(n.Deploys.LastAt.UnixMilli())/1000, n.Name)
			}
		}
		if n.Reloads == nil {
			continue
		}
		for _, result := range reloadResults {
			reloads.addSample(float64(n.Reloads.Results[result]), n.Name, result)
		}
		took.addHistogram(ReloadBuckets[:], n.Reloads.Durations[:], n.Reloads.Seconds, n.Name)
	}
}

func (s *metricSet) addPgo(f Snapshot) {
	s.addGauge("pgo_manager_info", "The pgo that runs: always 1.", "version").addSample(1, f.Info.Version)
	s.addGauge("pgo_manager_start_time_seconds", "When the manager was started, since the epoch.").addSample(float64(f.Started.UnixMilli()) / 1000)
	s.addCounter("pgo_manager_restarts_total", "Managers that were started after the first one.").addSample(float64(f.Managers - 1))
	s.addCounter("pgo_manager_events_total", "Changes of processes.").addSample(float64(f.Events))
	cpu := s.addCounter("pgo_manager_cpu_seconds_total", "CPU time of pgo itself.", "half")
	memory := s.addGauge("pgo_manager_resident_memory_bytes", "Memory of pgo itself.", "half")
	for _, h := range f.Roles {
		cpu.addSample(h.CPU.Seconds(), h.Name)
		memory.addSample(float64(h.Memory), h.Name)
	}
}
