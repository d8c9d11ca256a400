package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/rollout"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// errUnchanged is the error of a file that holds the release that runs, or one that a person has rolled back from: there
// is nothing to do.
var errUnchanged = errors.New("it runs already")

// deployFile makes the process run what its file holds: the content with that SHA-256, or any if sha256 is "". On an error
// nothing has changed. If wait is false it returns watch.ErrNotNow instead of waiting for a gate or another deploy. What was
// begun goes on when ctx ends, for the next manager, but not when the process is closed or everything is stopped.
func (t *target) deployFile(ctx context.Context, sha256 string, wait bool) error {
	if wait {
		if err := t.lockWhenGatesReady(ctx); err != nil {
			return err
		}
	} else if !t.tryLock() {
		return fmt.Errorf("%s is just being deployed: %w", t.process.Name, watch.ErrNotNow)
	}
	defer t.unlock()
	began := time.Now()
	current, _ := t.process.Program() // if there is none, any release is new
	if sha256 != "" {
		if sha256 == current.SHA256 {
			return errUnchanged
		}
		if r, err := t.store().Find(t.process.Name, sha256); err == nil && r.Record.FailedAt != nil {
			return errFailedBefore(r)
		}
	}
	if !wait { // before anything is copied: it would be copied again at each try
		if err := t.deployer.awaitGates(ctx, t.process, false); err != nil {
			return err
		}
	}
	r, err := t.admitFile(ctx)
	switch {
	case err != nil:
		return err
	case sha256 != "" && r.Record.Verification.SHA256 != sha256:
		return watch.ErrChanged
	case r.Record.Verification.SHA256 == current.SHA256:
		return errUnchanged
	}
	program := supervise.ProgramOf(r)
	if err := t.deployer.askGates(t.ctx, programs{t.process: program}); err != nil {
		return refusal{web.ReasonGate, err}
	}
	if err := t.activateRelease(t.ctx, program, "was deployed"); err != nil {
		if isNoRoom(err) || errors.Is(err, watch.ErrNotNow) {
			return fmt.Errorf("release %s: %w", program, err) // it may be a good one
		}
		if marking := t.store().MarkFailed(ctx, t.process.Name, program.SHA256, err.Error()); marking != nil {
			t.deployer.deps.Log.Warn("mark a bad release", "process", t.process.Name, "error", marking)
		}
		return fmt.Errorf("release %s: %w", program, err)
	}
	t.deployer.counters.countAccepted(t.process.Name, time.Since(began))
	return nil
}

// lockWhenGatesReady waits until the gates that the process comes after are ready, and locks t. It does not keep others from the
// process while it waits for a gate.
func (t *target) lockWhenGatesReady(ctx context.Context) error {
	for {
		if err := t.deployer.awaitGates(ctx, t.process, true); err != nil {
			return err
		}
		if err := t.lock(ctx); err != nil {
			return err
		}
		if t.deployer.awaitGates(ctx, t.process, false) == nil {
			return nil
		}
		t.unlock()
	}
}

// errFailedBefore returns the error of a deployed release that failed before. One that a person has rolled back from is
// not reported.
func errFailedBefore(r release.Release) error {
	if r.Record.Failure == rollout.RolledBackByCommand {
		return errUnchanged
	}
	return refusal{web.ReasonFailedBefore, fmt.Errorf("release %s was found bad before: %s: pgo rollback %s %s runs it all the same",
		supervise.ProgramOf(r), r.Record.Failure, r.Name, r.Record.Verification.SHA256[:12])}
}

// admitFile copies the deployed file into the store, if it is whole and can work here.
func (t *target) admitFile(ctx context.Context) (release.Release, error) {
	spec := t.process.Spec()
	if err := command.CheckExecutable(spec.Command); err != nil {
		return release.Release{}, err
	}
	r, err := t.store().Add(ctx, t.process.Name, spec.Command)
	if err != nil {
		return release.Release{}, err
	}
	if r.Record.FailedAt != nil {
		return release.Release{}, errFailedBefore(r)
	}
	r.Record.Version, err = t.runPreflight(ctx, supervise.ProgramOf(r))
	return r, err
}

// runPreflight asks a stored program for its version and whether it can work here, with the environment and the user of
// the process. It stores the version.
func (t *target) runPreflight(ctx context.Context, p supervise.Program) (version string, err error) {
	spec, deps := t.process.Spec(), t.deployer.deps
	check := release.Preflight{Runner: deps.Runner, Process: spec, Dir: spec.Dir, Env: command.ListEnv(command.MergeEnv(deps.Env, spec))}
	if check.Dir == "" {
		check.Dir = t.deployer.set.Root()
	}
	if spec.User != "" {
		if err := deps.Home.AllowTraversal(); err != nil { // its user must reach the copy
			return "", err
		}
	}
	answer, err := check.Run(ctx, p.Path)
	if err != nil {
		return "", err
	}
	if answer.Version != "" {
		err = t.store().SetVersion(ctx, t.process.Name, p.SHA256, answer.Version)
	}
	return answer.Version, err
}

// activateRelease replaces what runs by the program, makes it the current release and puts it on probation. On an error all is
// as it was; it is watch.ErrNotNow where the program is not to blame. The caller has locked t.
func (t *target) activateRelease(ctx context.Context, program supervise.Program, how string) error {
	p := t.process
	before, noProgram := p.Program()
	p.BeginDeploy()
	defer p.EndDeploy()
	measuring, stop := context.WithCancel(ctx)
	defer stop()
	errorShare := t.measureErrorShare(measuring)
	p.Choose(program)
	err := t.replaceInstances(ctx)
	if err != nil && !errors.Is(err, watch.ErrNotNow) {
		err = refusal{web.ReasonNotReady, err}
	} else if err == nil {
		err = t.store().SetCurrent(ctx, p.Name, program.SHA256)
	}
	if err != nil {
		if noProgram == nil && before.SHA256 != "" {
			p.Choose(before)
		}
		if p.RunsOtherThan(before) {
			err = errors.Join(err, t.replaceInstances(ctx))
		}
		return err
	}
	t.announce(func(r *state.Record) { r.Process.DeployFailure = "" }, "release %s %s", program, how)
	t.startProbation(program, t.keepBaseline(program, <-errorShare), nil)
	for _, i := range p.Instances() {
		if t.instanceState(i).Process.Status == control.Failed {
			i.Start() // it may work with this release
		}
	}
	return nil
}

// replaceInstances replaces the instances within the time that this takes where nothing is wrong. If that is over since they
// wait for another process, or ctx ends, the error is watch.ErrNotNow.
func (t *target) replaceInstances(ctx context.Context) error {
	timeout := t.replaceTimeout()
	limited, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not replaced within %s", timeout))
	defer cancel()
	err := t.process.ReplaceInstances(limited)
	if err != nil && limited.Err() != nil {
		return fmt.Errorf("%w: %w", err, watch.ErrNotNow)
	}
	return err
}

// replaceTimeout returns how long the instances may take to be replaced: each its time to become ready, and all of them
// gatesTimeout to wait for another process.
func (t *target) replaceTimeout() time.Duration {
	spec := t.process.Spec()
	return gatesTimeout + time.Duration(spec.Instances+1)*(spec.Readiness.Timeout+spec.Reload.Stable)
}
