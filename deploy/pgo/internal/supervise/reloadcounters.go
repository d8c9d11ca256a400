package supervise

import (
	"errors"
	"maps"
	"time"

	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/web"
)

// ReloadCounters count how replacing processes went, by name.
type ReloadCounters struct {
	counters *state.Counters[web.ReloadCounters]
}

func newReloadCounters(keep state.Keep) *ReloadCounters {
	return &ReloadCounters{state.NewCounters[web.ReloadCounters]("reloads/", keep)}
}

// countReload counts a reload that was under way. One that a stop has ended is none.
func (r *ReloadCounters) countReload(name string, err error, took time.Duration) {
	switch {
	case err == nil:
		r.Count(name, web.ResultDone, took)
	case !errors.Is(err, errStopped):
		r.Count(name, web.ResultFailed, took)
	}
}

func (r *ReloadCounters) Count(name, result string, took time.Duration) {
	r.counters.Update(name, func(of *web.ReloadCounters) {
		of.Count(result)
		if result == web.ResultDone {
			of.Observe(took)
		}
	})
}

// CountRollback counts a release that was gone back from by itself.
func (r *ReloadCounters) CountRollback(name string) { r.Count(name, web.ResultRolledBack, 0) }

// Get returns what was counted of a name.
func (r *ReloadCounters) Get(name string) (all *web.ReloadCounters) {
	r.counters.Read(name, func(of web.ReloadCounters) {
		of.Results = maps.Clone(of.Results)
		all = &of
	})
	return all
}
