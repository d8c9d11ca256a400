package units

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/audit"
	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/home"
	"pgo/deploy/pgo/processfile"
	"pgo/deploy/pgo/release"
)

// byCommand is why a release is marked bad that a person has left.
const byCommand = "rolled back by command"

// strikes is how often a unit may be started anew by itself while its release is on probation.
const strikes = 2

// rollout is one on its way.
type rollout struct {
	*Host
	ask   control.Rollout
	entry audit.Entry
	parts []*part
	tell  func(process, step, text string, began time.Time)
}

// part is one process of which something is to change.
type part struct {
	processfile.Process
	from, to audit.Release
	path     string         // of the new program, in the store
	pids     map[string]int // what ran before, by unit
}

// Rollout has a set of releases run, all of them or none, and returns what became of it: that is in the audit log then.
// Where ctx ends before the set has proven itself, all is put back.
func (h *Host) Rollout(ctx context.Context, ask control.Rollout, tell func(control.Progress)) (audit.Entry, error) {
	r := &rollout{Host: h, ask: ask, entry: ask.Entry, tell: func(process, step, text string, began time.Time) {
		p := control.Progress{Process: process, Step: step, Text: text}
		if !began.IsZero() {
			p.Seconds = time.Since(began).Seconds()
		}
		tell(p)
	}}
	err := r.prepare(ctx)
	if err != nil {
		r.unstage()
		return r.ended(audit.Refused, err), nil
	}
	if ask.Check || len(r.parts) == 0 {
		return r.ended(audit.Done, nil), nil
	}
	if err = r.advance(ctx); err == nil && r.entry.Kind == audit.Deploy {
		err = r.endure(ctx)
	}
	if err != nil {
		return r.putBack(err), nil
	}
	r.commit()
	return r.ended(audit.Done, nil), nil
}

