package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"pgo/deploy/pgo/audit"
	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/proc"
	"pgo/deploy/pgo/release"
	files "pgo/deploy/pgo/watch"
	"pgo/deploy/pgo/web"
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
	*Manager
	ask   control.Rollout
	entry audit.Entry
	parts []*part // of which something is to change, in the order of the set
	say   func(control.Progress)
}

// part is one process of a rollout.
type part struct {
	*process
	from, to copied // from is nothing where nothing ran
	unfit    error  // why nothing ran
	file     staged
	on       chan error // how its probation ends
}

// Rollout makes a rollout real, and returns what became of it: that is in the audit log then. Where ctx ends before the
// set has proven itself, all is put back.
func (m *Manager) Rollout(ctx context.Context, ask control.Rollout, tell func(control.Progress)) audit.Entry {
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
		case <-m.ended: // everything was stopped
			cancel()
		case <-ctx.Done():
		}
	}()
	defer r.free()
	if err := r.prepare(ctx); err != nil || ask.Check {
		r.unstage()
		if err != nil {
			r.countRefused(err)
			return r.ended(audit.Refused, err)
		}
		return r.ended(audit.Done, nil)
	}
	err := r.advance(ctx)
	if err == nil && r.entry.Kind == audit.Deploy {
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
		if r.entry.Kind == audit.Deploy && !r.ask.Check {
			r.deploys.count(p.name, web.Refused, reasonOf(why))
		}
	}
}

// prepare finds out whether the set can run here, and has the gates let it. Nothing that runs is touched.
func (r *rollout) prepare(ctx context.Context) error {
	if r.isDown() {
		return errDown
	}
	if r.entry.Kind == audit.Rollback && len(r.entry.Set) == 0 {
		var err error
		if r.entry.Set, err = r.lastDeploy(ctx, r.ask.Process, r.ask.Release); err != nil {
			return err
		}
	}
	if err := r.gather(ctx); err != nil || len(r.parts) == 0 {
		return err
	}
	if err := r.question(ctx); err != nil {
		return err
	}
	programs := map[*process]copied{}
	for _, p := range r.parts {
		programs[p.process] = p.to
		if err := r.awaitGates(ctx, p.process, true); err != nil {
			return err
		}
	}
	if r.ask.Check {
		return r.plan(programs)
	}
	began := time.Now()
	if err := r.passAll(programs); err != nil {
		return err
	}
	for _, gate := range r.gatesOfAll(programs) {
		r.tell(gate.name, "gate", "lets them run", began)
	}
	if err := ctx.Err(); err != nil {
		return lost(ctx)
	}
	return r.note(switching)
}

// lost is why a rollout ends whose asker has gone.
func lost(ctx context.Context) error {
	return fmt.Errorf("the connection to who deploys was lost: %w", context.Cause(ctx))
}

// gather takes the processes of the set, so that nobody else changes them meanwhile.
func (r *rollout) gather(ctx context.Context) error {
	for n := range r.entry.Set {
		change := &r.entry.Set[n]
		p := r.process(change.Process)
		switch {
		case p == nil:
			return fmt.Errorf("there is no process %q here", change.Process)
		case !p.current().Watch.On:
			return fmt.Errorf("%s cannot be deployed: it is not watched (watch: true in the process file)", p.name)
		case slices.ContainsFunc(r.parts, func(other *part) bool { return other.process == p }):
			return fmt.Errorf("%s is named twice", p.name)
		}
		if err := p.take(ctx); err != nil {
			return err
		}
		part := &part{process: p, on: make(chan error, 1)}
		r.parts = append(r.parts, part)
		part.from, part.unfit = p.program()
		store := r.store(p.current())
		to, err := store.Find(p.name, change.To.SHA256)
		if err == nil {
			err = store.Check(ctx, p.name, to.SHA256)
		}
		if err != nil {
			return err
		}
		if to.BadAt != nil && to.Bad != byCommand && !r.ask.Again && r.entry.Kind == audit.Deploy {
			return fmt.Errorf("%s: release %s was found bad before: %s: --again tries it all the same", p.name, copyOf(to), to.Bad)
		}
		part.to = copyOf(to)
		change.From, change.To = part.from.release(), part.to.release()
	}
	r.parts = slices.DeleteFunc(r.parts, func(p *part) bool {
		same := p.from.sum == p.to.sum && !p.runsOther(p.to)
		if same {
			p.deploying.Unlock()
		}
		return same
	})
	return nil
}

func (c copied) release() audit.Release { return audit.Release{SHA256: c.sum, Version: c.version} }

