package supervise

import (
	"strings"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/keeper"
)

// Resume goes on with the children that an earlier manager has started in the slot.
func (i *Instance) Resume(children []*Child) {
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
			i.drain(k, roleRejected, "the manager was started anew: it is tried again")
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
			// Its successor is retired. The reload that is begun anew may fail before it gets here.
			i.transition(control.Ready, "the manager was started anew")
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

// DropOrphans closes what was opened for children that never came to be.
func (h *Deps) DropOrphans(children []keeper.Child) {
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
