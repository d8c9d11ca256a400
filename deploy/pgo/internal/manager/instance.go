package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// instance supervises one slot: starts a process in it when its turn has come, sees it become ready, starts it again
// when it ends, replaces it, and stops it.
type instance struct {
	process *process
	slot    state.InstanceID
	kick    chan struct{}     // ends a wait for the next start
	reloads chan chan<- error // asks for the running process to be replaced

	op     sync.Mutex // one start or stop at a time
	closed bool
	cancel context.CancelFunc
	done   chan struct{}  // closed when supervise has ended; nil before the first start
	behind sync.WaitGroup // processes that were replaced and still finish what they hold

	hot, large atomic.Bool // it was warned: for metrics

	mu      sync.Mutex
	running *child // the one in the slot, for those who ask what runs
}

func newInstance(p *process, number int) *instance {
	return &instance{
		process: p, slot: state.InstanceID{Name: p.name, Number: number}, kick: make(chan struct{}, 1), reloads: make(chan chan<- error),
	}
}

// start makes the process wanted; it returns at once and the board shows what comes of it. One that is wanted already
// goes on, without waiting longer for its next start.
func (i *instance) start() {
	i.op.Lock()
	defer i.op.Unlock()
	if i.closed {
		return
	}
	i.process.host.board.Update(i.slot, func(r *state.Record) {
		r.Process.Failures, r.RestartTimes = 0, nil
		if !r.Process.ReloadPending {
			r.Process.ReloadFailure, r.Process.LastLines = "", nil
		}
	})
	if i.wanted() {
		poke(i.kick)
		return
	}
	select {
	case <-i.kick: // meant for the life before
	default:
	}
	i.set(control.Waiting, control.ReasonAskedToStart, func(r *state.Record) {
		r.Process.Restarts, r.Process.Message, r.Wanted, r.Done, r.NextWait, r.Process.ReloadFailure, r.Process.LastLines = 0, "", true, false, 0, "", nil
	})
	i.supervise(nil)
}

// supervise begins to, from a child that runs already or from none. The caller has the lock, or is the only one.
func (i *instance) supervise(from *child) {
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel, i.done = cancel, make(chan struct{})
	go i.live(ctx, i.done, from)
}

func (i *instance) wanted() bool {
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

// stop makes the process unwanted, and returns when it has ended with all that it had started, and those that were
// replaced as well.
func (i *instance) stop() {
	i.op.Lock()
	defer i.op.Unlock()
	defer i.behind.Wait()
	if i.done == nil {
		return
	}
	i.process.host.board.Update(i.slot, func(r *state.Record) { r.Wanted = false })
	i.cancel()
	<-i.done
	// One that had failed before is now stopped: that is what was asked for.
	if i.process.host.board.Get(i.slot).Process.Status == control.Failed {
		i.set(control.Stopped, "asked to stop")
	}
}

// close stops the process for good.
func (i *instance) close() {
	i.op.Lock()
	i.closed = true
	i.op.Unlock()
	i.stop()
}

func (i *instance) set(to control.State, reason string, with ...func(*state.Record)) {
	i.process.host.board.Transition(i.slot, to, reason, with...)
}

func (i *instance) runs() *child {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.running
}

func (i *instance) put(k *child) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running = k
}

func gone(r *state.Record) { r.Process.PID = 0 }

func unwanted(r *state.Record) { r.Process.PID, r.Wanted, r.Process.ReloadPending = 0, false, false }

// verdict is what follows from the end of a process.
type verdict int

const (
	again   verdict = iota // it is started again
	failed                 // it is not: something is wrong
	stopped                // it is not: it has done what it was to do, or was asked to end
)

// live is the process's life from one start by command to the next stop.
func (i *instance) live(ctx context.Context, done chan<- struct{}, cur *child) {
	defer close(done)
	for {
		if cur == nil {
			if !i.awaitTurn(ctx) {
				i.set(control.Stopped, "asked to stop", unwanted)
				return
			}
		}
		how, up, v := i.once(ctx, cur)
		ran := i.runs()
		cur = nil
		i.put(nil)
		switch {
		case ctx.Err() != nil:
			i.set(control.Stopped, how, unwanted)
			return
		case v != stopped && i.strike(ran, how, v):
			i.set(control.BackingOff, how+"; the release before it is started", gone, func(r *state.Record) { r.Process.Restarts++; r.TotalRestarts++ })
			continue
		case v == failed:
			i.set(control.Failed, how, unwanted)
			return
		case v == stopped:
			done := i.process.current().Kind == processfile.KindOneShot
			i.set(control.Stopped, how, unwanted, func(r *state.Record) { r.Done = done })
			return
		}
		if why := i.tooOften(); why != "" {
			i.set(control.Failed, how+"; "+why, unwanted)
			return
		}
		i.rest(ctx, how, up)
	}
}

// tooOften tells whether it was started again as often as is allowed.
func (i *instance) tooOften() string {
	r := i.process.current().Restart
	if r.Limit == 0 {
		return ""
	}
	why := ""
	i.process.host.board.Update(i.slot, func(rec *state.Record) {
		rec.RestartTimes = slices.DeleteFunc(rec.RestartTimes, func(t time.Time) bool { return time.Since(t) > r.Window })
		if len(rec.RestartTimes) >= r.Limit {
			why = fmt.Sprintf("started again %d times within %s", r.Limit, r.Window)
		}
		rec.RestartTimes = append(rec.RestartTimes, time.Now())
	})
	return why
}

