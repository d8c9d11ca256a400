package supervise

import (
	"context"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// maxScheduleWait is how long the schedules sleep at most: the clock may be set meanwhile.
const maxScheduleWait = time.Minute

// dueKey identifies the schedule of a process. Another schedule of the same process is due at other times.
type dueKey struct{ process, schedule string }

// RunSchedules restarts processes and runs one-shots at the times of their schedules, until ctx ends. A time at which pgo does not
// run is skipped. changed is notified when schedules may have changed.
func RunSchedules(ctx context.Context, set *Set, changed <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := map[dueKey]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-changed:
		}
		var first time.Time
		if due, first = runDue(set, due, time.Now()); first.IsZero() {
			timer.Stop() // a pgo without schedules sleeps
			continue
		}
		timer.Reset(min(max(0, time.Until(first)), maxScheduleWait))
	}
}

// runDue runs what is due at now. It returns when each schedule is due next, and the first of these times.
func runDue(set *Set, due map[dueKey]time.Time, now time.Time) (next map[dueKey]time.Time, first time.Time) {
	next = map[dueKey]time.Time{}
	for name, p := range set.ByName() {
		schedule := p.Spec().Cron
		if schedule == "" {
			continue
		}
		key := dueKey{name, schedule}
		at, known := due[key]
		if known && !at.After(now) {
			go p.runScheduled(schedule)
		}
		if !known || !at.After(now) {
			at = processfile.NextRun(schedule, now)
		}
		next[key] = at
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return next, first
}

// runScheduled does what the schedule of the process is for: it runs a one-shot, reloads what can be reloaded, and restarts the
// rest. What is just being started, or was stopped by a command, is left alone.
func (p *Process) runScheduled(schedule string) {
	if !p.isRunningSchedule.CompareAndSwap(false, true) {
		return // the restart before takes longer than the schedule allows for
	}
	defer p.isRunningSchedule.Store(false)
	spec := p.Spec()
	if spec.Kind == processfile.KindOneShot {
		p.eachInstance(func(i *Instance) { i.runJob(schedule) })
		return
	}
	if spec.Reload.Mode != processfile.ReloadBeside {
		p.eachInstance(func(i *Instance) { i.restartBySchedule(schedule) })
		return
	}
	if slices.ContainsFunc(p.Instances(), func(i *Instance) bool { return p.Deps.Store.Get(i.ID).Process.Ready }) {
		p.Deps.Store.Announce(p.Name, "its schedule reloads it: "+schedule, nil)
		p.StartReload()
	}
}

// restartBySchedule restarts an instance that is ready, and starts a failed one. Others are being started or stopped, or a
// command has stopped them. A command that stops the instance meanwhile stops it afterwards.
func (i *Instance) restartBySchedule(schedule string) {
	i.startStopMu.Lock()
	defer i.startStopMu.Unlock()
	r := i.Process.Deps.Store.Get(i.ID)
	if !r.Process.Ready && r.Process.Status != control.Failed {
		return
	}
	i.Process.Deps.Store.PublishEvent(i.ID, r.Process.PID, r.Process.Status, r.Process.Status, "its schedule restarts it: "+schedule)
	i.stop()
	i.start()
}

// runJob runs a one-shot by its schedule, unless its last run goes on or a command has stopped it.
func (i *Instance) runJob(schedule string) {
	i.startStopMu.Lock()
	defer i.startStopMu.Unlock()
	store := i.Process.Deps.Store
	switch r := store.Get(i.ID); {
	case r.Wanted:
		store.PublishEvent(i.ID, r.Process.PID, r.Process.Status, r.Process.Status, "a run by its schedule is skipped, since the last one goes on: "+schedule)
	case r.Done, r.Process.Status == control.Failed:
		store.PublishEvent(i.ID, 0, r.Process.Status, r.Process.Status, "its schedule runs it: "+schedule)
		i.start()
	}
}

// isScheduledJob reports whether the instance is a one-shot that a schedule runs.
func (i *Instance) isScheduledJob() bool {
	spec := i.Process.Spec()
	return spec.Kind == processfile.KindOneShot && spec.Cron != ""
}

// awaitSchedule makes a one-shot that does not run wait for its schedule. It counts as done until then.
func (i *Instance) awaitSchedule() {
	i.startStopMu.Lock()
	defer i.startStopMu.Unlock()
	if i.isClosed || i.isSupervised() || i.Process.Deps.Store.Get(i.ID).Done {
		return
	}
	i.transition(control.Stopped, "waits for its schedule: "+i.Process.Spec().Cron, func(r *state.Record) { r.Done = true })
}

// leaveSchedule keeps the schedule from running a one-shot that a command has stopped. The caller holds startStopMu.
func (i *Instance) leaveSchedule() {
	if i.isScheduledJob() && i.Process.Deps.Store.Get(i.ID).Done {
		i.transition(control.Stopped, "asked to stop", func(r *state.Record) { r.Done = false })
	}
}
