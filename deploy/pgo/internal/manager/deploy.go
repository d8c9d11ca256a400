package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/state"
	files "pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// byCommand is why a release is marked bad that a person has left. It is no news when its file is found again.
const byCommand = "rolled back by command"

// errSame says that what was deployed is what runs, or what a person has left: there is nothing to do.
var errSame = errors.New("it runs already")

// HandleChange is given a deployed file that has stopped changing.
func (m *Manager) HandleChange(ctx context.Context, c files.Change) error {
	if m.isDown() {
		return fmt.Errorf("%w: %w", errDown, files.ErrNotNow)
	}
	for _, p := range m.watching(c.Path) {
		if m.waitsForRoom(p, c.Size) {
			return files.ErrNotNow
		}
		err := m.deploy(ctx, p, c.SHA256, false)
		switch {
		case errors.Is(err, errSame):
			m.taken(p)
		case isNoRoom(err): // that passes without the file changing
			m.HandleRefusal(ctx, c, m.noRoom())
			return fmt.Errorf("%w: %w", err, files.ErrNotNow)
		case err != nil:
			return err
		}
	}
	return nil
}

func isNoRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// noRoom is how people are told, once: how much is missing changes all the time.
func (m *Manager) noRoom() error {
	return fmt.Errorf("there is no room for it in %s, it is taken when there is: %w", m.host.home.ReleaseDir(), syscall.ENOSPC)
}

// waitsForRoom tells whether a program was refused for want of room and would be again: to copy it each time until the
// disk is full is no way to wait.
func (m *Manager) waitsForRoom(p *process, size int64) bool {
	var s unix.Statfs_t
	return m.host.board.Get(state.InstanceID{Name: p.name, Number: 0}).Process.DeployFailure == m.noRoom().Error() &&
		unix.Statfs(m.host.home.ReleaseDir(), &s) == nil && s.Bavail*uint64(s.Bsize) < uint64(size)
}

// HandleRefusal reports a deployed file that does not run, once.
func (m *Manager) HandleRefusal(_ context.Context, c files.Change, why error) {
	for _, p := range m.watching(c.Path) {
		if m.notTaken(p, why) {
			m.countRefused(p, why)
		}
	}
}

// watching are the processes that run what the file holds.
func (m *Manager) watching(path string) []*process {
	m.mu.Lock()
	processes := maps.Clone(m.processes)
	m.mu.Unlock()
	var found []*process
	for _, name := range sortedNames(processes) {
		if spec := processes[name].current(); spec.Watch.Enabled && spec.Command == path {
			found = append(found, processes[name])
		}
	}
	return found
}

// rewatch has exactly the files and the limits watched that there are.
func (m *Manager) rewatch() {
	m.mu.Lock()
	processes := maps.Clone(m.processes)
	m.mu.Unlock()
	var all []files.File
	for _, name := range sortedNames(processes) {
		if spec := processes[name].current(); spec.Watch.Enabled {
			all = append(all, files.File{Path: spec.Command, Companions: []string{release.SumFilePath(spec.Command)}})
		}
	}
	m.watcher.SetFiles(all...)
	poke(m.changed)
}

// notTaken shows that what was deployed is not what runs, and why. It tells whether that is new.
func (m *Manager) notTaken(p *process, why error) bool {
	text := why.Error()
	if m.host.board.Get(state.InstanceID{Name: p.name, Number: 0}).Process.DeployFailure == text {
		return false // an earlier manager has said so
	}
	m.host.board.Announce(p.name, "not taken: "+text, func(r *state.Record) { r.Process.DeployFailure = text })
	return true
}

// countRefused counts what is not taken. A process that was started and is not ready counts as a reload that has failed.
func (m *Manager) countRefused(p *process, why error) {
	reason := reasonOf(why)
	if reason != web.ReasonNotReady {
		m.host.tally.count(p.name, web.ResultRefused, 0)
	}
	m.host.deploys.count(p.name, web.ResultRefused, reason)
}

