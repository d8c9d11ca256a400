package manager

import (
	"context"
	"errors"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/web"
)

// A rollout has a set of releases run, all of them or none.
//
// Until the set has proven itself the store says that the releases from before are live, and the deploy folder holds
// their files: whatever dies on the way, what is started next is what was there before. The one step that makes the
// set the live one is a file, the journal, in which `switching` becomes `committing`.

// errBusy is why a second rollout is refused.
var errBusy = errors.New("another deploy is being made real, or put back")

// rollout is one on its way.
type rollout struct {
	Manager *Manager
	ask     control.RolloutRequest
	entry   audit.Entry
	parts   []*part // of which something is to change, in the order of the set
	say     func(control.Progress)
}

// part is one process of a rollout.
type part struct {
	process  *supervise.Process
	target   *target
	from, to supervise.Program // from is nothing where nothing ran
	unfit    error             // why nothing ran
	file     staged
	on       chan error // how its probation ends
}

// Rollout makes a rollout real, and returns what became of it: that is in the audit log then. Where ctx ends before the
// set has proven itself, all is put back.
func (m *Manager) Rollout(ctx context.Context, ask control.RolloutRequest, tell func(control.Progress)) audit.Entry {
	var one sync.Mutex
	r := &rollout{Manager: m, ask: ask, entry: ask.Entry, say: func(p control.Progress) {
		one.Lock()
		defer one.Unlock()
		tell(p)
	}}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	default:
		return r.ended(audit.Refused, errBusy)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-m.set.Ended(): // everything was stopped
			cancel()
		case <-ctx.Done():
		}
	}()
	defer r.free()
	if err := r.prepare(ctx); err != nil || ask.CheckOnly {
		r.unstage()
		if err != nil {
			r.countRefused(err)
			return r.ended(audit.Refused, err)
		}
		return r.ended(audit.Done, nil)
	}
	err := r.advance(ctx)
	if err == nil && r.entry.Kind == audit.KindDeploy {
		err = r.endure(ctx)
	}
	if err == nil {
		err = r.commit()
	}
	if err == nil {
		return r.ended(audit.Done, nil)
	}
	return r.putBack(err)
}

// countRefused counts what is not taken.
func (r *rollout) countRefused(why error) {
	for _, p := range r.parts {
		if r.entry.Kind == audit.KindDeploy && !r.ask.CheckOnly {
			r.Manager.deploys.count(p.process.Name, web.ResultRefused, reasonOf(why))
		}
	}
}

// each does something with all parts at once, and returns the first error when all are through.
func each(parts []*part, do func(*part) error) error {
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for n, p := range parts {
		all.Go(func() { errs[n] = do(p) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rollout) tell(process, step, text string, began time.Time) {
	p := control.Progress{Process: process, Step: step, Text: text}
	if !began.IsZero() {
		p.Seconds = time.Since(began).Seconds()
	}
	r.say(p)
}

// ended writes down what became of the rollout.
func (r *rollout) ended(result audit.Result, why error) audit.Entry {
	r.entry.Result, r.entry.Ended = result, time.Now().UTC()
	if !r.ask.Since.IsZero() {
		r.entry.Seconds = time.Since(r.ask.Since).Seconds()
	}
	if why != nil {
		r.entry.Reason = why.Error()
	}
	r.Manager.host.Log.Info("deploy ended", "id", r.entry.ID, "kind", r.entry.Kind, "by", r.entry.User, "result", result, "why", r.entry.Reason)
	if !r.ask.CheckOnly {
		if err := r.Manager.host.Home.AuditLog().Append(r.entry); err != nil {
			r.Manager.host.Log.Error("write the audit log", "error", err)
		}
	}
	return r.entry
}
