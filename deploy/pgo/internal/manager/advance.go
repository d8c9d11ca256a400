package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/supervise"
)

// levels are the parts in the order of dependency; those of one level do not wait for each other.
func (r *rollout) levels() [][]*part {
	processes := r.Manager.set.ByName()
	wanted := map[string]bool{}
	for _, p := range r.parts {
		wanted[p.process.Name] = true
	}
	known := map[string]int{}
	var depth func(name string) int
	depth = func(name string) int {
		d, ok := known[name]
		if ok || processes[name] == nil {
			return d
		}
		for _, before := range processes[name].Spec().After {
			d = max(d, depth(before))
		}
		if wanted[name] {
			d++
		}
		known[name] = d
		return d
	}
	byDepth := map[int][]*part{}
	for _, p := range r.parts {
		byDepth[depth(p.process.Name)] = append(byDepth[depth(p.process.Name)], p)
	}
	var levels [][]*part
	for _, d := range slices.Sorted(maps.Keys(byDepth)) {
		levels = append(levels, byDepth[d])
	}
	return levels
}

// advance has the set run, instance by instance, those first that others come after.
func (r *rollout) advance(ctx context.Context) error {
	for _, level := range r.levels() {
		if ctx.Err() != nil {
			return lost(ctx)
		}
		err := each(level, func(p *part) error {
			began := time.Now()
			p.process.BeginDeploy()
			defer p.process.EndDeploy()
			asking, enough := context.WithCancel(ctx)
			defer enough()
			failing := p.target.failing(asking)
			p.process.Choose(p.to)
			if err := p.runs(ctx); err != nil {
				if ctx.Err() != nil {
					return lost(ctx)
				}
				r.tellWords(p)
				return &blame{p.process, p.to, err}
			}
			was := forerunner{Release: p.to.SHA256, Share: <-failing}
			p.target.rememberBefore(was)
			p.target.proveTo(p.to, was.Share, p.on)
			r.Manager.host.Store.Announce(p.process.Name, fmt.Sprintf("release %s runs, on probation with all of this deploy", p.to), nil)
			r.tell(p.process.Name, "runs", "release "+p.to.String()+" answers", began)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tellWords tells what the process said last that was to take over.
func (r *rollout) tellWords(p *part) {
	for _, i := range p.process.Instances() {
		for _, line := range i.Process.Deps.Store.Get(i.ID).Process.LastLines {
			r.tell(p.process.Name, "log", line, time.Time{})
		}
	}
}

// runs returns when all instances run what is chosen, and are ready. One that a person has stopped stays so.
func (p *part) runs(ctx context.Context) error {
	if err := p.process.ReplaceInstances(); err != nil {
		return err
	}
	for _, i := range p.process.Instances() {
		if i.Process.Deps.Store.Get(i.ID).Process.Status == control.Failed {
			i.Start()
		}
	}
	for {
		late, changed := p.process.Deps.Store.FirstUnready([]string{p.process.Name})
		switch late.Status {
		case control.Ready, control.Stopped:
			return nil
		case control.Failed, control.BackingOff:
			return fmt.Errorf("%s: %s", late.Status, late.Reason)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return lost(ctx)
		}
	}
}

// endure waits until all of the set have proven themselves.
func (r *rollout) endure(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(r.parts))
	for _, p := range r.parts {
		go func() { failed <- r.proves(ctx, p) }()
	}
	for range r.parts {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

func (r *rollout) proves(ctx context.Context, p *part) error {
	if !slices.ContainsFunc(p.process.Instances(), func(i *supervise.Instance) bool { return i.Process.Deps.Store.Get(i.ID).Wanted }) {
		r.tell(p.process.Name, "probation", "is stopped: the release is that of its next start", time.Time{})
		return nil
	}
	began := time.Now()
	r.tell(p.process.Name, "probation", "on probation for "+p.process.Spec().Watch.Probation.String(), time.Time{})
	select {
	case err := <-p.on:
		if err != nil {
			return &blame{p.process, p.to, err}
		}
	case <-ctx.Done():
		return lost(ctx)
	}
	if err := p.overLimit(); err != nil {
		return &blame{p.process, p.to, err}
	}
	r.tell(p.process.Name, "good", "release "+p.to.String()+" has proven itself", began)
	return nil
}

// overLimit is why a release that has served its probation is not good all the same: it has just outgrown its limit,
// and nobody has looked since.
func (p *part) overLimit() error {
	limit := p.process.Spec().Limits.Memory
	for _, i := range p.process.Instances() {
		k := i.Child()
		if k == nil || limit == 0 {
			continue
		}
		if s, err := proc.ReadStat(k.Handle.PID); err == nil && s.Start == k.Handle.StartTicks && s.Memory > limit {
			return errors.New(supervise.MemoryLimitReason(s.Memory, limit))
		}
	}
	return nil
}
