package deploy

import (
	"context"
	"errors"
	"sync"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/web"
)

// SelectReleases selects the release of each process that is about to be started for the first time: what is deployed, if
// that fits, else the current release.
func (d *Deployer) SelectReleases(file processfile.File) {
	var all sync.WaitGroup
	for _, spec := range file.Processes {
		p := d.set.Lookup(spec.Name)
		if spec.Watch.Enabled && !p.HasRelease() && !p.RunsOtherThan(supervise.Program{SHA256: "any"}) {
			all.Go(d.target(p).selectRelease)
		}
	}
	all.Wait()
}

func (t *target) selectRelease() {
	if t.lock(t.ctx) != nil {
		return
	}
	defer t.unlock()
	ctx, p, d := context.Background(), t.process, t.deployer
	current := t.chooseCurrent()
	r, err := t.admitFile(ctx)
	if err == nil && r.Record.Verification.SHA256 != current.SHA256 {
		if err = t.store().SetCurrent(ctx, p.Name, r.Record.Verification.SHA256); err == nil || current.SHA256 == "" {
			p.Choose(supervise.ProgramOf(r))
		}
	}
	switch {
	case err != nil && current.SHA256 == "":
		d.counters.countResult(p.Name, web.ResultRefused, reasonOf(err))
		p.ClearProgram(err)
		return
	case err != nil && !errors.Is(err, errUnchanged):
		t.showFailure(err)
		d.counters.countResult(p.Name, web.ResultRefused, reasonOf(err))
	case err == nil:
		t.clearFailure()
	}
	t.resumeProbation()
}

// chooseCurrent chooses the current release of the store, if there is one.
func (t *target) chooseCurrent() supervise.Program {
	r, err := t.store().Current(t.process.Name)
	if err != nil || r.Missing {
		return supervise.Program{}
	}
	t.process.Choose(supervise.ProgramOf(r))
	return supervise.ProgramOf(r)
}

// Resume chooses the current release of every watched process, of which an earlier manager has started instances, and
// goes on with its probation.
func (d *Deployer) Resume() {
	for _, p := range d.set.ByName() {
		if t := d.target(p); p.Spec().Watch.Enabled && t.chooseCurrent().SHA256 != "" {
			t.resumeProbation()
		}
	}
}
