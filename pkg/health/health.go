// Package health reports whether a program lives, has started and is ready.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	checkTimeout         = 2 * time.Second
	checkInterval        = 500 * time.Millisecond // younger results are used again, for any number of callers
	checkIntervalAtStart = 20 * time.Millisecond  // the same before the program was ready, when a manager waits for it
)

// Check reports whether a dependency answers. It must respect ctx.
type Check func(ctx context.Context) error

// Health runs the checks of a program's dependencies: the required ones, without which it is not ready, and the optional
// ones, without which it is ready and degraded.
type Health struct {
	log      *zap.Logger
	checks   []namedCheck
	started  atomic.Bool
	draining atomic.Bool

	mu     sync.Mutex
	last   State
	lastAt time.Time
}

type namedCheck struct {
	name          string
	required      bool
	check         Check
	failingSince  time.Time // zero while the check succeeds
	failureLogged bool      // avoids a line for each attempt
}

// State is the body of /readyz.
type State struct {
	Status   string   `json:"status"` // ready, not_ready or draining
	Failing  []string `json:"failing,omitempty"`
	Degraded []string `json:"degraded,omitempty"`
}

// StatusReady is the status of a program that serves.
const StatusReady = "ready"

// New returns a Health without checks. Failures are logged to log and never shown to a caller.
func New(log *zap.Logger) *Health { return &Health{log: log} }

// Require adds a dependency without which the program is not ready. Call it before the first request.
func (h *Health) Require(name string, c Check) {
	h.checks = append(h.checks, namedCheck{name: name, required: true, check: c})
}

// Optional adds a dependency without which the program is ready and degraded. Call it before the first request.
func (h *Health) Optional(name string, c Check) {
	h.checks = append(h.checks, namedCheck{name: name, check: c})
}

// StartDrain makes the program not ready from now on.
func (h *Health) StartDrain() { h.draining.Store(true) }

// State runs the checks concurrently, or returns their last result if it is fresh.
func (h *Health) State(ctx context.Context) State {
	if h.draining.Load() {
		return State{Status: "draining"}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := checkInterval
	if !h.started.Load() {
		fresh = checkIntervalAtStart
	}
	if time.Since(h.lastAt) < fresh {
		return h.last
	}
	// A caller that leaves must not make the others see a failure.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	errs := make([]error, len(h.checks))
	var wg sync.WaitGroup
	for i, c := range h.checks {
		wg.Go(func() { errs[i] = c.check(ctx) })
	}
	wg.Wait()
	s := State{Status: StatusReady}
	for i, c := range h.checks {
		h.logChange(i, errs[i])
		switch {
		case errs[i] == nil:
			continue
		case c.required:
			s.Status = "not_ready"
			s.Failing = append(s.Failing, c.name)
		default:
			s.Degraded = append(s.Degraded, c.name)
		}
	}
	if s.Status == StatusReady {
		h.started.Store(true)
	}
	h.last, h.lastAt = s, time.Now()
	return s
}

// logChange logs once that a dependency fails, and when it answers again. A failure of a moment may belong to the start and
// is not logged.
func (h *Health) logChange(i int, err error) {
	c := &h.checks[i]
	switch {
	case err == nil:
		if c.failureLogged {
			h.log.Info("a dependency answers again", zap.String("dependency", c.name))
		}
		c.failingSince, c.failureLogged = time.Time{}, false
	case c.failingSince.IsZero():
		c.failingSince = time.Now()
	case !c.failureLogged && time.Since(c.failingSince) >= checkInterval:
		c.failureLogged = true
		h.log.Warn("a dependency does not answer", zap.String("dependency", c.name), zap.Bool("required", c.required), zap.Error(err))
	}
}

// LivenessHandler answers 200 for as long as the program can answer at all.
func (h *Health) LivenessHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeState(w, http.StatusOK, State{Status: "alive"})
	})
}

// StartupHandler answers 200 once the program has been ready.
func (h *Health) StartupHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.started.Load() || h.State(r.Context()).Status == StatusReady {
			writeState(w, http.StatusOK, State{Status: "started"})
			return
		}
		writeState(w, http.StatusServiceUnavailable, State{Status: "starting"})
	})
}

// ReadinessHandler answers 200 when the program can serve, else 503; the body is a State.
func (h *Health) ReadinessHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := h.State(r.Context())
		status := http.StatusOK
		if s.Status != StatusReady {
			status = http.StatusServiceUnavailable
		}
		writeState(w, status, s)
	})
}

func writeState(w http.ResponseWriter, status int, s State) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(s) // the caller has gone: no one reads the error
}
