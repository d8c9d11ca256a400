package supervise

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"pgo/deploy/pgo/internal/command"
)

// notifiedChildren are the children that have a notify socket.
type notifiedChildren struct {
	mu  sync.Mutex
	all map[*Child]struct{}
}

func (n *notifiedChildren) add(k *Child) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[k] = struct{}{}
}

func (n *notifiedChildren) remove(k *Child) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, k)
}

func (n *notifiedChildren) list() []*Child {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.all))
}

// RestoreNotifySockets opens the notify sockets again whose paths have disappeared: a process finds its own by the path.
func (h *Deps) RestoreNotifySockets() error {
	var failed []error
	for _, k := range h.notified.list() {
		if err := k.restoreNotify(); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", k.ID.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (k *Child) restoreNotify() error {
	restored, err := k.resources.notify.Restore()
	if err != nil || !restored {
		return err
	}
	k.deps.Log.Warn("opened a notify socket again that had disappeared", "process", k.ID.Name, "socket", k.resources.notify.Path)
	as, err := command.LookupUser(k.Spec.User, k.Spec.Group)
	if err != nil {
		return err
	}
	return k.shareNotify(as)
}
