package serve

import (
	"net"
	"net/http"
	"sync"
)

// connections counts a server's open connections.
type connections struct {
	mu    sync.Mutex
	open  map[net.Conn]struct{}
	empty chan struct{} // closed when none is open; nil while no one waits
}

// trackState is an http.Server's ConnState.
func (c *connections) trackState(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if c.open == nil {
			c.open = map[net.Conn]struct{}{}
		}
		c.open[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
		c.signalIfEmpty()
	}
}

func (c *connections) countOpen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// notifyEmpty returns a channel that is closed when no connection is open. Call it when no new ones come.
func (c *connections) notifyEmpty() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	empty := make(chan struct{})
	c.empty = empty
	c.signalIfEmpty()
	return empty
}

func (c *connections) signalIfEmpty() {
	if c.empty != nil && len(c.open) == 0 {
		close(c.empty)
		c.empty = nil
	}
}
