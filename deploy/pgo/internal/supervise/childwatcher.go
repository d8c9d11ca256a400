package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/web"
)

// childWatcher watches one child from its start to its end, and its replacement. The old child serves until its successor
// has reported that it is ready, and has run for reload.stable since.
type childWatcher struct {
	instance         *Instance
	current          *Child
	ready            <-chan error // whether the child is ready; nil once it is
	unhealthy        <-chan error // why the child does not serve any more
	ctx              context.Context
	request          *replaceRequest // that is under way; nil if none is
	requestedAt      time.Time       // and when
	dependencyChange <-chan struct{}
	successor        *Child
	successorReady   <-chan error
	successorStable  <-chan time.Time
}

func (w *childWatcher) run(ctx context.Context) (how string, up time.Duration, v outcome) {
	life, stop := context.WithCancel(ctx)
	defer stop()
	w.ctx = life
	if w.current.currentState().Ready {
		w.unhealthy = w.instance.Process.Deps.watchLiveness(life, w.current)
	} else {
		w.ready = w.instance.Process.Deps.awaitReady(life, w.current)
	}
	for {
		var nextEnded <-chan struct{}
		if w.successor != nil {
			nextEnded = w.successor.exit.Done
		}
		requests, withdrawn := w.instance.replaceRequests, (<-chan struct{})(nil)
		if w.request != nil { // one at a time: the requester of the one under way gets its result
			requests, withdrawn = nil, w.request.ctx.Done()
		}
		select {
		case <-ctx.Done():
			w.abandonSuccessor(errStopped)
			w.instance.transition(control.Stopping, "asked to stop")
			return w.current.terminate().String(), w.current.Uptime(), outcomeStop
		case <-w.instance.Process.Deps.Link.Lost():
			return "the keeper is gone", w.current.Uptime(), outcomeStop
		case <-w.current.exit.Done:
			up := w.current.Uptime()
			e := w.current.reap()
			if w.successor != nil {
				w.promoteAfterExit(e)
				continue
			}
			w.answerRequest(fmt.Errorf("the process ended meanwhile: %s", e))
			return w.handleExit(e, up)
		case err := <-w.ready:
			if ctx.Err() != nil {
				continue
			}
			if err != nil {
				return w.killUnhealthy(err)
			}
			w.markReady()
		case err := <-w.unhealthy:
			if ctx.Err() != nil {
				continue
			}
			return w.killUnhealthy(err)
		case request := <-requests:
			w.request, w.requestedAt = &request, time.Now()
			w.startSuccessor()
		case <-withdrawn:
			w.withdrawRequest()
		case <-w.dependencyChange:
			w.startSuccessor()
		case <-nextEnded:
			e := w.successor.reap()
			w.failReplacement(errors.New(e.String()))
		case err := <-w.successorReady:
			if err != nil {
				k := w.successor
				w.failReplacement(err)
				w.instance.drain(k, roleRejected, err.Error())
				continue
			}
			w.successorReady = nil
			w.successor.updateState(func(s *childState) { s.Ready = true })
			w.successorStable = time.After(w.successor.Spec.Reload.Stable)
		case <-w.successorStable:
			w.promoteSuccessor()
		}
	}
}

// handleExit decides what follows from a child that ended by itself.
func (w *childWatcher) handleExit(e exitResult, up time.Duration) (string, time.Duration, outcome) {
	return e.String(), up, judgeExit(e, w.current.Spec.Restart)
}

// judgeExit decides what follows from a child that ended by itself.
func judgeExit(e exitResult, r processfile.Restart) outcome {
	code := e.status.ExitStatus()
	well := e.status.Exited() && code == 0
	switch {
	case e.status.Exited() && slices.Contains(r.FinalExitCodes, code):
		return outcomeFail
	case well && r.Policy != processfile.PolicyAlways:
		return outcomeStop
	case r.Policy == processfile.PolicyNever:
		return outcomeFail
	default:
		return outcomeRestart
	}
}

// killUnhealthy ends a child that does not serve, or was not ready in time. It counts as one that ended by itself.
func (w *childWatcher) killUnhealthy(why error) (string, time.Duration, outcome) {
	w.abandonSuccessor(why)
	up := w.current.Uptime()
	w.instance.transition(control.Stopping, why.Error(), func(r *state.Record) { countKill(r, why) })
	if errors.Is(why, errWatchdogMissed) {
		w.current.reap() // a frozen process would not react, and use up its stop timeout
	} else {
		w.current.terminate()
	}
	v := outcomeRestart
	if w.current.Spec.Restart.Policy == processfile.PolicyNever {
		v = outcomeFail
	}
	return why.Error(), up, v
}

// countKill counts the end of a child that hung, by the way in which that was noticed.
func countKill(r *state.Record, why error) {
	switch {
	case errors.Is(why, errWatchdogMissed):
		r.WatchdogKills++
	case errors.Is(why, errNotAlive):
		r.LivenessKills++
	}
}

// markReady is called when the child becomes ready.
func (w *childWatcher) markReady() {
	w.ready = nil
	sockets.SetNonblocking(w.current.resources.inherited)
	w.current.flushOutput() // so that the log has what it printed before it was ready
	w.current.updateState(func(s *childState) { s.Ready = true })
	w.instance.transition(control.Ready, "", func(r *state.Record) { r.Process.Failures = 0 })
	w.unhealthy = w.instance.Process.Deps.watchLiveness(w.ctx, w.current)
	if w.successor != nil || w.dependencyChange != nil {
		w.instance.transition(control.Reloading, "its successor starts")
		return
	}
	w.answerRequest(nil) // of a successor that took over before it was ready
}

