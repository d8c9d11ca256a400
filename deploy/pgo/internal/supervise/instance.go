package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// Instance supervises one instance of a process: it starts a child when its dependencies are ready, awaits readiness,
// restarts it when it ends, replaces it, and stops it.
type Instance struct {
	Process         *Process
	ID              state.InstanceID
	wake            chan struct{}       // ends a wait for the next start
	replaceRequests chan replaceRequest // requests to replace the running child

	startStopMu sync.Mutex // held by one start or stop at a time; guards isClosed, cancel and done
	isClosed    bool
	cancel      context.CancelFunc
	done        chan struct{}  // closed when the run loop has ended; nil before the first start
	draining    sync.WaitGroup // children that were replaced and finish their requests

	Hot, Large atomic.Bool // warnings that are shown, for metrics

	childMu sync.Mutex
	child   *Child // that runs; nil if none does
}

func newInstance(p *Process, number int) *Instance {
	return &Instance{
		Process: p, ID: state.InstanceID{Name: p.Name, Number: number}, wake: make(chan struct{}, 1), replaceRequests: make(chan replaceRequest),
	}
}

// Start makes the instance wanted; it returns at once, and the state store shows the result. An instance that is wanted
// already goes on, without waiting longer for its next start.
func (i *Instance) Start() {
	i.startStopMu.Lock()
	defer i.startStopMu.Unlock()
	i.start()
}

// startSupervising begins the run loop, from a child that runs already or from none. The caller holds startStopMu, or is
// the only one.
func (i *Instance) startSupervising(from *Child) {
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel, i.done = cancel, make(chan struct{})
	go i.runLoop(ctx, i.done, from)
}

// isSupervised reports whether the run loop goes on. The caller holds startStopMu.
func (i *Instance) isSupervised() bool {
	if i.done == nil {
		return false
	}
	select {
	case <-i.done:
		return false
	default:
		return true
	}
}

// Stop makes the instance unwanted. It returns when its child has ended with all that it had started, and the children that
// were replaced as well.
func (i *Instance) Stop() {
	i.startStopMu.Lock()
	defer i.startStopMu.Unlock()
	i.stop()
}

// stop does what Stop does. The caller holds startStopMu.
func (i *Instance) stop() {
	defer i.draining.Wait()
	defer i.leaveSchedule()
	if i.done == nil {
		return
	}
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) { r.Wanted = false })
	i.cancel()
	<-i.done
	// One that had failed before is now stopped: that is what was asked for.
	if i.Process.Deps.Store.Get(i.ID).Process.Status == control.Failed {
		i.transition(control.Stopped, "asked to stop")
	}
}

// Close stops the instance for good.
func (i *Instance) Close() {
	i.startStopMu.Lock()
	i.isClosed = true
	i.startStopMu.Unlock()
	i.Stop()
}

func (i *Instance) transition(to control.State, reason string, with ...func(*state.Record)) {
	i.Process.Deps.Store.Transition(i.ID, to, reason, with...)
}

// Child returns the child that runs as this instance, or nil.
func (i *Instance) Child() *Child {
	i.childMu.Lock()
	defer i.childMu.Unlock()
	return i.child
}

func (i *Instance) setChild(k *Child) {
	i.childMu.Lock()
	defer i.childMu.Unlock()
	i.child = k
}

func clearPID(r *state.Record) { r.Process.PID = 0 }

func markUnwanted(r *state.Record) {
	r.Process.PID, r.Wanted, r.Process.ReloadPending = 0, false, false
}

// outcome is the consequence of the end of a child.
type outcome int

const (
	outcomeRestart outcome = iota // restart it
	outcomeFail                   // do not: something is wrong
	outcomeStop                   // do not: it has done its work, or was asked to end
)

