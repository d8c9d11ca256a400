package manager

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"pgo/deploy/pgo/web"
)

const reloadsKey = "reloads/" // + name

// reloads count how replacing processes went, by name. The keeper remembers them, so that a counter goes on.
type reloads struct {
	keep func(key string, data []byte)

	mu  sync.Mutex
	all map[string]*web.Reloads
}

func newReloads(keep func(string, []byte)) *reloads {
	return &reloads{keep: keep, all: map[string]*web.Reloads{}}
}

// ended counts a reload that was under way. One that a stop has ended is none.
func (r *reloads) ended(name string, err error, took time.Duration) {
	switch {
	case err == nil:
		r.count(name, web.Done, took)
	case !errors.Is(err, errStopped):
		r.count(name, web.Failed, took)
	}
}

func (r *reloads) count(name, result string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.all[name]
	if of == nil {
		of = &web.Reloads{}
		r.all[name] = of
	}
	of.Count(result)
	if result == web.Done {
		of.Observe(took)
	}
	if data, err := json.Marshal(of); err == nil {
		r.keep(reloadsKey+name, data)
	}
}

// of returns what was counted of a name.
func (r *reloads) of(name string) *web.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := web.Reloads{}
	if of := r.all[name]; of != nil {
		copied = *of
		copied.Results = maps.Clone(of.Results)
	}
	return &copied
}

// restore takes over what the manager before has counted.
func (r *reloads) restore(kept map[string][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, data := range kept {
		name, ok := strings.CutPrefix(key, reloadsKey)
		of := &web.Reloads{}
		if ok && json.Unmarshal(data, of) == nil { // else it begins anew, as counters may
			r.all[name] = of
		}
	}
}

// rolledBack counts a release that was gone back from by itself.
func (r *reloads) rolledBack(name string) { r.count(name, web.RolledBack, 0) }
