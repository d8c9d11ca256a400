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
	"regexp"
	"slices"
	"strings"
)

// Values of Options.Run and Options.Firewall.
const (
	Systemd   = "systemd"
	Container = "container"
	NFTables  = "nftables"
	None      = "none"
)

// ErrRefused is returned where nothing was changed, because it may not or cannot be.
var ErrRefused = errors.New("refused: nothing was changed")

// Options describes the machine that the setup arrives at.
type Options struct {
	Root     string // directory of the file system: / is this machine, else an image, in which nothing is started
	Dir      string // pgo's directory: bin/, configs/, .pgo/
	User     string // runs pgo and the services
	Program  string // path of the pgo that is installed
	Key      string // a public key that may deploy, a line as in authorized_keys; empty: none
	Gateway  []int  // ports of the gateway, which stay open
	SSH      []int  // ports of sshd, which stay open; none: as sshd reports them
	Firewall string // NFTables or None
	Run      string // Systemd or Container; empty: whichever the machine has
	Image    string // of the container
}

// Machine is the access to the machine.
type Machine struct {
	UID     int
	Getenv  func(string) string
	Command func(ctx context.Context, name string, args ...string) (string, error) // returns its output
}

// Action is one change of the machine.
type Action interface {
	// IsDone reports whether nothing is left to change. It changes nothing.
	IsDone(ctx context.Context) (bool, error)
	// Apply makes the change.
	Apply(ctx context.Context) error
	// String returns a shell command that does the same.
	String() string
}

// Step is a group of actions with one purpose.
type Step struct {
	Purpose string
	Actions []Action
}

// Plan lists the steps that are left to do, in order.
type Plan []Step

// Validate returns an error that names everything that is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(filepath.IsAbs(o.Root), "--root %q: expected an absolute path", o.Root)
	require(dirForm.MatchString(o.Dir) && filepath.Clean(o.Dir) == o.Dir && strings.Count(o.Dir, "/") > 1,
		"--dir %q: expected an absolute path of a-z, A-Z, 0-9, - . _ and at least two directories, as /srv/pgo", o.Dir)
	require(userForm.MatchString(o.User) && o.User != "root", "--user %q: expected a name of a-z, 0-9, - and _ that is not root", o.User)
	require(o.Key == "" || keyForm.MatchString(o.Key), "the key: expected one line with a public key, as ssh-keygen writes into id_ed25519.pub")
	require(o.Firewall == None || len(o.Gateway) > 0, "--gateway: expected at least one port, or --firewall none")
	for _, port := range slices.Concat(o.Gateway, o.SSH) {
		require(port > 0 && port < 1<<16, "%d is not a port", port)
	}
	require(slices.Contains([]string{NFTables, None}, o.Firewall), "--firewall %q: expected nftables or none", o.Firewall)
	require(slices.Contains([]string{"", Systemd, Container}, o.Run), "--run %q: expected systemd or container", o.Run)
	require(imageForm.MatchString(o.Image), "--image %q: expected the name of an image", o.Image)
	return errors.Join(errs...)
}

var (
	dirForm   = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
	userForm  = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	keyForm   = regexp.MustCompile(`^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n"]*)?$`)
	imageForm = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._/:@-]*$`)
)

// planner finds out what is left to do on a machine.
type planner struct {
	Options Options
	Machine Machine
}

// hostPath returns where this process finds a file of the machine.
func (p *planner) hostPath(name string) string { return filepath.Join(p.Options.Root, name) }

// isImage reports whether an image is set up rather than this machine.
func (p *planner) isImage() bool { return p.Options.Root != "/" }

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
