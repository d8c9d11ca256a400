package manager

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// resume goes on from where the manager before has ended, whatever it was doing: what it had learned is with the
// keeper, and so is what became of the children since.
func (m *Manager) resume() (resumed bool, err error) {
	hello := m.host.link.Hello
	if n, err := strconv.ParseInt(string(hello.Data[countKey]), 10, 64); err == nil {
		m.host.count.Store(n)
	}
	m.down = hello.Data[downKey] != nil
	data := hello.Data[fileKey]
	if data == nil {
		return false, nil
	}
	var f processfile.File
	if err := json.Unmarshal(data, &f); err != nil {
		return false, fmt.Errorf("take over the process file: %w", err)
	}
	open := takeOver(m.host.link.FDs)
	if m.listeners, err = open.with(f, m.host.link); err != nil {
		return false, fmt.Errorf("take over the listeners: %w", err)
	}
	open.drop(m.listeners, m.host.link)
	m.host.board.Restore(hello.Data)
	m.file = f
	m.lay(f, nil)
	for _, p := range m.processes {
		if p.current().Watch.Enabled && m.lastLive(p).sum != "" {
			p.proveLive()
		}
	}
	m.rewatch()
	m.host.tally.counters.Restore(hello.Data)
	m.host.deploys.counters.Restore(hello.Data)
	m.serveHTTP(f.HTTP)
	children := map[state.InstanceID][]*child{}
	for _, c := range hello.Children {
		var shared map[string]listener
		if p := m.processes[c.ChildSpec.Name]; p != nil {
			_, shared = p.what()
		}
		k, err := m.host.adopt(c, shared)
		if err != nil {
			return false, err
		}
		m.host.running.add(k)
		children[k.slot] = append(children[k.slot], k)
	}
	m.dropOrphans(hello.Children)
	for _, name := range sortedNames(m.processes) {
		for _, i := range m.processes[name].all() {
			i.resume(children[i.slot])
			delete(children, i.slot)
		}
	}
	for _, strays := range children { // of processes that are gone
		for _, k := range strays {
			go k.end()
		}
	}
	for _, name := range sortedNames(m.processes) {
		p := m.processes[name]
		if slices.ContainsFunc(p.all(), func(i *instance) bool { return i.process.host.board.Get(i.slot).Process.ReloadPending }) {
			p.reload() // which the manager before has begun
		}
	}
	return true, nil
}

// dropOrphans closes what was opened for children that never came to be.
func (m *Manager) dropOrphans(children []keeper.Child) {
	alive := map[string]bool{}
	for _, c := range children {
		alive[c.ChildSpec.ID] = true
	}
	var orphans []string
	for key := range m.host.link.FDs {
		for _, prefix := range []string{logKey, errKey, notifyKey, aloneKey} {
			rest, ok := strings.CutPrefix(key, prefix)
			id, _, _ := strings.Cut(rest, "/")
			if ok && !alive[id] {
				orphans = append(orphans, key)
			}
		}
	}
	m.host.link.DropDescriptors(orphans...)
}

// resume goes on with the children that an earlier manager has started in the slot.
func (i *instance) resume(children []*child) {
	i.op.Lock()
	defer i.op.Unlock()
	var cur *child
	for _, k := range children {
		if k.is().Role == current && (cur == nil || k.Child.StartedAt.After(cur.Child.StartedAt)) {
			cur = k
		}
	}
	for _, k := range children {
		switch role := k.is().Role; {
		case k == cur:
		case role == next || role == rejected:
			i.retire(k, rejected, "the manager was started anew: it is tried again")
		default:
			i.retire(k, draining, "was replaced")
		}
	}
	r := i.process.host.board.Get(i.slot)
	if cur != nil && r.Process.Version == "" {
		go i.learnVersion(cur)
	}
	switch {
	case r.Wanted:
		i.put(cur)
		if cur != nil && cur.is().Ready && r.Process.Status == control.Reloading {
			// Its successor is retired. The reload that is begun anew may fail before it gets here.
			i.set(control.Ready, "the manager was started anew")
		}
		i.supervise(cur)
	case cur != nil: // it was being stopped
		i.put(cur)
		i.supervise(cur)
		i.cancel()
	case r.Process.Status != control.Failed && r.Process.Status != control.Stopped:
		i.set(control.Stopped, "asked to stop", unwanted)
	}
}
