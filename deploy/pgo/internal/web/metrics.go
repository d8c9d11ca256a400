package web

import (
	"strconv"

	"pgo/deploy/pgo/internal/control"
)

// states are those that a row of the list can be in.
var states = []control.State{
	control.Waiting, control.Starting, control.Ready, control.Reloading, control.Stopping, control.Stopped, control.BackingOff, control.Failed,
}

// tell fills the set anew.
func (s *set) tell(f Snapshot) {
	s.used = 0
	s.processes(f.Processes)
	s.names(f.Groups)
	s.pgo(f)
}

func (s *set) processes(all []Process) {
	of := []string{"name", "instance"}
	info := s.gauge("pgo_process_info", "What runs: always 1.", "name", "instance", "kind", "version")
	state := s.gauge("pgo_process_state", "1 for the state that the process is in.", "name", "instance", "state")
	up := s.gauge("pgo_process_up", "Whether the process runs.", of...)
	ready := s.gauge("pgo_process_ready", "Whether the process serves; a one-shot, whether it has ended well.", of...)
	draining := s.gauge("pgo_process_draining", "Processes that were replaced and finish what they hold.", of...)
	started := s.gauge("pgo_process_start_time_seconds", "When the running process was started, since the epoch.", of...)
	restarts := s.counter("pgo_process_restarts_total", "Starts after the process ended by itself.", of...)
	failures := s.gauge("pgo_process_failed_starts", "Starts in a row, none of which became ready.", of...)
	cpu := s.counter("pgo_process_cpu_seconds_total", "CPU time of the running process and what it has started.", of...)
	memory := s.gauge("pgo_process_resident_memory_bytes", "Memory of the running process and what it has started.", of...)
	limit := s.gauge("pgo_process_memory_limit_bytes", "Memory of the main process above which it is made new.", of...)
	warning := s.gauge("pgo_process_warning", "1 while the process has nearly all that it may of the resource.", "name", "instance", "resource")
	release := s.gauge("pgo_process_release_info", "The release that runs, of a watched process: always 1.", "name", "instance", "release", "version")
	files := s.gauge("pgo_process_open_fds", "Files that the running process has open.", of...)
	for _, p := range all {
		name, number := p.Process.Name, strconv.Itoa(p.Process.Instance)
		info.add(1, name, number, p.Process.Kind, p.Process.Version)
		for _, one := range states {
			state.flag(p.Process.Status == one, name, number, string(one))
		}
		up.flag(p.Process.PID != 0, name, number)
		ready.flag(p.Process.Ready, name, number)
		draining.add(float64(len(p.Process.Draining)), name, number)
		restarts.add(float64(p.Restarts), name, number)
		failures.add(float64(p.Process.Failures), name, number)
		if p.Limit > 0 {
			limit.add(float64(p.Limit), name, number)
		}
		warning.flag(p.CPUWarning, name, number, "cpu")
		if p.Limit > 0 {
			warning.flag(p.MemoryWarning, name, number, "memory")
		}
		if p.Process.PID == 0 {
			continue
		}
		if p.Process.Release != "" {
			release.add(1, name, number, p.Process.Release[:min(12, len(p.Process.Release))], p.Process.Version)
		}
		started.add(float64(p.Started.UnixMilli())/1000, name, number)
		cpu.add(p.CPU.Seconds(), name, number)
		memory.add(float64(p.Process.Memory), name, number)
		if p.Files >= 0 {
			files.add(float64(p.Files), name, number)
		}
	}
}

func (s *set) names(all []Group) {
	reloads := s.counter("pgo_reload_total", "Replacements of running processes that have ended, by how.", "name", "result")
	deploys := s.counter("pgo_deploy_total", "What became of programs that were deployed.", "name", "result", "reason")
	last := s.gauge("pgo_deploy_last_duration_seconds", "Of the last deployed program that was taken, from when it was taken up until it was live.", "name")
	at := s.gauge("pgo_deploy_last_timestamp_seconds", "When the last deployed program went live, since the epoch.", "name")
	took := s.histogram("pgo_reload_duration_seconds", "From asking for a new process until it has taken over.", "name")
	lines := s.counter("pgo_process_log_dropped_lines_total", "Lines that could not be written to the log.", "name")
	bytes := s.counter("pgo_process_log_dropped_bytes_total", "Bytes that could not be written to the log.", "name")
	for _, n := range all {
		lines.add(float64(n.Dropped.Lines), n.Name)
		bytes.add(float64(n.Dropped.Bytes), n.Name)
		if n.Deploys != nil {
			for _, o := range outcomes {
				deploys.add(float64(n.Deploys.Counts[o]), n.Name, o.Result, o.Reason)
			}
			if !n.Deploys.LastAt.IsZero() {
				last.add(n.Deploys.LastDuration.Seconds(), n.Name)
				at.add(float64(n.Deploys.LastAt.UnixMilli())/1000, n.Name)
			}
		}
		if n.Reloads == nil {
			continue
		}
		for _, result := range results {
			reloads.add(float64(n.Reloads.Results[result]), n.Name, result)
		}
		took.observed(ReloadBuckets[:], n.Reloads.Durations[:], n.Reloads.Seconds, n.Name)
	}
}

func (s *set) pgo(f Snapshot) {
	s.gauge("pgo_manager_info", "The pgo that runs: always 1.", "version").add(1, f.Info.Version)
	s.gauge("pgo_manager_start_time_seconds", "When the manager was started, since the epoch.").add(float64(f.Started.UnixMilli()) / 1000)
	s.counter("pgo_manager_restarts_total", "Managers that were started after the first one.").add(float64(f.Managers - 1))
	s.counter("pgo_manager_events_total", "Changes of processes.").add(float64(f.Events))
	cpu := s.counter("pgo_manager_cpu_seconds_total", "CPU time of pgo itself.", "half")
	memory := s.gauge("pgo_manager_resident_memory_bytes", "Memory of pgo itself.", "half")
	for _, h := range f.Roles {
		cpu.add(h.CPU.Seconds(), h.Name)
		memory.add(float64(h.Memory), h.Name)
	}
}
