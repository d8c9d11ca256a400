package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/audit"
	files "pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// gatesPatience is for how long gates that cannot tell now are asked again before it is given up to put something back.
const gatesPatience = time.Minute

// putBack has all run again what ran before, unless a gate forbids it: then what was changed stays.
func (r *rollout) putBack(why error) audit.Entry {
	r.log.Warn("putting a deploy back", "id", r.entry.ID, "why", why)
	for _, p := range r.parts {
		p.mu.Lock()
		p.stopTrial()
		p.mu.Unlock()
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
		return r.ended(audit.NotPutBack, failed)
	}
	return r.ended(audit.PutBack, why)
}

// changed are the parts of which something runs the new release, or will at its next start.
func (r *rollout) changed() []*part {
	var found []*part
	for _, p := range r.parts {
		if now, err := p.program(); err != nil || now.sum != p.from.sum || p.runsOther(p.from) {
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
		err := r.passAll(programs)
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
			p.hold()
			defer p.letGo()
			if err := p.returns(); err != nil {
				return fmt.Errorf("%s: release %s: %w", p.name, p.from, err)
			}
			r.tally.rolledBack(p.name)
			r.deploys.count(p.name, web.RolledBack, web.ByOther)
			r.board.remark(p.name, fmt.Sprintf("release %s was put back, with all of its deploy: release %s runs", p.to, p.from), func(*record) {})
			r.tell(p.name, "back", "release "+p.from.release().String()+" runs again", began)
			return nil
		}))
	}
	return errors.Join(failed...)
}

// returns has the process run what it ran before.
func (p *part) returns() error {
	if p.from.sum == "" {
		p.stop()
		p.mu.Lock()
		p.chosen, p.process.unfit = copied{}, p.unfit
		p.mu.Unlock()
		p.start() // which fails, as it did before, and says why
		return nil
	}
	p.choose(p.from)
	for _, i := range p.all() { // that the new one did not start is not news any more
		i.board.note(i.slot, func(r *record) { r.NotNew, r.LastWords = "", nil })
	}
	if !p.runsOther(p.from) {
		return nil
	}
	err := p.replaced()
	if err != nil && p.runsOther(p.to) {
		// Some run the one, some the other: better all the one that does start.
		p.choose(p.to)
		err = errors.Join(err, p.replaced())
	}
	return err
}

// stay has what was changed be what is live, though it has not proven itself.
func (r *rollout) stay() {
	for _, p := range r.changed() {
		if err := r.store(p.current()).SetLive(context.Background(), p.name, p.to.sum); err != nil {
			r.log.Error("mark a release", "process", p.name, "error", err)
		}
		if err := p.file.place(); err != nil {
			r.log.Error("put a program to where it is deployed", "process", p.name, "error", err)
		}
		p.prove(p.to, p.before(p.to.sum))
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
			if err := r.store(p.current()).MarkBad(context.Background(), p.name, p.to.sum, blamed.err.Error()); err != nil {
				r.log.Error("mark a bad release", "process", p.name, "error", err)
			}
		}
	}
}

// blame is an error that is a release's fault.
type blame struct {
	*process
	release copied
	err     error
}

func (b *blame) Error() string { return fmt.Sprintf("%s: release %s: %v", b.name, b.release, b.err) }
func (b *blame) Unwrap() error { return b.err }
