package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	files "pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// byCommand is why a release is marked bad that a person has left. It is no news when its file is found again.
const byCommand = "rolled back by command"

// errSame says that what was deployed is what runs, or what a person has left: there is nothing to do.
var errSame = errors.New("it runs already")

// HandleChange is given a deployed file that has stopped changing.
func (m *Manager) HandleChange(ctx context.Context, c files.Change) error {
	if m.set.IsDown() {
		return fmt.Errorf("%w: %w", supervise.ErrDown, files.ErrNotNow)
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
	return fmt.Errorf("there is no room for it in %s, it is taken when there is: %w", m.host.Home.ReleaseDir(), syscall.ENOSPC)
}

// waitsForRoom tells whether a program was refused for want of room and would be again: to copy it each time until the
// disk is full is no way to wait.
func (m *Manager) waitsForRoom(p *supervise.Process, size int64) bool {
	var s unix.Statfs_t
	return m.host.Store.Get(state.InstanceID{Name: p.Name, Number: 0}).Process.DeployFailure == m.noRoom().Error() &&
		unix.Statfs(m.host.Home.ReleaseDir(), &s) == nil && s.Bavail*uint64(s.Bsize) < uint64(size)
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
func (m *Manager) watching(path string) []*supervise.Process {
	processes := m.set.ByName()
	var found []*supervise.Process
	for _, name := range supervise.SortedNames(processes) {
		if spec := processes[name].Spec(); spec.Watch.Enabled && spec.Command == path {
			found = append(found, processes[name])
		}
	}
	return found
}

// rewatch has exactly the files and the limits watched that there are.
func (m *Manager) rewatch() {
	processes := m.set.ByName()
	var all []files.File
	for _, name := range supervise.SortedNames(processes) {
		if spec := processes[name].Spec(); spec.Watch.Enabled {
			all = append(all, files.File{Path: spec.Command, Companions: []string{release.SumFilePath(spec.Command)}})
		}
	}
	m.watcher.SetFiles(all...)
	supervise.Notify(m.changed)
}

// notTaken shows that what was deployed is not what runs, and why. It tells whether that is new.
func (m *Manager) notTaken(p *supervise.Process, why error) bool {
	text := why.Error()
	if m.host.Store.Get(state.InstanceID{Name: p.Name, Number: 0}).Process.DeployFailure == text {
		return false // an earlier manager has said so
	}
	m.host.Store.Announce(p.Name, "not taken: "+text, func(r *state.Record) { r.Process.DeployFailure = text })
	return true
}

// countRefused counts what is not taken. A process that was started and is not ready counts as a reload that has failed.
func (m *Manager) countRefused(p *supervise.Process, why error) {
	reason := reasonOf(why)
	if reason != web.ReasonNotReady {
		m.host.Reloads.Count(p.Name, web.ResultRefused, 0)
	}
	m.deploys.count(p.Name, web.ResultRefused, reason)
}

// taken ends what notTaken has shown.
func (m *Manager) taken(p *supervise.Process) {
	if m.host.Store.Get(state.InstanceID{Name: p.Name, Number: 0}).Process.DeployFailure != "" {
		m.host.Store.Announce(p.Name, "what is deployed is what runs", func(r *state.Record) { r.Process.DeployFailure = "" })
	}
}

// deploy has a process run what its file holds: the content with that SHA-256, or any where that is "". Nothing has
// changed where it returns an error. One that is not patient gets files.ErrNotNow rather than waiting for a gate or for
// another deployment.
func (m *Manager) deploy(ctx context.Context, p *supervise.Process, sum string, patient bool) error {
	if patient {
		m.target(p).deploying.Lock()
	} else if !m.target(p).deploying.TryLock() {
		return fmt.Errorf("%s is just being deployed: %w", p.Name, files.ErrNotNow)
	}
	defer m.target(p).deploying.Unlock()
	began := time.Now()
	now, _ := p.Program() // where there is none, anything is new
	store := m.host.Releases(p.Spec())
	if sum != "" {
		if sum == now.SHA256 {
			return errSame
		}
		if r, err := store.Find(p.Name, sum); err == nil && r.Record.FailedAt != nil {
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
	case r.Record.Verification.SHA256 == now.SHA256:
		return errSame
	}
	c := supervise.ProgramOf(r)
	if err := m.pass(p, c); err != nil {
		return refused{web.ReasonGate, err}
	}
	if err := m.goLive(ctx, p, c, "was deployed"); err != nil {
		if isNoRoom(err) {
			return fmt.Errorf("release %s: %w", c, err) // it may be a good one
		}
		if marking := store.MarkFailed(ctx, p.Name, c.SHA256, err.Error()); marking != nil {
			m.host.Log.Warn("mark a bad release", "process", p.Name, "error", marking)
		}
		return fmt.Errorf("release %s: %w", c, err)
	}
	m.deploys.taken(p.Name, time.Since(began))
	return nil
}

func knownBad(r release.Release) error {
	if r.Record.Failure == byCommand {
		return errSame
	}
	return refused{web.ReasonFailedBefore, fmt.Errorf("release %s was found bad before: %s: pgo rollback %s %s runs it all the same", supervise.ProgramOf(r), r.Record.Failure, r.Name, r.Record.Verification.SHA256[:12])}
}

// admit copies what is deployed into the store, if it is whole and can work here.
func (m *Manager) admit(ctx context.Context, p *supervise.Process) (release.Release, error) {
	spec := p.Spec()
	if err := supervise.CheckExecutable(spec.Command); err != nil {
		return release.Release{}, err
	}
	store := m.host.Releases(spec)
	r, err := store.Add(ctx, p.Name, spec.Command)
	if err != nil {
		return release.Release{}, err
	}
	if r.Record.FailedAt != nil {
		return release.Release{}, knownBad(r)
	}
	return m.question(ctx, p, r)
}

// question asks a stored program what it is, and whether it can work here.
func (m *Manager) question(ctx context.Context, p *supervise.Process, r release.Release) (release.Release, error) {
	spec := p.Spec()
	as, err := supervise.LookupUser(spec.User, spec.Group)
	if err != nil {
		return release.Release{}, err
	}
	ask := release.Preflight{Dir: spec.Dir, Env: supervise.ListEnv(supervise.MergeEnv(m.host.Env, spec))}
	if ask.Dir == "" {
		ask.Dir = m.set.Root()
	}
	if as != nil {
		if err := m.host.Home.AllowTraversal(); err != nil { // its user must reach the copy
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
		err = m.host.Releases(spec).SetVersion(ctx, p.Name, r.Record.Verification.SHA256, r.Record.Version)
	}
	return r, err
}

// goLive replaces what runs by the program, and writes down that it is live. Where that does not work out all is as it
// was.
func (m *Manager) goLive(ctx context.Context, p *supervise.Process, c supervise.Program, why string) error {
	before, unfit := p.Program()
	store := m.host.Releases(p.Spec())
	p.BeginDeploy()
	defer p.EndDeploy()
	asking, enough := context.WithCancel(ctx)
	defer enough()
	failing := m.target(p).failing(asking)
	p.Choose(c)
	err := p.ReplaceInstances()
	if err != nil {
		err = refused{web.ReasonNotReady, err}
	} else {
		err = store.SetCurrent(ctx, p.Name, c.SHA256)
	}
	if err != nil {
		if unfit == nil && before.SHA256 != "" {
			p.Choose(before)
		}
		if p.RunsOtherThan(before) {
			err = errors.Join(err, p.ReplaceInstances())
		}
		return err
	}
	m.host.Store.Announce(p.Name, fmt.Sprintf("release %s %s", c, why), func(r *state.Record) { r.Process.DeployFailure = "" })
	was := forerunner{Release: c.SHA256, Share: <-failing}
	m.target(p).rememberBefore(was)
	m.target(p).prove(c, was.Share)
	for _, i := range p.Instances() {
		if i.Process.Deps.Store.Get(i.ID).Process.Status == control.Failed {
			i.Start() // perhaps it works with this one
		}
	}
	return nil
}

// redeploy is a reload with what is deployed now, where that is something new.
func (m *Manager) redeploy(p *supervise.Process) {
	p.StartUnfinished() // what does not run is started
	if !p.Spec().Watch.Enabled {
		p.StartReload()
		return
	}
	p.BeginDeploy()
	for _, i := range p.Instances() {
		i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
			r.Process.ReloadPending, r.Process.ReloadFailure, r.Process.LastLines = r.Wanted, "", nil
		})
	}
	go func() {
		defer p.EndDeploy()
		err := m.deploy(context.Background(), p, "", true)
		switch {
		case errors.Is(err, errSame):
			p.StartReload()
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
		p := m.set.Lookup(spec.Name)
		if spec.Watch.Enabled && !p.HasRelease() && !p.RunsOtherThan(supervise.Program{SHA256: "any"}) {
			all.Go(func() { m.outfitOne(p) })
		}
	}
	all.Wait()
}

func (m *Manager) outfitOne(p *supervise.Process) {
	m.target(p).deploying.Lock()
	defer m.target(p).deploying.Unlock()
	ctx, store := context.Background(), m.host.Releases(p.Spec())
	live := m.lastLive(p)
	r, err := m.admit(ctx, p)
	if err == nil && r.Record.Verification.SHA256 != live.SHA256 {
		if err = store.SetCurrent(ctx, p.Name, r.Record.Verification.SHA256); err == nil || live.SHA256 == "" {
			p.Choose(supervise.ProgramOf(r))
		}
	}
	switch {
	case err != nil && live.SHA256 == "":
		m.deploys.count(p.Name, web.ResultRefused, reasonOf(err))
		p.ClearProgram(err)
		return
	case err != nil && !errors.Is(err, errSame):
		m.notTaken(p, err)
		m.deploys.count(p.Name, web.ResultRefused, reasonOf(err))
	case err == nil:
		m.taken(p)
	}
	m.target(p).proveLive()
}

// lastLive chooses the release that was live last, if there is one.
func (m *Manager) lastLive(p *supervise.Process) supervise.Program {
	r, err := m.host.Releases(p.Spec()).Current(p.Name)
	if err != nil || r.Missing {
		return supervise.Program{}
	}
	p.Choose(supervise.ProgramOf(r))
	return supervise.ProgramOf(r)
}
