package supervise

import (
	"maps"
	"time"

	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/web"
)

// ReloadCounters count the results of reloads, by the name of a process.
type ReloadCounters struct {
	counters *state.Counters[web.ReloadCounters]
}

func newReloadCounters(keep state.Keep) *ReloadCounters {
	return &ReloadCounters{state.NewCounters[web.ReloadCounters]("reloads/", keep)}
}

// Count counts a result of one of the web package's constants.
func (r *ReloadCounters) Count(name, result string, took time.Duration) {
	r.counters.Update(name, func(of *web.ReloadCounters) {
		of.Count(result)
		if result == web.ResultDone {
			of.Observe(took)
		}
	})
}

// CountRollback counts a release that pgo has rolled back by itself.
func (r *ReloadCounters) CountRollback(name string) { r.Count(name, web.ResultRolledBack, 0) }

// Get returns a copy of the counters of a process.
func (r *ReloadCounters) Get(name string) (all *web.ReloadCounters) {
	r.counters.Read(name, func(of web.ReloadCounters) {
		of.Results = maps.Clone(of.Results)
		all = &of
	})
	return all
}
