package deploy

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/watch"
)

// HandleChange implements watch.Handler: it deploys a file that has stopped changing.
func (d *Deployer) HandleChange(ctx context.Context, c watch.Change) error {
	if d.set.IsDown() {
		return fmt.Errorf("%w: %w", supervise.ErrDown, watch.ErrNotNow)
	}
	for _, t := range d.targetsOf(c.Path) {
		if t.lacksRoom(c.Size) {
			return watch.ErrNotNow
		}
		err := t.deployFile(ctx, c.SHA256, false)
		switch {
		case errors.Is(err, errUnchanged):
			t.clearFailure()
		case isNoRoom(err): // which passes without the file changing
			d.HandleRefusal(ctx, c, d.noRoom())
			return fmt.Errorf("%w: %w", err, watch.ErrNotNow)
		case err != nil:
			return err
		}
	}
	return nil
}

// HandleRefusal implements watch.Handler: it reports a deployed file that does not run, once.
func (d *Deployer) HandleRefusal(_ context.Context, c watch.Change, why error) {
	for _, t := range d.targetsOf(c.Path) {
		if t.showFailure(why) {
			t.countRefusal(why)
		}
	}
}

// targetsOf returns the processes that run what the file holds.
func (d *Deployer) targetsOf(path string) []*target {
	processes := d.set.ByName()
	var found []*target
	for _, name := range supervise.SortedNames(processes) {
		if spec := processes[name].Spec(); spec.Watch.Enabled && spec.Command == path {
			found = append(found, d.target(processes[name]))
		}
	}
	return found
}

func isNoRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// noRoom returns the error that is shown for a full disk. It names no size, which changes all the time: it is to be shown
// once.
func (d *Deployer) noRoom() error {
	return fmt.Errorf("there is no room for it in %s, it is taken when there is: %w", d.deps.Home.ReleaseDir(), syscall.ENOSPC)
}

// lacksRoom reports whether a program was refused for want of room and would be again. To copy it at each try would fill
// the disk each time.
func (t *target) lacksRoom(size int64) bool {
	var s unix.Statfs_t
	return t.deployFailure() == t.deployer.noRoom().Error() &&
		unix.Statfs(t.deployer.deps.Home.ReleaseDir(), &s) == nil && s.Bavail*uint64(s.Bsize) < uint64(size)
}

// Redeploy reloads a process with what is deployed now, in the background. It starts what does not run.
func (d *Deployer) Redeploy(p *supervise.Process) {
	p.StartUnfinished()
	if !p.Spec().Watch.Enabled {
		p.StartReload()
		return
	}
	t := d.target(p)
	p.BeginDeploy()
	for _, i := range p.Instances() {
		d.deps.Store.Update(i.ID, func(r *state.Record) {
			r.Process.ReloadPending, r.Process.ReloadFailure, r.Process.LastLines = r.Wanted, "", nil
		})
	}
	go func() {
		defer p.EndDeploy()
		err := t.deployFile(t.ctx, "", true)
		switch {
		case t.ctx.Err() != nil: // the process is closed, or everything is stopped
		case errors.Is(err, errUnchanged):
			p.StartReload()
		case err != nil:
			t.showFailure(err)
			t.countRefusal(err)
		}
	}()
}
