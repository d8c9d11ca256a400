package manager

import (
	"sync"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// meter measures what processes use. It looks only when asked, so an idle pgo costs nothing.
type meter struct {
	mu   sync.Mutex
	last map[int]cpuUsage // by pid of the main process
}

type cpuUsage struct {
	at      time.Time
	cpu     time.Duration
	percent float64
	most    time.Duration // used so far: never less than was said before
}

// cpuUsageMinAge is how long a figure of CPU use is repeated: over less time it would be noise.
const cpuUsageMinAge = 500 * time.Millisecond

// fill sets CPU and memory of each process, with all that runs in its session. It returns the CPU time of each, by pid.
func (m *meter) fill(processes []control.Process) map[int]time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var pids []int
	for _, p := range processes {
		if p.PID != 0 {
			pids = append(pids, p.PID)
		}
	}
	sessions, _ := proc.SessionMembers(pids...) // what could not be looked at counts as nothing
	now, next := time.Now(), map[int]cpuUsage{}
	used := map[int]time.Duration{}
	for i := range processes {
		p := &processes[i]
		if p.PID == 0 {
			continue
		}
		var cpu time.Duration
		for _, s := range sessions[p.PID] {
			cpu += s.CPU + s.ChildCPU
			p.Memory += s.Memory
		}
		before, known := m.last[p.PID]
		if !known {
			before = cpuUsage{at: now.Add(-time.Duration(p.Uptime) * time.Second)}
		}
		s := before
		if over := now.Sub(before.at); over >= cpuUsageMinAge {
			// A child that ended, and that no one waited for, took its time with it: never below zero.
			s = cpuUsage{at: now, cpu: cpu, most: before.most, percent: max(0, 100*float64(cpu-before.cpu)/float64(over))}
		}
		s.most = max(s.most, cpu)
		next[p.PID], used[p.PID] = s, s.most
		p.CPU = float64(int(s.percent*10)) / 10
	}
	m.last = next
	return used
}
