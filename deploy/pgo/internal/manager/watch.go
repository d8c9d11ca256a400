package manager

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// watch sees one process from its start to its end, and its replacement where one is asked for. The old process serves
// until the new one has said by itself that it is ready, and has run for a moment since.
type watch struct {
	instance *instance
	cur      *child
	ready    <-chan error // whether cur is ready; nil once it is
	sick     <-chan error // why cur does not serve any more
	life     context.Context
	answer   chan<- error // who asked for the reload under way
	asked    time.Time    // and when
	turn     <-chan struct{}
	next     *child
	nready   <-chan error
	stable   <-chan time.Time
}

func (w *watch) run(ctx context.Context) (how string, up time.Duration, v verdict) {
	life, stop := context.WithCancel(ctx)
	defer stop()
	w.life = life
	if w.cur.is().Ready {
		w.sick = w.instance.process.host.attend(life, w.cur)
	} else {
		w.ready = w.instance.process.host.awaitReady(life, w.cur)
	}
	for {
		var nextEnded <-chan struct{}
		if w.next != nil {
			nextEnded = w.next.exit.Done
		}
		reloads := w.instance.reloads
		if w.answer != nil {
			reloads = nil // one at a time: who asked for the one under way is to hear of it
		}
		select {
		case <-ctx.Done():
			w.giveUp(errStopped)
			w.instance.set(control.Stopping, "asked to stop")
			return w.cur.end().String(), w.cur.up(), stopped
		case <-w.instance.process.host.link.Lost():
			return "the keeper is gone", w.cur.up(), stopped
		case <-w.cur.exit.Done:
			up := w.cur.up()
			e := w.cur.settle()
			if w.next != nil {
				w.succeed(e)
				continue
			}
			w.tell(fmt.Errorf("the process ended meanwhile: %s", e))
			return w.ended(e, up)
		case err := <-w.ready:
			if ctx.Err() != nil {
				continue
			}
			if err != nil {
				return w.kill(err)
			}
			w.serves()
		case err := <-w.sick:
			if ctx.Err() != nil {
				continue
			}
			return w.kill(err)
		case answer := <-reloads:
			w.answer, w.asked = answer, time.Now()
			w.prepare()
		case <-w.turn:
			w.prepare()
		case <-nextEnded:
			e := w.next.settle()
			w.refuse(e.String())
		case err := <-w.nready:
			if err != nil {
				k := w.next
				w.refuse(err.Error())
				w.instance.retire(k, rejected, err.Error())
				continue
			}
			w.nready = nil
			w.next.change(func(s *childState) { s.Ready = true })
			w.stable = time.After(w.next.spec.Reload.Stable)
		case <-w.stable:
			w.swap()
		}
	}
}

// ended is what follows when the process has ended by itself.
func (w *watch) ended(e ended, up time.Duration) (string, time.Duration, verdict) {
	return e.String(), up, judge(e, w.cur.spec.Restart)
}

// kill ends a process that does not serve, or not in time; it counts as one that ended by itself.
func (w *watch) kill(why error) (string, time.Duration, verdict) {
	w.giveUp(why)
	up := w.cur.up()
	w.instance.set(control.Stopping, why.Error())
	w.cur.end()
	v := again
	if w.cur.spec.Restart.Policy == processfile.PolicyNever {
		v = failed
	}
	return why.Error(), up, v
}

// serves is called when the process in the slot is ready.
func (w *watch) serves() {
	w.ready = nil
	unblock(w.cur.opened.inherited)
	w.cur.sync() // who is told that it is ready finds what it said before
	w.cur.change(func(s *childState) { s.Ready = true })
	w.instance.set(control.Ready, "", func(r *state.Record) { r.Process.Failures = 0 })
	w.sick = w.instance.process.host.attend(w.life, w.cur)
	if w.next != nil || w.turn != nil {
		w.instance.set(control.Reloading, "its successor starts")
		return
	}
	w.tell(nil) // one that took over before it was ready
}

// tell answers who asked for the reload.
func (w *watch) tell(err error) {
	if w.answer != nil {
		w.answer <- err
		w.answer = nil
		w.instance.process.host.tally.ended(w.instance.process.name, err, time.Since(w.asked))
	}
	w.turn = nil
}

// prepare starts the successor, once all that the process comes after are ready: a gate looks at a new program before
// it runs.
func (w *watch) prepare() {
	spec, _ := w.instance.process.what()
	if late, changed := w.instance.process.host.board.FirstUnready(spec.After); late.Name != "" {
		if reason := "its successor waits for " + late.Name; w.ready == nil && w.instance.process.host.board.Get(w.instance.slot).Process.Reason != reason {
			w.instance.set(control.Reloading, reason)
			_, changed = w.instance.process.host.board.FirstUnready(spec.After) // setting it was a change as well
		}
		w.turn = changed
		return
	}
	w.turn = nil
	if w.ready == nil {
		w.instance.set(control.Reloading, "its successor starts")
	}
	k, err := w.instance.begin(next)
	if err != nil {
		w.refuse(err.Error())
		return
	}
	w.next, w.nready = k, w.instance.process.host.awaitReady(w.life, k)
}

// refuse ends a reload that did not work out. The process from before goes on, and is what is started again.
func (w *watch) refuse(why string) {
	lines := []string{}
	if w.next != nil {
		w.next.sync()
		lines = w.next.words.Lines()
	}
	w.next, w.nready, w.stable = nil, nil, nil
	w.instance.process.revert(w.cur.spec, w.cur.prog)
	note := func(r *state.Record) { r.Process.ReloadFailure, r.Process.LastLines = why, lines }
	if w.ready == nil {
		w.instance.set(control.Ready, "reload failed: "+why, note)
	} else {
		w.instance.process.host.board.Update(w.instance.slot, note)
	}
	w.tell(fmt.Errorf("%s", why))
}

// giveUp ends a reload since the process itself ends.
func (w *watch) giveUp(why error) {
	if w.next != nil {
		k := w.next
		w.next, w.nready, w.stable = nil, nil, nil
		w.instance.retire(k, rejected, why.Error())
	}
	w.tell(why)
}

// swap makes the successor the one that counts, and lets the old one finish what it holds.
func (w *watch) swap() {
	old := w.cur
	w.take()
	w.instance.set(control.Ready, fmt.Sprintf("took over from pid %d", old.Child.PID), func(r *state.Record) { r.Process.Failures = 0 })
	w.sick = w.instance.process.host.attend(w.life, w.cur)
	w.instance.retire(old, draining, fmt.Sprintf("pid %d took over", w.cur.Child.PID))
	w.tell(nil)
}

// succeed makes the successor the one that counts since the old one has ended by itself.
func (w *watch) succeed(e ended) {
	isReady := w.nready == nil
	w.ready, w.sick = w.nready, nil
	w.take()
	reason := strings.TrimSpace(e.String() + "; its successor takes over")
	if isReady {
		w.instance.set(control.Ready, reason, func(r *state.Record) { r.Process.Failures = 0 })
		w.sick = w.instance.process.host.attend(w.life, w.cur)
		w.tell(nil)
		return
	}
	w.instance.set(control.Starting, reason)
}

func (w *watch) take() {
	w.cur = w.next
	w.next, w.nready, w.stable, w.turn = nil, nil, nil, nil
	unblock(w.cur.opened.inherited)
	w.cur.change(func(s *childState) { s.Role = current })
	w.instance.put(w.cur)
	w.instance.show(w.cur)
	w.instance.process.host.board.Update(w.instance.slot, func(r *state.Record) { r.Process.ReloadFailure, r.Process.LastLines = "", nil })
}
