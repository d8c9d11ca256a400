// Package hostsetup makes a bare Linux machine one that pgo deploys to: a user, folders, a key that can only deploy, a
// unit or a container that runs pgo, and a firewall that leaves only SSH and the gateway open. What it would do is known
// before anything is done, and what is done already is left alone.
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

// What runs pgo, and what filters.
const (
	Systemd   = "systemd"
	Container = "container"
	NFTables  = "nftables"
	None      = "none"
)

// ErrRefused is the error where nothing was changed, since it may not be, or cannot.
var ErrRefused = errors.New("refused: nothing was changed")

// Options are what the machine is to become.
type Options struct {
	Root     string // of the file system: / is this machine, else an image in which nothing is started
	Dir      string // pgo's folder: bin/, configs/, .pgo/
	User     string // whom pgo and the services run as
	Program  string // the pgo that is put there
	Key      string // a public key that may deploy, a line as in authorized_keys; empty: none
	Gateway  []int  // ports that stay open
	SSH      []int  // ports of sshd; none: as sshd says
	Firewall string // NFTables or None
	Run      string // Systemd or Container; empty: what there is
	Image    string // of the container
}

// Machine is how it is looked at and changed.
type Machine struct {
	UID     int
	Getenv  func(string) string
	Command func(ctx context.Context, name string, args ...string) (string, error) // returns what it printed
}

// Action is one thing that is to be done.
type Action interface {
	// Done tells whether it is done already. It changes nothing.
	Done(ctx context.Context) (bool, error)
	// Do does it.
	Do(ctx context.Context) error
	// String is the command that does the same.
	String() string
}

// Step is what belongs together.
type Step struct {
	What    string
	Actions []Action
}

// Plan is what is left to do, in order.
type Plan []Step

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	wrong := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(filepath.IsAbs(o.Root), "--root %q: expected an absolute path", o.Root)
	wrong(folderForm.MatchString(o.Dir) && filepath.Clean(o.Dir) == o.Dir && strings.Count(o.Dir, "/") > 1,
		"--dir %q: expected an absolute path of a-z, A-Z, 0-9, - . _ and at least two folders, as /srv/pgo", o.Dir)
	wrong(userForm.MatchString(o.User) && o.User != "root", "--user %q: expected a name of a-z, 0-9, - and _ that is not root", o.User)
	wrong(o.Key == "" || keyForm.MatchString(o.Key), "the key: expected one line with a public key, as ssh-keygen writes into id_ed25519.pub")
	wrong(o.Firewall == None || len(o.Gateway) > 0, "--gateway: expected at least one port, or --firewall none")
	for _, port := range slices.Concat(o.Gateway, o.SSH) {
		wrong(port > 0 && port < 1<<16, "%d is no port", port)
	}
	wrong(slices.Contains([]string{NFTables, None}, o.Firewall), "--firewall %q: expected nftables or none", o.Firewall)
	wrong(slices.Contains([]string{"", Systemd, Container}, o.Run), "--run %q: expected systemd or container", o.Run)
	wrong(imageForm.MatchString(o.Image), "--image %q: expected the name of an image", o.Image)
	return errors.Join(errs...)
}

var (
	folderForm = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
	userForm   = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	keyForm    = regexp.MustCompile(`^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n"]*)?$`)
	imageForm  = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._/:@-]*$`)
)

// setup is one look at a machine.
type setup struct {
	Options Options
	Machine Machine
}

// path is where a file of the machine is for us.
func (s *setup) path(name string) string { return filepath.Join(s.Options.Root, name) }

// image tells whether it is not this machine that is set up.
func (s *setup) image() bool { return s.Options.Root != "/" }

// Look finds out what is to be done. It changes nothing. The error is ErrRefused where something may not be done; it
// names all that is in the way.
func Look(ctx context.Context, o Options, m Machine) (Plan, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &setup{o, m}
	var errs []error
	if !s.image() && s.Machine.UID != 0 {
		errs = append(errs, errors.New("it takes root: log in as root, or use --sudo"))
	}
	account, err := s.account()
	steps := []Step{account, s.folders()}
	errs = append(errs, err)
	key, err := s.key()
	steps, errs = append(steps, key), append(errs, err)
	// The firewall comes before what it guards.
	if s.Options.Firewall == NFTables {
		fire, err := s.firewall(ctx)
		steps, errs = append(steps, fire), append(errs, err)
	}
	running, err := s.running(ctx)
	steps, errs = append(steps, running), append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w:\n%w", ErrRefused, err)
	}
	return left(ctx, steps)
}

// left is what is not done yet.
func left(ctx context.Context, steps []Step) (Plan, error) {
	var plan Plan
	for _, step := range steps {
		rest := Step{What: step.What}
		for _, a := range step.Actions {
			done, err := a.Done(ctx)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrRefused, step.What, err)
			}
			if _, acts := a.(*command); !done || acts && a.(*command).after && len(rest.Actions) > 0 {
				rest.Actions = append(rest.Actions, a)
			}
		}
		if len(rest.Actions) > 0 {
			plan = append(plan, rest)
		}
	}
	return plan, nil
}

// Print writes the plan as the commands that do the same.
func (p Plan) Print(w io.Writer) {
	for n, step := range p {
		fmt.Fprintf(w, "# %d. %s\n", n+1, step.What)
		for _, a := range step.Actions {
			fmt.Fprintln(w, a)
		}
		fmt.Fprintln(w)
	}
}

// Apply does it, one after the other, and ends at the first that fails: what was done stays, and the next run goes on
// from there.
func (p Plan) Apply(ctx context.Context, tell func(what string)) error {
	for _, step := range p {
		for _, a := range step.Actions {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := a.Do(ctx); err != nil {
				return fmt.Errorf("%s: %w; what was done before stays, and another run goes on from there", step.What, err)
			}
		}
		tell(step.What)
	}
	return nil
}

// folders are pgo's, and its program.
func (s *setup) folders() Step {
	own := func(name string, mode os.FileMode) Action {
		return &folder{s, filepath.Join(s.Options.Dir, name), s.Options.User, mode}
	}
	return Step{"pgo's folder " + s.Options.Dir, []Action{
		own("", 0o755), own("bin", 0o755), own("configs", 0o755), own(".pgo", 0o700),
		&file{setup: s, name: filepath.Join(s.Options.Dir, "bin", "pgo"), from: s.Options.Program, owner: s.Options.User, mode: 0o755},
	}}
}
