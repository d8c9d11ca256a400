package supervise

import (
	"slices"
	"strings"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/state"
)

// Resume goes on with the children that an earlier manager has started, and with the reloads that it had begun.
func (s *Set) Resume(deps *Deps) error {
	processes := s.ByName()
	children := map[state.InstanceID][]*Child{}
	for _, c := range deps.Link.Hello.Children {
		var shared map[string]sockets.Listener
		if p := processes[c.ChildSpec.Name]; p != nil {
			_, shared = p.startSpec()
		}
		k, err := deps.adopt(c, shared)
		if err != nil {
			return err
		}
		children[k.ID] = append(children[k.ID], k)
	}
	deps.dropOrphans(deps.Link.Hello.Children)
	for _, name := range SortedNames(processes) {
		for _, i := range processes[name].Instances() {
			i.resume(children[i.ID])
			delete(children, i.ID)
		}
	}
	for _, strays := range children { // of processes that are gone
		for _, k := range strays {
			go k.terminate()
		}
	}
	for _, name := range SortedNames(processes) {
		p := processes[name]
		if slices.ContainsFunc(p.Instances(), func(i *Instance) bool { return deps.Store.Get(i.ID).Process.ReloadPending }) {
			p.StartReload()
		}
	}
	return nil
}

// resume goes on with the children of this instance that an earlier manager has started.
func (i *Instance) resume(children []*Child) {
	i.startStopMu.Lock()
	defer i.startStopMu.Unlock()
	var cur *Child
	for _, k := range children {
		if k.currentState().Role == roleCurrent && (cur == nil || k.Handle.StartedAt.After(cur.Handle.StartedAt)) {
			cur = k
		}
	}
	for _, k := range children {
		switch role := k.currentState().Role; {
		case k == cur:
		case role == roleNext || role == roleRejected:
			i.drain(k, roleRejected, "the manager was restarted: it is tried again")
		default:
			i.drain(k, roleDraining, "was replaced")
		}
	}
	r := i.Process.Deps.Store.Get(i.ID)
	if cur != nil && r.Process.Version == "" {
		go i.learnVersion(cur)
	}
	switch {
	case r.Wanted:
		i.setChild(cur)
		if cur != nil && cur.currentState().Ready && r.Process.Status == control.Reloading {
			// Its successor is ended. The reload that begins again may fail before it gets here.
			i.transition(control.Ready, "the manager was restarted")
		}
		i.startSupervising(cur)
	case cur != nil: // it was being stopped
		i.setChild(cur)
		i.startSupervising(cur)
		i.cancel()
	case r.Process.Status != control.Failed && r.Process.Status != control.Stopped:
		i.transition(control.Stopped, "asked to stop", markUnwanted)
	}
}

// dropOrphans closes what was opened for children that were never started.
func (h *Deps) dropOrphans(children []keeper.Child) {
	alive := map[string]bool{}
	for _, c := range children {
		alive[c.ChildSpec.ID] = true
	}
	var orphans []string
	for key := range h.Link.FDs {
		for _, prefix := range []string{logKey, errKey, notifyKey, ownListenerKey} {
			rest, ok := strings.CutPrefix(key, prefix)
			id, _, _ := strings.Cut(rest, "/")
			if ok && !alive[id] {
				orphans = append(orphans, key)
			}
		}
	}
	h.Link.DropDescriptors(orphans...)
}
