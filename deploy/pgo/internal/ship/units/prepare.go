package units

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/systemd"
)

// prepare finds out whether the set can run here, and has the gates let it. Nothing that runs is touched.
func (r *rollout) prepare(ctx context.Context) error {
	if r.entry.Kind == audit.KindRollback && len(r.entry.Changes) == 0 {
		set, err := r.lastDeploy(ctx)
		if err != nil {
			return err
		}
		r.entry.Changes = set
	}
	for n := range r.entry.Changes {
		if err := r.gather(ctx, &r.entry.Changes[n]); err != nil {
			return err
		}
	}
	programs := map[string]string{}
	for _, p := range r.parts {
		programs[p.Process.Name] = p.path
	}
	r.order()
	if r.ask.CheckOnly {
		if err := r.Host.AskGates(ctx, programs, true, func(gate, text string) { r.tell(gate, "plan", text, time.Time{}) }); err != nil {
			return err
		}
		for _, p := range r.parts {
			r.tell(p.Process.Name, "plan", fmt.Sprintf("would run %s in place of %s: systemctl restart %s", p.to, p.from, strings.Join(systemd.UnitsOf(p.Process), " ")), time.Time{})
		}
		return nil
	}
	began := time.Now()
	if err := r.Host.AskGates(ctx, programs, false, func(gate, text string) { r.tell(gate, "gate", text, began) }); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return lost(ctx)
	}
	return r.note()
}

func lost(ctx context.Context) error {
	return fmt.Errorf("the connection to who deploys was lost: %w", context.Cause(ctx))
}

// gather finds the release of one process, asks it, and copies it to where it is deployed, under another name.
func (r *rollout) gather(ctx context.Context, c *audit.Change) error {
	spec, ok := r.Host.FindProcess(c.Process)
	if !ok {
		return fmt.Errorf("%s cannot be deployed: it is not watched (watch: true in the process file)", c.Process)
	}
	p := &part{Process: spec, pids: map[string]int{}}
	for _, unit := range systemd.UnitsOf(spec) {
		s, err := r.Host.ShowUnit(ctx, unit)
		if err != nil {
			return err
		}
		if s.Load != "loaded" {
			return fmt.Errorf("%s: systemd has no unit %s (%s): pgo export systemd makes it", spec.Name, unit, s.Load)
		}
		p.pids[unit] = s.PID
	}
	all, err := r.Host.Store().List(spec.Name)
	if err == nil {
		p.from, err = r.Host.CurrentRelease(spec, all)
	}
	if err != nil {
		return err
	}
	to, err := r.Host.Store().Find(spec.Name, c.To.SHA256)
	if err == nil {
		err = r.Host.Store().VerifyContent(ctx, spec.Name, to.Record.Verification.SHA256)
	}
	if err != nil {
		return err
	}
	p.to, p.path = audit.Release{SHA256: to.Record.Verification.SHA256, Version: to.Record.Version}, to.Path
	c.From, c.To = p.from, p.to
	if to.Record.Verification.SHA256 == p.from.SHA256 {
		return nil
	}
	if to.Record.FailedAt != nil && to.Record.Failure != byCommand && !r.ask.AllowFailed && r.entry.Kind == audit.KindDeploy {
		return fmt.Errorf("%s: release %s was found bad before: %s: --again tries it all the same", spec.Name, p.to, to.Record.Failure)
	}
	// What is replaced has to be there to be put back, however it came here.
	if p.from.SHA256 != "" && !slices.ContainsFunc(all, func(is release.Release) bool {
		return is.Record.Verification.SHA256 == p.from.SHA256 && !is.Missing && is.Damaged == ""
	}) {
		_, err := r.Host.Store().Add(ctx, spec.Name, spec.Command)
		if err == nil {
			err = errors.Join(r.Host.Store().SetCurrent(ctx, spec.Name, p.from.SHA256), r.Host.Store().MarkPassed(ctx, spec.Name, p.from.SHA256))
		}
		if err != nil {
			return fmt.Errorf("keep what runs, to be able to put it back: %w", err)
		}
	}
	began := time.Now()
	if r.entry.Kind == audit.KindDeploy {
		answer, err := release.Preflight{Dir: r.Host.WorkDir(spec), Env: systemd.FormatEnv(r.Host.Environment(spec))}.Run(ctx, to.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", spec.Name, err)
		}
		if p.to.Version = answer.Version; p.to.Version != "" {
			if err := r.Host.Store().SetVersion(ctx, spec.Name, to.Record.Verification.SHA256, p.to.Version); err != nil {
				return err
			}
		}
		c.To = p.to
	}
	if !r.ask.CheckOnly {
		if err := stage(to.Path, staged(spec)); err != nil {
			return err
		}
	}
	r.parts = append(r.parts, p)
	r.tell(spec.Name, "checked", "release "+p.to.String()+" is whole, is for this machine, and takes its configuration", began)
	return nil
}

// staged is where a program waits to be renamed to where it is deployed.
func staged(p processfile.Process) string {
	return filepath.Join(filepath.Dir(p.Command), ".pgo-"+filepath.Base(p.Command))
}

// stage copies a program.
func stage(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	defer in.Close()
	_ = os.Remove(to) // of one that was killed
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		_ = os.Remove(to)
		return fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	return nil
}

func (r *rollout) unstage() {
	for _, p := range r.parts {
		_ = os.Remove(staged(p.Process))
	}
}

// order sorts the parts so that each comes after those that it comes after.
func (r *rollout) order() {
	depths := map[string]int{}
	var depth func(name string) int
	depth = func(name string) int {
		if d, ok := depths[name]; ok {
			return d
		}
		i := slices.IndexFunc(r.Host.File.Processes, func(p processfile.Process) bool { return p.Name == name })
		d := 0
		if i >= 0 {
			for _, before := range r.Host.File.Processes[i].After {
				d = max(d, depth(before)+1)
			}
		}
		depths[name] = d
		return d
	}
	slices.SortStableFunc(r.parts, func(a, b *part) int { return depth(a.Process.Name) - depth(b.Process.Name) })
}
