package web

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/control"
)

// Values of pm2_app_status.
const (
	pm2Running = 1
	pm2Pending = 2
	pm2Stopped = 3
	pm2Errored = 4
)

// addPM2 adds the metrics of pm2-prom-module 2 with their names, labels and meaning, for dashboards that use those.
func (s *metricSet) addPM2(all []Process) {
	s.addGauge("pm2_free_memory", "Memory that is available on this machine, in bytes.").addSample(float64(availableMemory()))
	s.addGauge("pm2_cpu_count", "Processors of this machine.").addSample(float64(runtime.NumCPU()))
	apps := s.addGauge("pm2_available_apps", "Names in the process file.")
	instances := s.addGauge("pm2_app_instances", "Instances of a name.", "app")
	averageMemory := s.addGauge("pm2_app_average_memory", "Memory of an instance on average, in bytes.", "app")
	totalMemory := s.addGauge("pm2_app_total_memory", "Memory of all instances, in bytes.", "app")
	averageCPU := s.addGauge("pm2_app_average_cpu", "Processor use of an instance on average, in percent of one.", "app")
	uptime := s.addGauge("pm2_app_uptime", "How long the oldest instance has been running, in seconds.", "app")
	status := s.addGauge("pm2_app_status", "0 unknown, 1 running, 2 pending, 3 stopped, 4 errored: of the worst instance.", "app")
	cpu := s.addGauge("pm2_app_pids_cpu", "Processor use in percent of one.", "app", "instance")
	memory := s.addGauge("pm2_app_pids_memory", "Memory in bytes.", "app", "instance")
	restarts := s.addGauge("pm2_app_restart_count", "Starts after it ended by itself.", "app", "instance")
	count := 0
	for first := 0; first < len(all); count++ {
		name, last := all[first].Process.Name, first
		var sumMemory, worst int64
		var sumCPU float64
		var oldest time.Duration
		for ; last < len(all) && all[last].Process.Name == name; last++ {
			p := all[last]
			number := strconv.Itoa(p.Process.Instance)
			cpu.addSample(p.Process.CPU, name, number)
			memory.addSample(float64(p.Process.Memory), name, number)
			restarts.addSample(float64(p.Restarts), name, number)
			sumMemory, sumCPU = sumMemory+p.Process.Memory, sumCPU+p.Process.CPU
			oldest, worst = max(oldest, time.Duration(p.Process.Uptime)*time.Second), max(worst, pm2Status(p.Process.Status))
		}
		n := float64(last - first)
		instances.addSample(n, name)
		averageMemory.addSample(float64(sumMemory)/n, name)
		totalMemory.addSample(float64(sumMemory), name)
		averageCPU.addSample(sumCPU/n, name)
		uptime.addSample(oldest.Seconds(), name)
		status.addSample(float64(worst), name)
		first = last
	}
	apps.addSample(float64(count))
}

func pm2Status(s control.State) int64 {
	switch s {
	case control.Ready, control.Reloading:
		return pm2Running
	case control.Stopped, control.Stopping:
		return pm2Stopped
	case control.Failed:
		return pm2Errored
	default:
		return pm2Pending
	}
}

// availableMemory returns the memory that the kernel estimates as available, in bytes; 0 if it does not.
func availableMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64) // 0 is as good as unknown
			return kb << 10
		}
	}
	return 0
}
