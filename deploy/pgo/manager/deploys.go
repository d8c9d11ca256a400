package manager

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"pgo/deploy/pgo/release"
	"pgo/deploy/pgo/web"
)

const deploysKey = "deploys/" // + name

// refused is why something deployed is not taken, in a word for metrics.
type refused struct {
	reason string
	error
}

// Unwrap returns the error itself.
func (r refused) Unwrap() error { return r.error }

// reasonOf is the word for why something deployed is not taken: one of a few.
func reasonOf(err error) string {
	if r, ok := errors.AsType[refused](err); ok {
		return r.reason
	}
	if kind, ok := errors.AsType[release.Kind](err); ok {
		return strings.ReplaceAll(string(kind), " ", "_")
	}
	if _, ok := errors.AsType[*release.PreflightError](err); ok {
		return web.ByCheck
	}
	return web.ByOther
}

// deploys count what became of what was deployed, by name. The keeper remembers them, so that a counter goes on.
type deploys struct {
	keep func(key string, data []byte)

	mu  sync.Mutex
	all map[string]*web.Deploys
}

func newDeploys(keep func(string, []byte)) *deploys {
	return &deploys{keep: keep, all: map[string]*web.Deploys{}}
}

func (d *deploys) change(name string, change func(*web.Deploys)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := d.all[name]
	if of == nil {
		of = &web.Deploys{Counts: map[web.Outcome]int64{}}
		d.all[name] = of
	}
	change(of)
	if data, err := json.Marshal(of); err == nil {
		d.keep(deploysKey+name, data)
	}
}

func (d *deploys) count(name, result, reason string) {
	d.change(name, func(of *web.Deploys) { of.Counts[web.Outcome{Result: result, Reason: reason}]++ })
}

// taken counts one that is live, and what it took since it was taken up.
func (d *deploys) taken(name string, took time.Duration) {
	d.change(name, func(of *web.Deploys) {
		of.Counts[web.Outcome{Result: web.Taken}]++
		of.Took, of.At = took, time.Now()
	})
}

// of returns what was counted of a name.
func (d *deploys) of(name string) *web.Deploys {
	d.mu.Lock()
	defer d.mu.Unlock()
	copied := web.Deploys{}
	if of := d.all[name]; of != nil {
		copied = *of
		copied.Counts = maps.Clone(of.Counts)
	}
	return &copied
}

// restore takes over what the manager before has counted.
func (d *deploys) restore(kept map[string][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, data := range kept {
		name, ok := strings.CutPrefix(key, deploysKey)
		of := &web.Deploys{}
		if ok && json.Unmarshal(data, of) == nil { // else it begins anew, as counters may
			if of.Counts == nil {
				of.Counts = map[web.Outcome]int64{}
			}
			d.all[name] = of
		}
	}
}
