// Package hostsetup makes a bare Linux machine one that pgo deploys to: a user, directories, a key that can only deploy, a
// unit or a container that runs pgo, and a firewall that leaves only SSH and the gateway open. The whole plan is known
// before anything is changed, and whatever is in place already is left alone.
package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrRefused is returned where nothing was changed, because it may not or cannot be.
var ErrRefused = errors.New("refused: nothing was changed")

// Plan lists the steps that are left to do, in order.
type Plan []Step

// NewPlan returns the steps that are left to do. It changes nothing. The error is ErrRefused where a step may not or cannot
// be done; it names every obstacle.
func NewPlan(ctx context.Context, o Options, m Machine) (Plan, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	p := &planner{o, m}
	var errs []error
	if !p.isImage() && p.Machine.UID != 0 {
		errs = append(errs, errors.New("it takes root: log in as root, or use --sudo"))
	}
	account, err := p.planAccount()
	steps := []Step{account, p.planDirectories()}
	errs = append(errs, err)
	key, err := p.planKey()
	steps, errs = append(steps, key), append(errs, err)
	// The firewall comes before what it guards.
	if p.Options.Firewall == NFTables {
		firewall, err := p.planFirewall(ctx)
		steps, errs = append(steps, firewall), append(errs, err)
	}
	limit, err := p.planLimit()
	steps, errs = append(steps, limit), append(errs, err)
	runner, err := p.planRunner(ctx)
	steps, errs = append(steps, runner), append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w:\n%w", ErrRefused, err)
	}
	return pendingSteps(ctx, steps)
}

// pendingSteps returns the steps with the actions that are not done yet.
func pendingSteps(ctx context.Context, steps []Step) (Plan, error) {
	var plan Plan
	for _, step := range steps {
		pending := Step{Purpose: step.Purpose}
		for _, a := range step.Actions {
			isDone, err := a.IsDone(ctx)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrRefused, step.Purpose, err)
			}
			c, isCommand := a.(*command)
			if !isDone || isCommand && c.runsAfterChange && len(pending.Actions) > 0 {
				pending.Actions = append(pending.Actions, a)
			}
		}
		if len(pending.Actions) > 0 {
			plan = append(plan, pending)
		}
	}
	return plan, nil
}

// Print writes the plan as shell commands that do the same.
func (p Plan) Print(w io.Writer) {
	for n, step := range p {
		fmt.Fprintf(w, "# %d. %s\n", n+1, step.Purpose)
		for _, a := range step.Actions {
			fmt.Fprintln(w, a)
		}
		fmt.Fprintln(w)
	}
}

// Apply runs the actions one after the other and ends at the first that fails: earlier changes stay, and another run goes
// on from there. report gets the purpose of each step that is done.
func (p Plan) Apply(ctx context.Context, report func(purpose string)) error {
	for _, step := range p {
		for _, a := range step.Actions {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := a.Apply(ctx); err != nil {
				return fmt.Errorf("%s: %w; what was done before stays, and another run goes on from there", step.Purpose, err)
			}
		}
		report(step.Purpose)
	}
	return nil
}

// planDirectories plans pgo's directories and its program.
func (p *planner) planDirectories() Step {
	owned := func(name string, mode os.FileMode) Action {
		return &directory{p, filepath.Join(p.Options.Dir, name), p.Options.User, mode}
	}
	return Step{"pgo's directory " + p.Options.Dir, []Action{
		owned("", 0o755), owned("bin", 0o755), owned("configs", 0o755), owned(".pgo", 0o700),
		&file{planner: p, name: filepath.Join(p.Options.Dir, "bin", "pgo"), from: p.Options.Program, owner: p.Options.User, mode: 0o755},
	}}
}
