package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/state"
	files "pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// gatesPatience is for how long gates that cannot tell now are asked again before it is given up to put something back.
const gatesPatience = time.Minute

// putBack has all run again what ran before, unless a gate forbids it: then what was changed stays.
func (r *rollout) putBack(why error) audit.Entry {
	r.Manager.host.log.Warn("putting a deploy back", "id", r.entry.ID, "why", why)
	for _, p := range r.parts {
		p.process.mu.Lock()
		p.process.stopTrial()
		p.process.mu.Unlock()
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
		if now, err := p.process.program(); err != nil || now.sum != p.from.sum || p.process.runsOther(p.from) {
			found = append(found, p)
		}
	}
	return found
}

// mayGoBack asks the gates whether what ran before may run again: a migration may forbid it.
func (r *rollout) mayGoBack() error {
	programs := map[*process]copied{}
	for _, p := range r.changed() {
		if p.from.sum != "" {
			programs[p.process] = p.from
		}
	}
	for end := time.Now().Add(gatesPatience); len(programs) > 0; {
		err := r.Manager.passAll(programs)
		if err == nil || !errors.Is(err, files.ErrNotNow) || time.Now().After(end) {
			return err
		}
		select {
		case <-r.Manager.ended:
			return errDown
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
			p.process.hold()
			defer p.process.letGo()
			if err := p.returns(); err != nil {
				return fmt.Errorf("%s: release %s: %w", p.process.name, p.from, err)
			}
			r.Manager.host.tally.rolledBack(p.process.name)
			r.Manager.host.deploys.count(p.process.name, web.ResultRolledBack, web.ReasonOther)
			r.Manager.host.board.Announce(p.process.name, fmt.Sprintf("release %s was put back, with all of its deploy: release %s runs", p.to, p.from), nil)
			r.tell(p.process.name, "back", "release "+p.from.release().String()+" runs again", began)
			return nil
		}))
	}
	return errors.Join(failed...)
}

// returns has the process run what it ran before.
func (p *part) returns() error {
	if p.from.sum == "" {
		p.process.stop()
		p.process.mu.Lock()
		p.process.chosen, p.process.unfit = copied{}, p.unfit
		p.process.mu.Unlock()
		p.process.start() // which fails, as it did before, and says why
		return nil
	}
	p.process.choose(p.from)
	for _, i := range p.process.all() { // that the new one did not start is not news any more
		i.process.host.board.Update(i.slot, func(r *state.Record) { r.Process.ReloadFailure, r.Process.LastLines = "", nil })
	}
	if !p.process.runsOther(p.from) {
		return nil
	}
	err := p.process.replaced()
	if err != nil && p.process.runsOther(p.to) {
		// Some run the one, some the other: better all the one that does start.
		p.process.choose(p.to)
		err = errors.Join(err, p.process.replaced())
	}
	return err
}

// stay has what was changed be what is live, though it has not proven itself.
func (r *rollout) stay() {
	for _, p := range r.changed() {
		if err := r.Manager.host.store(p.process.current()).SetCurrent(context.Background(), p.process.name, p.to.sum); err != nil {
			r.Manager.host.log.Error("mark a release", "process", p.process.name, "error", err)
		}
		if err := p.file.place(); err != nil {
			r.Manager.host.log.Error("put a program to where it is deployed", "process", p.process.name, "error", err)
		}
		p.process.prove(p.to, p.process.before(p.to.sum))
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
			if err := r.Manager.host.store(p.process.current()).MarkFailed(context.Background(), p.process.name, p.to.sum, blamed.err.Error()); err != nil {
				r.Manager.host.log.Error("mark a bad release", "process", p.process.name, "error", err)
			}
		}
	}
}

// blame is an error that is a release's fault.
type blame struct {
	process *process
	release copied
	err     error
}

func (b *blame) Error() string {
	return fmt.Sprintf("%s: release %s: %v", b.process.name, b.release, b.err)
}
func (b *blame) Unwrap() error { return b.err }
