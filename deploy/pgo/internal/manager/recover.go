package manager

import (
	"encoding/json"
	"fmt"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/sockets"
)

// resumeProcesses goes on from where the manager before has ended, whatever it was doing: its data is with the keeper, and
// so are the exits of children since. It returns false if there was no manager before.
func (m *Manager) resumeProcesses() (resumed bool, err error) {
	hello := m.deps.Link.Hello
	m.deps.RestoreKept(hello.Data)
	if hello.Data[downKey] != nil {
		m.set.MarkDown()
	}
	data := hello.Data[fileKey]
	if data == nil {
		return false, nil
	}
	var f processfile.File
	if err := json.Unmarshal(data, &f); err != nil {
		return false, fmt.Errorf("take over the process file: %w", err)
	}
	open := sockets.AdoptListeners(m.deps.Link.FDs)
	if m.listeners, err = open.Open(f, m.deps.Link); err != nil {
		return false, fmt.Errorf("take over the listeners: %w", err)
	}
	open.CloseExcept(m.listeners, m.deps.Link)
	m.deps.Store.Restore(hello.Data)
	m.updateProcesses(f, nil)
	m.deployer.Resume()
	m.updateWatches()
	m.deployer.Counters().Restore(hello.Data)
	m.serveHTTP(f.HTTP)
	return true, m.set.Resume(m.deps)
}