// rest waits until it is time for the next start.
func (i *instance) rest(ctx context.Context, how string, up time.Duration) {
	var next time.Duration
	policy := i.process.current().Restart
	i.process.host.board.Update(i.slot, func(r *state.Record) {
		wait := backoff{r.NextWait}
		next = wait.after(up, policy)
		r.NextWait = wait.next
	})
	i.set(control.BackingOff, fmt.Sprintf("%s; next start in %s", how, next.Round(time.Millisecond)), gone)
	timer := time.NewTimer(next)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.kick:
	case answer := <-i.reloads:
		answer <- nil // the next start is of the new one
	case <-ctx.Done():
		return
	}
	i.process.host.board.Update(i.slot, func(r *state.Record) { r.Process.Restarts++; r.TotalRestarts++ })
}

// awaitTurn waits until all that the process comes after are ready; false when it is no more wanted.
func (i *instance) awaitTurn(ctx context.Context) bool {
	shown := ""
	for ctx.Err() == nil {
		late, changed := i.process.host.board.FirstUnready(i.process.current().After)
		if late.Name == "" {
			return true
		}
		reason := "for " + late.Name
		if late.Status == control.Failed || late.Status == control.Stopped {
			reason += fmt.Sprintf(", which is %s", late.Status)
		}
		if reason != shown {
			i.set(control.Waiting, reason)
			shown = reason
			continue // setting it was a change as well
		}
		select {
		case <-changed:
		case answer := <-i.reloads:
			answer <- nil
		case <-ctx.Done():
		}
	}
	return false
}

// once runs the process one time, from its start or from where an earlier manager has left it.
func (i *instance) once(ctx context.Context, cur *child) (how string, up time.Duration, v verdict) {
	if cur == nil {
		i.set(control.Starting, "", func(r *state.Record) { r.Process.Failures++ })
		began := time.Now()
		var err error
		if cur, err = i.begin(current); err != nil {
			if unstartable(err) {
				v = failed
			}
			return err.Error(), time.Since(began), v
		}
		i.show(cur)
	}
	i.put(cur)
	if asked := cur.is().Asked; !asked.IsZero() {
		return cur.end().String(), cur.up(), again // the manager before was ending it
	}
	w := watch{instance: i, cur: cur}
	return w.run(ctx)
}

// begin starts a process in the slot.
func (i *instance) begin(as role) (*child, error) {
	spec, shared := i.process.what()
	c, err := i.process.program()
	if err != nil {
		return nil, errors.Join(errInVain, err)
	}
	k, err := i.process.host.fork(i.slot, spec, shared, c, as)
	if err != nil {
		return nil, err
	}
	go i.learnVersion(k)
	return k, nil
}

// show puts a child's facts on the board.
func (i *instance) show(k *child) {
	i.process.host.board.Update(i.slot, func(r *state.Record) {
		r.Process.PID, r.Started, r.Process.LogOffset, r.Process.Message, r.Process.Release = k.Child.PID, k.Child.StartedAt, k.logFrom, "", k.prog.sum
		r.Process.Listeners = k.addrs()
	})
	i.showVersion(k)
}

// judge says what follows from the way a process ended by itself.
func judge(e ended, r processfile.Restart) verdict {
	code := e.status.ExitStatus()
	well := e.status.Exited() && code == 0
	switch {
	case e.status.Exited() && slices.Contains(r.FinalExitCodes, code):
		return failed
	case well && r.Policy != processfile.PolicyAlways:
		return stopped
	case r.Policy == processfile.PolicyNever:
		return failed
	default:
		return again
	}
}

// retire lets a process that was replaced finish what it holds.
func (i *instance) retire(k *child, as role, why string) {
	k.change(func(s *childState) { s.Role = as })
	i.process.host.board.Update(i.slot, func(r *state.Record) { r.Process.Draining = append(slices.Clone(r.Process.Draining), k.Child.PID) })
	i.process.host.board.PublishEvent(i.slot, k.Child.PID, control.Ready, control.Draining, why)
	i.behind.Go(func() {
		e := k.end()
		i.process.host.board.Update(i.slot, func(r *state.Record) {
			r.Process.Draining = slices.DeleteFunc(slices.Clone(r.Process.Draining), func(pid int) bool { return pid == k.Child.PID })
		})
		i.process.host.board.PublishEvent(i.slot, k.Child.PID, control.Draining, control.Stopped, e.String())
	})
}

// errStopped answers a reload that a stop has ended.
var errStopped = errors.New("it was stopped meanwhile")

// replace asks for the running process to be replaced and waits for how that went. A process that does not run is
// started as it is to be now anyway.
func (i *instance) replace() error {
	i.op.Lock()
	wanted, done := i.wanted(), i.done
	i.op.Unlock()
	if !wanted {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case i.reloads <- answer:
	case <-done:
		return nil
	}
	select {
	case err := <-answer:
		return err
	case <-done:
		return errStopped
	}
}