// taken ends what notTaken has shown.
func (m *Manager) taken(p *process) {
	if m.host.board.Get(state.InstanceID{Name: p.name, Number: 0}).Process.DeployFailure != "" {
		m.host.board.Announce(p.name, "what is deployed is what runs", func(r *state.Record) { r.Process.DeployFailure = "" })
	}
}

// deploy has a process run what its file holds: the content with that SHA-256, or any where that is "". Nothing has
// changed where it returns an error. One that is not patient gets files.ErrNotNow rather than waiting for a gate or for
// another deployment.
func (m *Manager) deploy(ctx context.Context, p *process, sum string, patient bool) error {
	if patient {
		p.deploying.Lock()
	} else if !p.deploying.TryLock() {
		return fmt.Errorf("%s is just being deployed: %w", p.name, files.ErrNotNow)
	}
	defer p.deploying.Unlock()
	began := time.Now()
	now, _ := p.program() // where there is none, anything is new
	store := m.host.store(p.current())
	if sum != "" {
		if sum == now.sum {
			return errSame
		}
		if r, err := store.Find(p.name, sum); err == nil && r.Record.FailedAt != nil {
			return knownBad(r)
		}
	}
	// Before anything is copied: it would be copied again at each try.
	if err := m.awaitGates(ctx, p, patient); err != nil {
		return err
	}
	r, err := m.admit(ctx, p)
	switch {
	case err != nil:
		return err
	case sum != "" && r.Record.Verification.SHA256 != sum:
		return files.ErrChanged
	case r.Record.Verification.SHA256 == now.sum:
		return errSame
	}
	c := copyOf(r)
	if err := m.pass(p, c); err != nil {
		return refused{web.ReasonGate, err}
	}
	if err := m.goLive(ctx, p, c, "was deployed"); err != nil {
		if isNoRoom(err) {
			return fmt.Errorf("release %s: %w", c, err) // it may be a good one
		}
		if marking := store.MarkFailed(ctx, p.name, c.sum, err.Error()); marking != nil {
			m.host.log.Warn("mark a bad release", "process", p.name, "error", marking)
		}
		return fmt.Errorf("release %s: %w", c, err)
	}
	m.host.deploys.taken(p.name, time.Since(began))
	return nil
}

func knownBad(r release.Release) error {
	if r.Record.Failure == byCommand {
		return errSame
	}
	return refused{web.ReasonFailedBefore, fmt.Errorf("release %s was found bad before: %s: pgo rollback %s %s runs it all the same", copyOf(r), r.Record.Failure, r.Name, r.Record.Verification.SHA256[:12])}
}

// admit copies what is deployed into the store, if it is whole and can work here.
func (m *Manager) admit(ctx context.Context, p *process) (release.Release, error) {
	spec := p.current()
	if err := executable(spec.Command); err != nil {
		return release.Release{}, err
	}
	store := m.host.store(spec)
	r, err := store.Add(ctx, p.name, spec.Command)
	if err != nil {
		return release.Release{}, err
	}
	if r.Record.FailedAt != nil {
		return release.Release{}, knownBad(r)
	}
	return m.question(ctx, p, r)
}

// question asks a stored program what it is, and whether it can work here.
func (m *Manager) question(ctx context.Context, p *process, r release.Release) (release.Release, error) {
	spec := p.current()
	as, err := whois(spec.User, spec.Group)
	if err != nil {
		return release.Release{}, err
	}
	ask := release.Preflight{Dir: spec.Dir, Env: list(surroundings(m.host.env, spec))}
	if ask.Dir == "" {
		ask.Dir = m.root()
	}
	if as != nil {
		if err := m.host.home.AllowTraversal(); err != nil { // its user must reach the copy
			return release.Release{}, err
		}
		ask.User = &syscall.Credential{Uid: uint32(as.UID), Gid: uint32(as.GID)}
		for _, g := range as.Groups {
			ask.User.Groups = append(ask.User.Groups, uint32(g))
		}
	}
	answer, err := ask.Run(ctx, r.Path)
	if err != nil {
		return release.Release{}, err
	}
	if r.Record.Version = answer.Version; r.Record.Version != "" {
		err = m.host.store(spec).SetVersion(ctx, p.name, r.Record.Verification.SHA256, r.Record.Version)
	}
	return r, err
}