// runLoop runs children from one start by command to the next stop.
func (i *Instance) runLoop(ctx context.Context, done chan<- struct{}, cur *Child) {
	defer close(done)
	for {
		if cur == nil {
			if !i.awaitDependencies(ctx) {
				i.transition(control.Stopped, "asked to stop", markUnwanted)
				return
			}
		}
		how, up, v := i.runOnce(ctx, cur)
		ran := i.Child()
		cur = nil
		i.setChild(nil)
		switch {
		case ctx.Err() != nil:
			i.transition(control.Stopped, how, markUnwanted)
			return
		case !i.Process.Deps.isKeeperGone() && i.Process.policy.HandleExit(ctx, i.Process, i.programOf(ran), how, v != outcomeRestart):
			i.transition(control.BackingOff, how+"; the release before it is started", clearPID, func(r *state.Record) { r.Process.Restarts++; r.TotalRestarts++ })
			continue
		case v == outcomeFail:
			i.transition(control.Failed, how, markUnwanted)
			return
		case v == outcomeStop:
			done := i.Process.Spec().Kind == processfile.KindOneShot
			i.transition(control.Stopped, how, markUnwanted, func(r *state.Record) { r.Done = done })
			return
		}
		if why := i.checkRestartLimit(); why != "" {
			i.transition(control.Failed, how+"; "+why, markUnwanted)
			return
		}
		i.backOff(ctx, how, up)
	}
}

// programOf returns what a child runs, or would have run where there is none.
func (i *Instance) programOf(k *Child) Program {
	if k != nil {
		return k.Program
	}
	c, _ := i.Process.Program()
	return c
}

// checkRestartLimit counts a restart, and returns why no other is allowed; "" if one is.
func (i *Instance) checkRestartLimit() string {
	r := i.Process.Spec().Restart
	if r.Limit == 0 {
		return ""
	}
	why := ""
	i.Process.Deps.Store.Update(i.ID, func(rec *state.Record) {
		rec.RestartTimes = slices.DeleteFunc(rec.RestartTimes, func(t time.Time) bool { return time.Since(t) > r.Window })
		if len(rec.RestartTimes) >= r.Limit {
			why = fmt.Sprintf("started again %d times within %s", r.Limit, r.Window)
		}
		rec.RestartTimes = append(rec.RestartTimes, time.Now())
	})
	return why
}

// backOff waits until it is time for the next start.
func (i *Instance) backOff(ctx context.Context, how string, up time.Duration) {
	var next time.Duration
	policy := i.Process.Spec().Restart
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
		wait := backoff{r.NextWait}
		next = wait.nextWait(up, policy)
		r.NextWait = wait.next
	})
	i.transition(control.BackingOff, fmt.Sprintf("%s; next start in %s", how, next.Round(time.Millisecond)), clearPID)
	timer := time.NewTimer(next)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.wake:
	case request := <-i.replaceRequests:
		request.answer <- nil // the next start is of the new one
	case <-ctx.Done():
		return
	}
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) { r.Process.Restarts++; r.TotalRestarts++ })
}

// awaitDependencies waits until all processes that this one comes after are ready. It returns false when the instance is
// not wanted any more.
func (i *Instance) awaitDependencies(ctx context.Context) bool {
	shown := ""
	for ctx.Err() == nil {
		late, changed := i.Process.Deps.Store.FirstUnready(i.Process.Spec().After)
		if late.Name == "" {
			return true
		}
		reason := "for " + late.Name
		if late.Status == control.Failed || late.Status == control.Stopped {
			reason += fmt.Sprintf(", which is %s", late.Status)
		}
		if reason != shown {
			i.transition(control.Waiting, reason)
			shown = reason
			continue // the transition was a change as well
		}
		select {
		case <-changed:
		case request := <-i.replaceRequests:
			request.answer <- nil
		case <-ctx.Done():
		}
	}
	return false
}

// runOnce runs one child, from its start or from where an earlier manager has left it.
func (i *Instance) runOnce(ctx context.Context, cur *Child) (how string, up time.Duration, v outcome) {
	if cur == nil {
		i.transition(control.Starting, "", func(r *state.Record) { r.Process.Failures++ })
		began := time.Now()
		var err error
		if cur, err = i.startChild(roleCurrent); err != nil {
			if isNotRetryable(err) {
				v = outcomeFail
			}
			i.hideEarlierOutput()
			return err.Error(), time.Since(began), v
		}
		i.publishChild(cur)
	}
	i.setChild(cur)
	if asked := cur.currentState().StopAskedAt; !asked.IsZero() {
		return cur.terminate().String(), cur.Uptime(), outcomeRestart // the manager before was ending it
	}
	w := childWatcher{instance: i, current: cur}
	return w.run(ctx)
}

