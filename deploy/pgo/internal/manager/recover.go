package manager

import (
	"encoding/json"
	"fmt"
	"slices"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
)

// resume goes on from where the manager before has ended, whatever it was doing: what it had learned is with the
// keeper, and so is what became of the children since.
func (m *Manager) resume() (resumed bool, err error) {
	hello := m.host.Link.Hello
	m.host.RestoreKept(hello.Data)
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
	open := supervise.AdoptListeners(m.host.Link.FDs)
	if m.listeners, err = open.Open(f, m.host.Link); err != nil {
		return false, fmt.Errorf("take over the listeners: %w", err)
	}
	open.CloseExcept(m.listeners, m.host.Link)
	m.host.Store.Restore(hello.Data)
	m.updateProcesses(f, nil)
	processes := m.set.ByName()
	for _, p := range processes {
		if p.Spec().Watch.Enabled && m.lastLive(p).SHA256 != "" {
			m.target(p).proveLive()
		}
	}
	m.rewatch()
	m.deploys.counters.Restore(hello.Data)
	m.serveHTTP(f.HTTP)
	children := map[state.InstanceID][]*supervise.Child{}
	for _, c := range hello.Children {
		var shared map[string]supervise.Listener
		if p := processes[c.ChildSpec.Name]; p != nil {
			_, shared = p.StartSpec()
		}
		k, err := m.host.Adopt(c, shared)
		if err != nil {
			return false, err
		}
		children[k.ID] = append(children[k.ID], k)
	}
	m.host.DropOrphans(hello.Children)
	for _, name := range supervise.SortedNames(processes) {
		for _, i := range processes[name].Instances() {
			i.Resume(children[i.ID])
			delete(children, i.ID)
		}
	}
	for _, strays := range children { // of processes that are gone
		for _, k := range strays {
			go k.Terminate()
		}
	}
	for _, name := range supervise.SortedNames(processes) {
		p := processes[name]
		if slices.ContainsFunc(p.Instances(), func(i *supervise.Instance) bool { return i.Process.Deps.Store.Get(i.ID).Process.ReloadPending }) {
			p.StartReload() // which the manager before has begun
		}
	}
	return true, nil
}