// take waits until nobody else changes what a process runs: the watch may just do so.
func (p *process) take(ctx context.Context) error {
	const patience = 10 * time.Second
	for end := time.Now().Add(patience); !p.deploying.TryLock(); {
		select {
		case <-ctx.Done():
			return lost(ctx)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is just being deployed otherwise", p.name)
		}
	}
	return nil
}

// free lets others change the processes again.
func (r *rollout) free() {
	for _, p := range r.parts {
		p.deploying.Unlock()
	}
}

// question asks the programs whether they can work here, and copies them to where they are deployed, under another
// name: so a full disk is found before anything is touched. A rollback's programs have worked here before, and it goes
// on also without room.
func (r *rollout) question(ctx context.Context) error {
	return each(r.parts, func(p *part) error {
		began := time.Now()
		var err error
		if !r.ask.Check {
			p.file, err = stage(p.current().Command, p.to.path, r.entry.ID)
		}
		if r.entry.Kind == audit.Rollback {
			if err != nil {
				r.log.Warn("copy a release to where it is deployed", "process", p.name, "error", err)
			}
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := r.Manager.question(ctx, p.process, release.Release{Record: release.Record{Proof: release.Proof{SHA256: p.to.sum}, Version: p.to.version}, Name: p.name, Path: p.to.path})
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		p.to.version = answer.Version
		for n := range r.entry.Set {
			if r.entry.Set[n].Process == p.name {
				r.entry.Set[n].To = p.to.release()
			}
		}
		r.tell(p.name, "checked", "release "+p.to.String()+" is whole, is for this machine, and takes its configuration", began)
		return nil
	})
}

// plan has the gates say what they would do.
func (r *rollout) plan(programs map[*process]copied) error {
	for _, gate := range r.gatesOfAll(programs) {
		args := gate.current().Plan
		if len(args) == 0 {
			r.tell(gate.name, "plan", "cannot say what it would do: the process file has no plan for it", time.Time{})
			continue
		}
		said, err := r.askGate(gate, args, programs)
		if err != nil {
			return fmt.Errorf("%s: %w", gate.name, err)
		}
		for _, line := range said {
			r.tell(gate.name, "plan", line, time.Time{})
		}
	}
	for _, level := range r.levels() {
		for _, p := range level {
			r.tell(p.name, "plan", fmt.Sprintf("would run %s in place of %s, %d instances", p.to.release(), p.from.release(), p.current().Instances), time.Time{})
		}
	}
	return nil
}

// levels are the parts in the order of dependency; those of one level do not wait for each other.
func (r *rollout) levels() [][]*part {
	r.mu.Lock()
	processes := maps.Clone(r.processes)
	r.mu.Unlock()
	wanted := map[string]bool{}
	for _, p := range r.parts {
		wanted[p.name] = true
	}
	known := map[string]int{}
	var depth func(name string) int
	depth = func(name string) int {
		d, ok := known[name]
		if ok || processes[name] == nil {
			return d
		}
		for _, before := range processes[name].current().After {
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
		byDepth[depth(p.name)] = append(byDepth[depth(p.name)], p)
	}
	var levels [][]*part
	for _, d := range slices.Sorted(maps.Keys(byDepth)) {
		levels = append(levels, byDepth[d])
	}
	return levels
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

// advance has the set run, instance by instance, those first that others come after.
func (r *rollout) advance(ctx context.Context) error {
	for _, level := range r.levels() {
		if ctx.Err() != nil {
			return lost(ctx)
		}
		err := each(level, func(p *part) error {
			began := time.Now()
			p.hold()
			defer p.letGo()
			asking, enough := context.WithCancel(ctx)
			defer enough()
			failing := p.failing(asking)
			p.choose(p.to)
			if err := p.runs(ctx); err != nil {
				if ctx.Err() != nil {
					return lost(ctx)
				}
				r.tellWords(p)
				return &blame{p.process, p.to, err}
			}
			was := forerunner{Release: p.to.sum, Share: <-failing}
			p.rememberBefore(was)
			p.proveTo(p.to, was.Share, p.on)
			r.board.remark(p.name, fmt.Sprintf("release %s runs, on probation with all of this deploy", p.to), func(*record) {})
			r.tell(p.name, "runs", "release "+p.to.String()+" answers", began)
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
	for _, i := range p.all() {
		for _, line := range i.board.get(i.slot).LastWords {
			r.tell(p.name, "log", line, time.Time{})
		}
	}
}

// runs returns when all instances run what is chosen, and are ready. One that a person has stopped stays so.
func (p *part) runs(ctx context.Context) error {
	if err := p.replaced(); err != nil {
		return err
	}
	for _, i := range p.all() {
		if i.board.get(i.slot).Status == control.Failed {
			i.start()
		}
	}
	for {
		_, state, changed := p.board.unready([]string{p.name})
		reason := ""
		for _, i := range p.all() {
			if r := i.board.get(i.slot); !r.Ready && r.Status == state {
				reason = r.Reason
			}
		}
		switch state {
		case control.Ready, control.Stopped:
			return nil
		case control.Failed, control.BackingOff:
			return fmt.Errorf("%s: %s", state, reason)
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
	if !slices.ContainsFunc(p.all(), func(i *instance) bool { return i.board.get(i.slot).Wanted }) {
		r.tell(p.name, "probation", "is stopped: the release is that of its next start", time.Time{})
		return nil
	}
	began := time.Now()
	r.tell(p.name, "probation", "on probation for "+p.current().Watch.Probation.String(), time.Time{})
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
	r.tell(p.name, "good", "release "+p.to.String()+" has proven itself", began)
	return nil
}

// overLimit is why a release that has served its probation is not good all the same: it has just outgrown its limit,
// and nobody has looked since.
func (p *part) overLimit() error {
	limit := p.current().Limits.Memory
	for _, i := range p.all() {
		k := i.runs()
		if k == nil || limit == 0 {
			continue
		}
		if s, err := proc.Read(k.PID); err == nil && s.Start == k.Start && s.Memory > limit {
			return errors.New(outgrown(s.Memory, limit))
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
		r.entry.Why = why.Error()
	}
	r.log.Info("deploy ended", "id", r.entry.ID, "kind", r.entry.Kind, "by", r.entry.By, "result", result, "why", r.entry.Why)
	if !r.ask.Check {
		if err := r.home.Audit().Append(r.entry); err != nil {
			r.log.Error("write the audit log", "error", err)
		}
	}
	return r.entry
}

// lastDeploy is the set of a rollback: the process named, else all of the last deploy that is what runs now, else the
// process that was deployed last.
func (m *Manager) lastDeploy(ctx context.Context, name, wanted string) ([]audit.Change, error) {
	if name == "" {
		all, err := m.home.Audit().All()
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			if e.Kind == audit.Deploy && e.Result == audit.Done && len(e.Set) > 0 && m.runsAll(e.Set) {
				return back(e)
			}
		}
	}
	p, err := m.rolledBack(name)
	if err != nil {
		return nil, err
	}
	store := m.store(p.current())
	var to release.Release
	if wanted != "" {
		to, err = store.Find(p.name, wanted)
	} else {
		to, err = store.RollbackTarget(ctx, p.name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
	}
	return []audit.Change{{Process: p.name, To: audit.Release{SHA256: to.SHA256}}}, nil
}

func (m *Manager) runsAll(set []audit.Change) bool {
	return !slices.ContainsFunc(set, func(c audit.Change) bool {
		p := m.process(c.Process)
		if p == nil {
			return true
		}
		now, err := p.program()
		return err != nil || now.sum != c.To.SHA256
	})
}

// back is the set that leads back to before a deploy.
func back(e audit.Entry) ([]audit.Change, error) {
	var set []audit.Change
	for _, c := range e.Set {
		if c.From.SHA256 == "" {
			return nil, fmt.Errorf("%s ran nothing before: there is %w", c.Process, release.ErrNoTarget)
		}
		if c.From.SHA256 != c.To.SHA256 {
			set = append(set, audit.Change{Process: c.Process, To: c.From})
		}
	}
	return set, nil
}

// Deployables are the processes that can be deployed. It waits until no rollout is under way.
func (m *Manager) Deployables(ctx context.Context) ([]control.Deployable, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m.mu.Lock()
	file := m.file
	m.mu.Unlock()
	found := []control.Deployable{}
	for _, spec := range file.Processes {
		p := m.process(spec.Name)
		if !spec.Watch.On || p == nil {
			continue
		}
		d := control.Deployable{Name: spec.Name, File: spec.Command, Has: []string{}, After: spec.After}
		all, err := m.store(spec).List(spec.Name)
		if err != nil {
			return nil, err
		}
		if now, err := p.program(); err == nil {
			d.Live = now.release()
			d.Has = append(d.Has, now.sum)
		}
		for _, r := range all {
			if r.SHA256 != d.Live.SHA256 && !r.Missing && r.Damaged == "" {
				d.Has = append(d.Has, r.SHA256)
			}
		}
		found = append(found, d)
	}
	return found, nil
}

// notNow tells whether the gates cannot tell now.
func notNow(err error) bool { return errors.Is(err, files.ErrNotNow) }
