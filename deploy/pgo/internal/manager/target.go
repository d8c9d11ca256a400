package manager

import (
	"sync"

	"pgo/deploy/pgo/internal/supervise"
)

// target is a process as deploys see it.
type target struct {
	*supervise.Process
	manager *Manager

	deploying sync.Mutex // held while the chosen release changes

	mu    sync.Mutex // guards trial
	trial *trial     // of the release that runs; nil once it has proven itself
}

func (m *Manager) target(p *supervise.Process) *target {
	m.targetsMu.Lock()
	defer m.targetsMu.Unlock()
	t := m.targets[p]
	if t == nil {
		t = &target{Process: p, manager: m}
		m.targets[p] = t
	}
	return t
}

func (m *Manager) forgetTarget(p *supervise.Process) {
	m.targetsMu.Lock()
	t := m.targets[p]
	delete(m.targets, p)
	m.targetsMu.Unlock()
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.stopTrial()
	}
}