// answerRequest answers the request for the reload that is under way, if there is one.
func (w *childWatcher) answerRequest(err error) {
	if w.request != nil {
		w.request.answer <- err
		w.request = nil
		w.countReload(err)
	}
	w.dependencyChange = nil
}

// countReload counts a reload that has ended. One that a stop has ended is not counted.
func (w *childWatcher) countReload(err error) {
	result := web.ResultDone
	switch {
	case errors.Is(err, errStopped):
		return
	case err != nil:
		result = web.ResultFailed
	}
	w.instance.Process.Deps.Reloads.Count(w.instance.Process.Name, result, time.Since(w.requestedAt))
}

// startSuccessor starts the successor, once all processes that this one comes after are ready: a gate looks at a new
// program before it runs.
func (w *childWatcher) startSuccessor() {
	spec, _ := w.instance.Process.startSpec()
	if late, changed := w.instance.Process.Deps.Store.FirstUnready(spec.After); late.Name != "" {
		if reason := "its successor waits for " + late.Name; w.ready == nil && w.instance.Process.Deps.Store.Get(w.instance.ID).Process.Reason != reason {
			w.instance.transition(control.Reloading, reason)
			_, changed = w.instance.Process.Deps.Store.FirstUnready(spec.After) // the transition was a change as well
		}
		w.dependencyChange = changed
		return
	}
	w.dependencyChange = nil
	if w.ready == nil {
		w.instance.transition(control.Reloading, "its successor starts")
	}
	k, err := w.instance.startChild(roleNext)
	if err != nil {
		w.failReplacement(err)
		return
	}
	w.successor, w.successorReady = k, w.instance.Process.Deps.awaitReady(w.ctx, k)
}

// failReplacement ends a reload that failed. The old child goes on, and is what the next starts run.
func (w *childWatcher) failReplacement(why error) {
	lines := []string{}
	if w.successor != nil {
		w.successor.flushOutput()
		lines = w.successor.tail.Lines()
	}
	w.successor, w.successorReady, w.successorStable = nil, nil, nil
	w.instance.Process.revertTo(w.current.Spec, w.current.Program)
	note := func(r *state.Record) { r.Process.ReloadFailure, r.Process.LastLines = why.Error(), lines }
	if w.ready == nil {
		w.instance.transition(control.Ready, "reload failed: "+why.Error(), note)
	} else {
		w.instance.Process.Deps.Store.Update(w.instance.ID, note)
	}
	w.answerRequest(why)
}

// withdrawRequest ends a reload because its requester does not want it any more. The old child goes on.
func (w *childWatcher) withdrawRequest() {
	why := context.Cause(w.request.ctx)
	spec, _ := w.instance.Process.startSpec()
	if late, _ := w.instance.Process.Deps.Store.FirstUnready(spec.After); w.dependencyChange != nil && late.Name != "" {
		why = fmt.Errorf("%w: its successor waits for %s, which is %s", why, late.Name, late.Status)
	}
	k := w.successor
	w.failReplacement(why)
	if k != nil {
		w.instance.drain(k, roleRejected, why.Error())
	}
}

// abandonSuccessor ends a reload because the old child ends.
func (w *childWatcher) abandonSuccessor(why error) {
	if w.successor != nil {
		k := w.successor
		w.successor, w.successorReady, w.successorStable = nil, nil, nil
		w.instance.drain(k, roleRejected, why.Error())
	}
	w.answerRequest(why)
}

// promoteSuccessor makes the successor the current child, and drains the old one.
func (w *childWatcher) promoteSuccessor() {
	old := w.current
	w.promote()
	w.instance.transition(control.Ready, fmt.Sprintf("took over from pid %d", old.Handle.PID), func(r *state.Record) { r.Process.Failures = 0 })
	w.unhealthy = w.instance.Process.Deps.watchLiveness(w.ctx, w.current)
	w.instance.drain(old, roleDraining, fmt.Sprintf("pid %d took over", w.current.Handle.PID))
	w.answerRequest(nil)
}

// promoteAfterExit makes the successor the current child because the old one has ended by itself.
func (w *childWatcher) promoteAfterExit(e exitResult) {
	isReady := w.successorReady == nil
	w.ready, w.unhealthy = w.successorReady, nil
	w.promote()
	reason := strings.TrimSpace(e.String() + "; its successor takes over")
	if isReady {
		w.instance.transition(control.Ready, reason, func(r *state.Record) { r.Process.Failures = 0 })
		w.unhealthy = w.instance.Process.Deps.watchLiveness(w.ctx, w.current)
		w.answerRequest(nil)
		return
	}
	w.instance.transition(control.Starting, reason)
}

// promote makes the successor the current child.
func (w *childWatcher) promote() {
	w.current = w.successor
	w.successor, w.successorReady, w.successorStable, w.dependencyChange = nil, nil, nil, nil
	sockets.SetNonblocking(w.current.resources.inherited)
	w.current.updateState(func(s *childState) { s.Role = roleCurrent })
	w.instance.setChild(w.current)
	w.instance.publishChild(w.current)
	w.instance.Process.Deps.Store.Update(w.instance.ID, func(r *state.Record) { r.Process.ReloadFailure, r.Process.LastLines = "", nil })
}
