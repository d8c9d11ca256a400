package deploy

import (
	"errors"
	"maps"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/web"
)

// refusal is why a deployed program was not accepted, with the reason that metrics count.
type refusal struct {
	reason string
	err    error
}

// Error implements error.
func (r refusal) Error() string { return r.err.Error() }

// Unwrap returns the error without the reason.
func (r refusal) Unwrap() error { return r.err }

// reasonOf returns the reason that metrics count, one of a few.
func reasonOf(err error) string {
	if r, ok := errors.AsType[refusal](err); ok {
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

// Counters count the results of deploys, by the name of a process.
type Counters struct {
	counters *state.Counters[web.DeployCounters]
}

func newCounters(keep state.Keep) *Counters {
	return &Counters{state.NewCounters[web.DeployCounters]("deploys/", keep)}
}

// Restore takes over what the manager before has counted.
func (c *Counters) Restore(kept map[string][]byte) { c.counters.Restore(kept) }

func (c *Counters) countResult(process, result, reason string) {
	c.counters.Update(process, func(of *web.DeployCounters) { of.Count(web.Outcome{Result: result, Reason: reason}) })
}

// countAccepted counts a release that is current, and how long its deploy took.
func (c *Counters) countAccepted(process string, took time.Duration) {
	c.counters.Update(process, func(of *web.DeployCounters) {
		of.Count(web.Outcome{Result: web.ResultTaken})
		of.LastDuration, of.LastAt = took, time.Now()
	})
}

// Get returns a copy of the counters of a process.
func (c *Counters) Get(process string) (copied *web.DeployCounters) {
	c.counters.Read(process, func(of web.DeployCounters) {
		of.Counts = maps.Clone(of.Counts)
		copied = &of
	})
	return copied
}
