package manager

import (
	"errors"
	"maps"
	"time"

	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/web"
)

// reloads count how replacing processes went, by name.
type reloads struct {
	counters *state.Counters[web.ReloadCounters]
}

func newReloads(keep state.Keep) *reloads {
	return &reloads{state.NewCounters[web.ReloadCounters]("reloads/", keep)}
}

// ended counts a reload that was under way. One that a stop has ended is none.
func (r *reloads) ended(name string, err error, took time.Duration) {
	switch {
	case err == nil:
		r.count(name, web.ResultDone, took)
	case !errors.Is(err, errStopped):
		r.count(name, web.ResultFailed, took)
	}
}

func (r *reloads) count(name, result string, took time.Duration) {
	r.counters.Update(name, func(of *web.ReloadCounters) {
		of.Count(result)
		if result == web.ResultDone {
			of.Observe(took)
		}
	})
}

// rolledBack counts a release that was gone back from by itself.
func (r *reloads) rolledBack(name string) { r.count(name, web.ResultRolledBack, 0) }

// of returns what was counted of a name.
func (r *reloads) of(name string) (all *web.ReloadCounters) {
	r.counters.Read(name, func(of web.ReloadCounters) {
		of.Results = maps.Clone(of.Results)
		all = &of
	})
	return all
}