// hideEarlierOutput records that a start which failed before it had a process printed nothing: what the log has is of earlier ones.
func (i *Instance) hideEarlierOutput() {
	info, err := os.Stat(i.Process.Deps.Home.LogPath(i.Process.Name))
	if err != nil {
		return // there is no log to show
	}
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) { r.Process.LogOffset = info.Size() })
}

// startChild starts a child in a role.
func (i *Instance) startChild(as role) (*Child, error) {
	spec, shared := i.Process.startSpec()
	c, err := i.Process.Program()
	if err != nil {
		return nil, errors.Join(errNotRetryable, err)
	}
	k, err := i.Process.Deps.spawn(i.ID, spec, shared, c, as)
	if err != nil {
		return nil, err
	}
	go i.learnVersion(k)
	return k, nil
}

// publishChild publishes a child in the state store.
func (i *Instance) publishChild(k *Child) {
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
		r.Process.PID, r.Started, r.Process.LogOffset, r.Process.Message, r.Process.Release = k.Handle.PID, k.Handle.StartedAt, k.logOffset, "", k.Program.SHA256
		r.Process.Listeners = k.addresses()
	})
	i.publishVersion(k)
}

// learnVersion learns the version of a child's program and publishes it. A release has it in the store. Other programs are run
// only where the process file has how they print it (version); else the version is read from the file.
func (i *Instance) learnVersion(k *Child) {
	version := k.Program.Version
	if version == "" {
		var err error
		if version, err = i.Process.versions.find(k); err != nil {
			return // it has ended, or its file is gone
		}
	}
	k.version.Store(&version)
	if k.currentState().Role == roleCurrent {
		i.publishVersion(k)
	}
}

// publishVersion publishes a child's version, if it is known.
func (i *Instance) publishVersion(k *Child) {
	version := k.version.Load()
	if version == nil {
		return // known soon
	}
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
		if r.Process.PID == k.Handle.PID {
			r.Process.Version = *version
		}
	})
}

// start does what Start does. The caller holds startStopMu.
func (i *Instance) start() {
	if i.isClosed {
		return
	}
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
		r.Process.Failures, r.RestartTimes = 0, nil
		if !r.Process.ReloadPending {
			r.Process.ReloadFailure, r.Process.LastLines = "", nil
		}
	})
	if i.isSupervised() {
		Notify(i.wake)
		return
	}
	select {
	case <-i.wake: // meant for an earlier run
	default:
	}
	i.transition(control.Waiting, control.ReasonAskedToStart, func(r *state.Record) {
		r.Process.Restarts, r.Process.Message, r.Wanted, r.Done, r.NextWait, r.Process.ReloadFailure, r.Process.LastLines = 0, "", true, false, 0, "", nil
	})
	i.startSupervising(nil)
}

// drain lets a child that was replaced finish its requests, in the background.
func (i *Instance) drain(k *Child, as role, why string) {
	k.updateState(func(s *childState) { s.Role = as })
	i.Process.Deps.Store.Update(i.ID, func(r *state.Record) { r.Process.Draining = append(slices.Clone(r.Process.Draining), k.Handle.PID) })
	i.Process.Deps.Store.PublishEvent(i.ID, k.Handle.PID, control.Ready, control.Draining, why)
	i.draining.Go(func() {
		e := k.terminate()
		i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
			r.Process.Draining = slices.DeleteFunc(slices.Clone(r.Process.Draining), func(pid int) bool { return pid == k.Handle.PID })
		})
		i.Process.Deps.Store.PublishEvent(i.ID, k.Handle.PID, control.Draining, control.Stopped, e.String())
	})
}

// errStopped is the error of a replacement that a stop has ended.
var errStopped = errors.New("it was stopped meanwhile")

// replaceRequest is a request to replace the child that runs.
type replaceRequest struct {
	ctx    context.Context // its end withdraws the request
	answer chan<- error
}

// Replace replaces the running child and returns the error of its successor. An instance that does not run, or is stopped
// meanwhile, needs none: its next start is of the new program. When ctx ends, the child that runs stays, and Replace returns
// the cause.
func (i *Instance) Replace(ctx context.Context) error {
	i.startStopMu.Lock()
	wanted, done := i.isSupervised(), i.done
	i.startStopMu.Unlock()
	if !wanted {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case i.replaceRequests <- replaceRequest{ctx, answer}:
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-answer:
		if errors.Is(err, errStopped) {
			return nil
		}
		return err
	case <-done:
		return nil
	}
}
