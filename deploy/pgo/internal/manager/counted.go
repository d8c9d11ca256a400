package manager

import (
	"encoding/json"
	"strings"
	"sync"
)

// counted are counters by name. The keeper remembers them, so that they go on with the next manager.
type counted[T any] struct {
	prefix string // of their keys
	keep   func(key string, data []byte)

	mu  sync.Mutex
	all map[string]*T
}

func newCounted[T any](prefix string, keep func(string, []byte)) counted[T] {
	return counted[T]{prefix: prefix, keep: keep, all: map[string]*T{}}
}

func (c *counted[T]) change(name string, change func(*T)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.all[name]
	if of == nil {
		of = new(T)
		c.all[name] = of
	}
	change(of)
	if data, err := json.Marshal(of); err == nil {
		c.keep(c.prefix+name, data)
	}
}

// look shows what was counted of a name: nothing, where nothing was.
func (c *counted[T]) look(name string, see func(T)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var of T
	if known := c.all[name]; known != nil {
		of = *known
	}
	see(of)
}

// restore takes over what the manager before has counted.
func (c *counted[T]) restore(kept map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, data := range kept {
		name, ok := strings.CutPrefix(key, c.prefix)
		of := new(T)
		if ok && json.Unmarshal(data, of) == nil { // else it begins anew, as counters may
			c.all[name] = of
		}
	}
}
