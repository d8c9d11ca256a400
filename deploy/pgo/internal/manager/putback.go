package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	files "pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// gatesPatience is for how long gates that cannot tell now are asked again before it is given up to put something back.
const gatesPatience = time.Minute

// putBack has all run again what ran before, unless a gate forbids it: then what was changed stays.
func (r *rollout) putBack(why error) audit.Entry {
	r.Manager.host.Log.Warn("putting a deploy back", "id", r.entry.ID, "why", why)
	for _, p := range r.parts {
		p.target.cancelProbation()
	}
	r.tell("", "back", "failed, and is put back: "+why.Error(), time.Time{})
	var failed error
	if err := r.mayGoBack(); err != nil {
		failed = fmt.Errorf("%w; not put back, since %w", why, err)
		r.stay()
	} else if err := r.goBack(); err != nil {
		failed = fmt.Errorf("%w; not all was put back: %w", why, err)
	}
	r.markBad(why)
	r.unstage()
	r.forget()
	if failed != nil {
		return r.ended(audit.NotRolledBack, failed)
	}
	return r.ended(audit.RolledBack, why)
}

// changed are the parts of which something runs the new release, or will at its next start.
func (r *rollout) changed() []*part {
	var found []*part
	for _, p := range r.parts {
		if now, err := p.process.Program(); err != nil || now.SHA256 != p.from.SHA256 || p.process.RunsOtherThan(p.from) {
			found = append(found, p)
		}
	}
	return found
}

// mayGoBack asks the gates whether what ran before may run again: a migration may forbid it.
func (r *rollout) mayGoBack() error {
	programs := map[*supervise.Process]supervise.Program{}
	for _, p := range r.changed() {
		if p.from.SHA256 != "" {
			programs[p.process] = p.from
		}
	}
	for end := time.Now().Add(gatesPatience); len(programs) > 0; {
		err := r.Manager.passAll(programs)
		if err == nil || !errors.Is(err, files.ErrNotNow) || time.Now().After(end) {
			return err
		}
		select {
		case <-r.Manager.set.Ended():
			return supervise.ErrDown
		case <-time.After(time.Second):
		}
	}
	return nil
}

// goBack replaces what was changed, those first that come after others.
func (r *rollout) goBack() error {
	changed := r.changed()
	levels := r.levels()
	slices.Reverse(levels)
	var failed []error
	for _, level := range levels {
		failed = append(failed, each(level, func(p *part) error {
			if !slices.Contains(changed, p) {
				return nil
			}
			began := time.Now()
			p.process.BeginDeploy()
			defer p.process.EndDeploy()
			if err := p.returns(); err != nil {
				return fmt.Errorf("%s: release %s: %w", p.process.Name, p.from, err)
			}
			r.Manager.host.Reloads.CountRollback(p.process.Name)
			r.Manager.deploys.count(p.process.Name, web.ResultRolledBack, web.ReasonOther)
			r.Manager.host.Store.Announce(p.process.Name, fmt.Sprintf("release %s was put back, with all of its deploy: release %s runs", p.to, p.from), nil)
			r.tell(p.process.Name, "back", "release "+p.from.Release().String()+" runs again", began)
			return nil
		}))
	}
	return errors.Join(failed...)
}

// returns has the process run what it ran before.
func (p *part) returns() error {
	if p.from.SHA256 == "" {
		p.process.Stop()
		p.process.ClearProgram(p.unfit)
		p.process.Start() // which fails, as it did before, and says why
		return nil
	}
	p.process.Choose(p.from)
	for _, i := range p.process.Instances() { // that the new one did not start is not news any more
		i.Process.Deps.Store.Update(i.ID, func(r *state.Record) { r.Process.ReloadFailure, r.Process.LastLines = "", nil })
	}
	if !p.process.RunsOtherThan(p.from) {
		return nil
	}
	err := p.process.ReplaceInstances()
	if err != nil && p.process.RunsOtherThan(p.to) {
		// Some run the one, some the other: better all the one that does start.
		p.process.Choose(p.to)
		err = errors.Join(err, p.process.ReplaceInstances())
	}
	return err
}

// stay has what was changed be what is live, though it has not proven itself.
func (r *rollout) stay() {
	for _, p := range r.changed() {
		if err := r.Manager.host.Releases(p.process.Spec()).SetCurrent(context.Background(), p.process.Name, p.to.SHA256); err != nil {
			r.Manager.host.Log.Error("mark a release", "process", p.process.Name, "error", err)
		}
		if err := p.file.place(); err != nil {
			r.Manager.host.Log.Error("put a program to where it is deployed", "process", p.process.Name, "error", err)
		}
		p.target.prove(p.to, p.target.before(p.to.SHA256))
	}
}

// markBad marks the release that was the cause, so that it is not deployed again by mistake.
func (r *rollout) markBad(why error) {
	var blamed *blame
	if !errors.As(why, &blamed) {
		return // it was not the release's fault
	}
	for _, p := range r.parts {
		if p.process == blamed.process {
			if err := r.Manager.host.Releases(p.process.Spec()).MarkFailed(context.Background(), p.process.Name, p.to.SHA256, blamed.err.Error()); err != nil {
				r.Manager.host.Log.Error("mark a bad release", "process", p.process.Name, "error", err)
			}
		}
	}
}

// blame is an error that is a release's fault.
type blame struct {
	process *supervise.Process
	release supervise.Program
	err     error
}

func (b *blame) Error() string {
	return fmt.Sprintf("%s: release %s: %v", b.process.Name, b.release, b.err)
}
func (b *blame) Unwrap() error { return b.err }
