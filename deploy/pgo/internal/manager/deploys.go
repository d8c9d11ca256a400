package manager

import (
	"errors"
	"maps"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/web"
)

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
		return web.ReasonCheck
	}
	return web.ReasonOther
}

// deploys count what became of what was deployed, by name.
type deploys struct {
	counters *state.Counters[web.DeployCounters]
}

func newDeploys(keep state.Keep) *deploys {
	return &deploys{state.NewCounters[web.DeployCounters]("deploys/", keep)}
}

func (d *deploys) count(name, result, reason string) {
	d.counters.Update(name, func(of *web.DeployCounters) { of.Count(web.Outcome{Result: result, Reason: reason}) })
}

// taken counts one that is live, and what it took since it was taken up.
func (d *deploys) taken(name string, took time.Duration) {
	d.counters.Update(name, func(of *web.DeployCounters) {
		of.Count(web.Outcome{Result: web.ResultTaken})
		of.LastDuration, of.LastAt = took, time.Now()
	})
}

// of returns what was counted of a name.
func (d *deploys) of(name string) (all *web.DeployCounters) {
	d.counters.Read(name, func(of web.DeployCounters) {
		of.Counts = maps.Clone(of.Counts)
		all = &of
	})
	return all
}