// prepare finds out whether the set can run here, and has the gates let it. Nothing that runs is touched.
func (r *rollout) prepare(ctx context.Context) error {
	if r.entry.Kind == audit.Rollback && len(r.entry.Set) == 0 {
		set, err := r.lastDeploy(ctx)
		if err != nil {
			return err
		}
		r.entry.Set = set
	}
	for n := range r.entry.Set {
		if err := r.gather(ctx, &r.entry.Set[n]); err != nil {
			return err
		}
	}
	programs := map[string]string{}
	for _, p := range r.parts {
		programs[p.Name] = p.path
	}
	r.order()
	if r.ask.Check {
		if err := r.pass(ctx, programs, true, func(gate, text string) { r.tell(gate, "plan", text, time.Time{}) }); err != nil {
			return err
		}
		for _, p := range r.parts {
			r.tell(p.Name, "plan", fmt.Sprintf("would run %s in place of %s: systemctl restart %s", p.to, p.from, strings.Join(unitsOf(p.Process), " ")), time.Time{})
		}
		return nil
	}
	began := time.Now()
	if err := r.pass(ctx, programs, false, func(gate, text string) { r.tell(gate, "gate", text, began) }); err != nil {
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
	spec, ok := r.process(c.Process)
	if !ok {
		return fmt.Errorf("%s cannot be deployed: it is not watched (watch: true in the process file)", c.Process)
	}
	p := &part{Process: spec, pids: map[string]int{}}
	for _, unit := range unitsOf(spec) {
		s, err := r.show(ctx, unit)
		if err != nil {
			return err
		}
		if s.loaded != "loaded" {
			return fmt.Errorf("%s: systemd has no unit %s (%s): pgo export systemd makes it", spec.Name, unit, s.loaded)
		}
		p.pids[unit] = s.pid
	}
	all, err := r.store().List(spec.Name)
	if err == nil {
		p.from, err = r.live(spec, all)
	}
	if err != nil {
		return err
	}
	to, err := r.store().Find(spec.Name, c.To.SHA256)
	if err == nil {
		err = r.store().Check(ctx, spec.Name, to.SHA256)
	}
	if err != nil {
		return err
	}
	p.to, p.path = audit.Release{SHA256: to.SHA256, Version: to.Version}, to.Path
	c.From, c.To = p.from, p.to
	if to.SHA256 == p.from.SHA256 {
		return nil
	}
	if to.BadAt != nil && to.Bad != byCommand && !r.ask.Again && r.entry.Kind == audit.Deploy {
		return fmt.Errorf("%s: release %s was found bad before: %s: --again tries it all the same", spec.Name, p.to, to.Bad)
	}
	// What is replaced has to be there to be put back, however it came here.
	if p.from.SHA256 != "" && !slices.ContainsFunc(all, func(is release.Release) bool { return is.SHA256 == p.from.SHA256 && !is.Missing && is.Damaged == "" }) {
		_, err := r.store().Add(ctx, spec.Name, spec.Command)
		if err == nil {
			err = errors.Join(r.store().SetLive(ctx, spec.Name, p.from.SHA256), r.store().MarkGood(ctx, spec.Name, p.from.SHA256))
		}
		if err != nil {
			return fmt.Errorf("keep what runs, to be able to put it back: %w", err)
		}
	}
	began := time.Now()
	if r.entry.Kind == audit.Deploy {
		answer, err := release.Preflight{Dir: r.dir(spec), Env: list(r.environ(spec))}.Run(ctx, to.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", spec.Name, err)
		}
		if p.to.Version = answer.Version; p.to.Version != "" {
			if err := r.store().SetVersion(ctx, spec.Name, to.SHA256, p.to.Version); err != nil {
				return err
			}
		}
		c.To = p.to
	}
	if !r.ask.Check {
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
		i := slices.IndexFunc(r.File.Processes, func(p processfile.Process) bool { return p.Name == name })
		d := 0
		if i >= 0 {
			for _, before := range r.File.Processes[i].After {
				d = max(d, depth(before)+1)
			}
		}
		depths[name] = d
		return d
	}
	slices.SortStableFunc(r.parts, func(a, b *part) int { return depth(a.Name) - depth(b.Name) })
}

// advance has the set run, unit by unit.
func (r *rollout) advance(ctx context.Context) error {
	for _, p := range r.parts {
		if ctx.Err() != nil {
			return lost(ctx)
		}
		began := time.Now()
		if err := os.Rename(staged(p.Process), p.Command); err != nil {
			return fmt.Errorf("put a release to where it is deployed: %w", err)
		}
		for _, unit := range unitsOf(p.Process) {
			if err := r.restart(p.Process, unit); err != nil {
				for _, line := range lastWords(unit) {
					r.tell(p.Name, "log", line, time.Time{})
				}
				return fmt.Errorf("%s: release %s: %w", p.Name, p.to, err)
			}
		}
		r.tell(p.Name, "runs", "release "+p.to.String()+" answers", began)
	}
	return nil
}

// endure looks at all until each has run for its probation.
func (r *rollout) endure(ctx context.Context) error {
	const every = 200 * time.Millisecond
	longest := time.Duration(0)
	for _, p := range r.parts {
		longest = max(longest, p.Watch.Probation)
	}
	for end := time.Now().Add(longest); ; {
		over := time.Now().After(end)
		for _, p := range r.parts {
			for _, unit := range unitsOf(p.Process) {
				if err := r.wellIs(ctx, p, unit, over); err != nil {
					for _, line := range lastWords(unit) {
						r.tell(p.Name, "log", line, time.Time{})
					}
					return fmt.Errorf("%s: release %s: %w", p.Name, p.to, err)
				}
			}
		}
		if over {
			return nil
		}
		select {
		case <-ctx.Done():
			return lost(ctx)
		case <-time.After(min(every, time.Until(end)+time.Millisecond)):
		}
	}
}

// wellIs is an error where a unit does not do well on probation. At the end of it, it has to serve.
func (r *rollout) wellIs(ctx context.Context, p *part, unit string, over bool) error {
	s, err := r.show(ctx, unit)
	if ctx.Err() != nil {
		return lost(ctx)
	}
	switch {
	case err != nil:
		return err
	case s.active == "failed":
		return fmt.Errorf("%s has failed (%s) while it was on probation", unit, s.result)
	case s.restarts >= strikes:
		return fmt.Errorf("%s ended %d times while it was on probation", unit, s.restarts)
	case p.Limits.Memory > 0 && s.memory > p.Limits.Memory:
		return fmt.Errorf("%s uses %d bytes of memory, and limits.memory is %d", unit, s.memory, p.Limits.Memory)
	case over && s.active != "active":
		return fmt.Errorf("%s is %s at the end of its probation", unit, s.active)
	}
	return nil
}

// commit writes down that the set is live.
func (r *rollout) commit() {
	ctx := context.Background()
	for _, p := range r.parts {
		// On a full disk the marks stay as they were: what runs is more important.
		_ = r.store().SetLive(ctx, p.Name, p.to.SHA256)
		if r.entry.Kind == audit.Deploy {
			_ = r.store().MarkGood(ctx, p.Name, p.to.SHA256)
			r.tell(p.Name, "good", "release "+p.to.String()+" has proven itself", time.Time{})
		} else {
			_ = r.store().MarkBad(ctx, p.Name, p.from.SHA256, byCommand)
		}
	}
	forget(r.Home)
}

// putBack has all run again what ran before, those first that come after others, unless a gate forbids it.
func (r *rollout) putBack(why error) audit.Entry {
	r.tell("", "back", "failed, and is put back: "+why.Error(), time.Time{})
	ctx := context.Background()
	programs := map[string]string{}
	var changed []*part
	for _, p := range slices.Backward(r.parts) {
		_ = os.Remove(staged(p.Process))
		if sum, err := sumOf(p.Command); err == nil && sum == p.from.SHA256 {
			continue // it was not its turn yet
		}
		changed = append(changed, p)
		if p.from.SHA256 != "" {
			programs[p.Name] = filepath.Join(r.store().Dir, p.Name, p.from.SHA256)
		}
	}
	var failed []error
	if err := r.pass(ctx, programs, false, func(string, string) {}); err != nil {
		failed = append(failed, fmt.Errorf("not put back, since %w", err))
		changed = nil
	}
	for _, p := range changed {
		began := time.Now()
		if err := r.returns(ctx, p, programs[p.Name]); err != nil {
			failed = append(failed, fmt.Errorf("not all was put back: %s: release %s: %w", p.Name, p.from, err))
			continue
		}
		r.tell(p.Name, "back", "release "+p.from.String()+" runs again", began)
	}
	if r.entry.Kind == audit.Deploy {
		for _, p := range r.parts {
			if strings.Contains(why.Error(), p.to.String()) {
				_ = r.store().MarkBad(ctx, p.Name, p.to.SHA256, why.Error())
			}
		}
	}
	forget(r.Home)
	if len(failed) > 0 {
		return r.ended(audit.NotPutBack, fmt.Errorf("%w; %w", why, errors.Join(failed...)))
	}
	return r.ended(audit.PutBack, why)
}

// returns has one process run what it ran before.
func (r *rollout) returns(ctx context.Context, p *part, program string) error {
	if program == "" {
		if err := os.Remove(p.Command); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil // its unit fails, as it did before
	}
	err := stage(program, staged(p.Process))
	if err == nil {
		err = os.Rename(staged(p.Process), p.Command)
	}
	if err != nil {
		return err
	}
	for _, unit := range unitsOf(p.Process) {
		if s, err := r.show(ctx, unit); err == nil && s.active == "active" && s.pid != 0 && s.pid == p.pids[unit] {
			continue // it was never ended
		}
		if err := r.restart(p.Process, unit); err != nil {
			return err
		}
	}
	return nil
}

// ended writes down what became of it.
func (r *rollout) ended(result audit.Result, why error) audit.Entry {
	r.entry.Result, r.entry.Ended = result, time.Now().UTC()
	r.entry.Seconds = time.Since(r.ask.Since).Seconds()
	if why != nil {
		r.entry.Why = why.Error()
	}
	if !r.ask.Check {
		if err := r.Home.Audit().Append(r.entry); err != nil {
			r.entry.Why = strings.TrimPrefix(r.entry.Why+"; "+err.Error(), "; ")
		}
	}
	return r.entry
}

// journal is what the next one has to know of a rollout whose process was killed.
type journal struct {
	Entry audit.Entry    `json:"entry"`
	Since time.Time      `json:"since"`
	PIDs  map[string]int `json:"pids"` // of what ran before, by unit
}

// journalFile is not the manager's: one would not understand the other's.
func journalFile(h home.Home) string { return h.Rollout() + ".systemd" }

func (r *rollout) note() error {
	j := journal{Entry: r.entry, Since: r.ask.Since, PIDs: map[string]int{}}
	for _, p := range r.parts {
		for unit, pid := range p.pids {
			j.PIDs[unit] = pid
		}
	}
	text, err := json.Marshal(j)
	if err == nil {
		err = home.Replace(journalFile(r.Home), text)
	}
	if err != nil {
		return fmt.Errorf("write down how far the deploy is: %w", err)
	}
	return nil
}

func forget(h home.Home) { _ = os.Remove(journalFile(h)) }

// Settle puts back what one has begun that was killed.
func (h *Host) Settle(ctx context.Context) error {
	text, err := os.ReadFile(journalFile(h.Home))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var j journal
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return fmt.Errorf("read how far the deploy before was: %w", err)
	}
	if _, known, err := h.Home.Audit().Find(j.Entry.ID); err != nil || known {
		forget(h.Home) // it was through
		return err
	}
	r := &rollout{Host: h, ask: control.Rollout{Since: j.Since}, entry: j.Entry, tell: func(string, string, string, time.Time) {}}
	for _, c := range j.Entry.Set {
		if spec, ok := h.process(c.Process); ok && c.From.SHA256 != c.To.SHA256 {
			r.parts = append(r.parts, &part{Process: spec, from: c.From, to: c.To, pids: j.PIDs})
		}
	}
	r.order()
	r.putBack(errors.New("its process on the host was killed in the middle of it"))
	return ctx.Err()
}

// lastDeploy is the set of a rollback: the process named, else all of the last deploy that is what runs now.
func (r *rollout) lastDeploy(ctx context.Context) ([]audit.Change, error) {
	all, err := r.Deployables(ctx)
	if err != nil {
		return nil, err
	}
	if name := r.ask.Process; name != "" {
		var to release.Release
		if r.ask.Release != "" {
			to, err = r.store().Find(name, r.ask.Release)
		} else {
			to, err = r.store().RollbackTarget(ctx, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
		}
		return []audit.Change{{Process: name, To: audit.Release{SHA256: to.SHA256}}}, nil
	}
	entries, err := r.Home.Audit().All()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Kind != audit.Deploy || e.Result != audit.Done || len(e.Set) == 0 || slices.ContainsFunc(e.Set, func(c audit.Change) bool {
			return !slices.ContainsFunc(all, func(d control.Deployable) bool { return d.Name == c.Process && d.Live.SHA256 == c.To.SHA256 })
		}) {
			continue
		}
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
	return nil, fmt.Errorf("no deploy is what runs now: %w: name a service", release.ErrNoTarget)
}