// goLive replaces what runs by the program, and writes down that it is live. Where that does not work out all is as it
// was.
func (m *Manager) goLive(ctx context.Context, p *process, c copied, why string) error {
	before, unfit := p.program()
	store := m.host.store(p.current())
	p.hold()
	defer p.letGo()
	asking, enough := context.WithCancel(ctx)
	defer enough()
	failing := p.failing(asking)
	p.choose(c)
	err := p.replaced()
	if err != nil {
		err = refused{web.ReasonNotReady, err}
	} else {
		err = store.SetCurrent(ctx, p.name, c.sum)
	}
	if err != nil {
		if unfit == nil && before.sum != "" {
			p.choose(before)
		}
		if p.runsOther(before) {
			err = errors.Join(err, p.replaced())
		}
		return err
	}
	m.host.board.Announce(p.name, fmt.Sprintf("release %s %s", c, why), func(r *state.Record) { r.Process.DeployFailure = "" })
	was := forerunner{Release: c.sum, Share: <-failing}
	p.rememberBefore(was)
	p.prove(c, was.Share)
	for _, i := range p.all() {
		if i.process.host.board.Get(i.slot).Process.Status == control.Failed {
			i.start() // perhaps it works with this one
		}
	}
	return nil
}

// runsOther tells whether an instance runs another release.
func (p *process) runsOther(c copied) bool {
	return slices.ContainsFunc(p.all(), func(i *instance) bool {
		k := i.runs()
		return k != nil && k.prog.sum != c.sum
	})
}

// redeploy is a reload with what is deployed now, where that is something new.
func (m *Manager) redeploy(p *process) {
	p.startUndone() // what does not run is started
	if !p.current().Watch.Enabled {
		p.reload()
		return
	}
	p.hold()
	for _, i := range p.all() {
		i.process.host.board.Update(i.slot, func(r *state.Record) {
			r.Process.ReloadPending, r.Process.ReloadFailure, r.Process.LastLines = r.Wanted, "", nil
		})
	}
	go func() {
		defer p.letGo()
		err := m.deploy(context.Background(), p, "", true)
		switch {
		case errors.Is(err, errSame):
			p.reload()
		case err != nil:
			m.notTaken(p, err)
			m.countRefused(p, err)
		}
	}()
}

// outfit gives processes that are about to start their first program: what is deployed, where that fits, else the
// release that was live last.
func (m *Manager) outfit(file processfile.File) {
	var all sync.WaitGroup
	for _, spec := range file.Processes {
		p := m.process(spec.Name)
		if spec.Watch.Enabled && !p.equipped() && !p.runsOther(copied{sum: "any"}) {
			all.Go(func() { m.outfitOne(p) })
		}
	}
	all.Wait()
}

func (p *process) equipped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chosen.sum != ""
}

func (m *Manager) outfitOne(p *process) {
	p.deploying.Lock()
	defer p.deploying.Unlock()
	ctx, store := context.Background(), m.host.store(p.current())
	live := m.lastLive(p)
	r, err := m.admit(ctx, p)
	if err == nil && r.Record.Verification.SHA256 != live.sum {
		if err = store.SetCurrent(ctx, p.name, r.Record.Verification.SHA256); err == nil || live.sum == "" {
			p.choose(copyOf(r))
		}
	}
	switch {
	case err != nil && live.sum == "":
		m.host.deploys.count(p.name, web.ResultRefused, reasonOf(err))
		p.mu.Lock()
		p.unfit = err
		p.mu.Unlock()
		return
	case err != nil && !errors.Is(err, errSame):
		m.notTaken(p, err)
		m.host.deploys.count(p.name, web.ResultRefused, reasonOf(err))
	case err == nil:
		m.taken(p)
	}
	p.proveLive()
}

// lastLive chooses the release that was live last, if there is one.
func (m *Manager) lastLive(p *process) copied {
	r, err := m.host.store(p.current()).Current(p.name)
	if err != nil || r.Missing {
		return copied{}
	}
	p.choose(copyOf(r))
	return copyOf(r)
}
