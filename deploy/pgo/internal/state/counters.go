package state

import (
	"encoding/json"
	"strings"
	"sync"
)

// Counters are metrics by the name of a process. They are kept for the next manager, which goes on counting.
type Counters[T any] struct {
	prefix string // of their keys
	keep   Keep

	mu     sync.Mutex // guards byName
	byName map[string]*T
}

// NewCounters returns counters at zero; prefix begins the keys under which they are kept.
func NewCounters[T any](prefix string, keep Keep) *Counters[T] {
	return &Counters[T]{prefix: prefix, keep: keep, byName: map[string]*T{}}
}

// Update changes the counter of a name, and keeps it.
func (c *Counters[T]) Update(name string, change func(*T)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counter := c.byName[name]
	if counter == nil {
		counter = new(T)
		c.byName[name] = counter
	}
	change(counter)
	if data, err := json.Marshal(counter); err == nil {
		c.keep(c.prefix+name, data)
	}
}

// Read calls read with the counter of a name, or with a zero value. read must copy any map before it returns.
func (c *Counters[T]) Read(name string, read func(T)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var counter T
	if known := c.byName[name]; known != nil {
		counter = *known
	}
	read(counter)
}

// Restore takes over the counters that the manager before has kept. An unreadable one starts at zero again, as counters
// may.
func (c *Counters[T]) Restore(kept map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, data := range kept {
		name, ok := strings.CutPrefix(key, c.prefix)
		counter := new(T)
		if ok && json.Unmarshal(data, counter) == nil {
			c.byName[name] = counter
		}
	}
}
