// Package receive is what `pgo receive` does on a host: the other end of `pgo deploy`, over the stdin and stdout of an SSH
// session. It can be a key's forced command: whoever has that key can deploy, roll back and see releases, and nothing
// else.
package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship/units"
	"pgo/deploy/pgo/internal/ship/wire"
)

// Options are how it was started.
type Options struct {
	Home    home.Home
	Version string
	As      string // who has the key, as the forced command says; else the user that is logged in
	Getenv  func(string) string
	Stdin   io.Reader
	Stdout  io.Writer
	Units   *units.Host // systemd runs the services; nil: pgo does
}

// runner has releases run: pgo's manager, or systemd.
type runner interface {
	ListDeployables(ctx context.Context) ([]control.Deployable, error)
	RunRollout(ctx context.Context, ask control.RolloutRequest, tell func(control.Progress)) (audit.Entry, error)
}

// ErrWrongCommand is the error where the key was used for something else.
var ErrWrongCommand = errors.New("this key is for pgo deploy only")

// allowedCommand matches the command that a client may ask for where another one is forced.
var allowedCommand = regexp.MustCompile(`^[A-Za-z0-9_./-]*pgo receive( --systemd| --(home|file)[ =][A-Za-z0-9_./-]+)*$`)

// claimForm matches what a person or a machine may call itself.
var claimForm = regexp.MustCompile(`^[\w.@+ -]{1,100}$`)

// session is one conversation.
type session struct {
	Options     Options
	conn        *wire.Conn
	hello       wire.Hello
	startedAt   time.Time
	entry       audit.Entry
	deployables []control.Deployable
}

// Run has one conversation, and returns when it is over and all is at rest.
func Run(ctx context.Context, o Options) error {
	if command := o.Getenv("SSH_ORIGINAL_COMMAND"); command != "" && !allowedCommand.MatchString(command) {
		return ErrWrongCommand
	}
	conn, ctx := wire.Open(ctx, o.Stdin, o.Stdout)
	s := &session{Options: o, conn: conn, startedAt: time.Now()}
	if err := conn.Receive(&s.hello); err != nil {
		return fmt.Errorf("hear from who deploys: %w", err)
	}
	s.entry = audit.Entry{ID: s.hello.ID, Kind: s.hello.Operation, User: s.identity(), Addr: s.clientAddress(), Changes: []audit.Change{}}
	if claimForm.MatchString(s.hello.Claims) {
		s.entry.ClaimedUser = s.hello.Claims
	}
	welcome := wire.Welcome{Protocol: wire.Protocol, Version: o.Version, OS: runtime.GOOS, Arch: runtime.GOARCH, By: s.entry.User}
	if s.hello.Protocol != wire.Protocol || !idForm.MatchString(s.hello.ID) {
		return errors.Join(conn.Send(wire.Report{Welcome: &welcome}), fmt.Errorf("%w: it is of version %s", wire.ErrProtocol, s.hello.Version))
	}
	switch s.hello.Operation {
	case wire.OpReleases:
		return s.sendReleases(welcome)
	case wire.OpOutcome:
		return s.sendOutcome(ctx, welcome)
	case wire.OpDeploy, wire.OpRollback:
		return s.deploy(ctx, welcome)
	}
	return fmt.Errorf("%w: it asks for %q", wire.ErrProtocol, s.hello.Operation)
}

// idForm is that of the IDs that clients make.
var idForm = regexp.MustCompile(`^[0-9a-f-]{8,64}$`)

func (s *session) identity() string {
	return cmp.Or(s.Options.As, s.Options.Getenv("USER"), s.Options.Getenv("LOGNAME"), fmt.Sprintf("uid %d", os.Getuid()))
}

// clientAddress is the address that the session comes from.
func (s *session) clientAddress() string {
	address, _, _ := strings.Cut(s.Options.Getenv("SSH_CONNECTION"), " ")
	return address
}

// deploy is a deploy or a rollback, from the lock to the result.
func (s *session) deploy(ctx context.Context, welcome wire.Welcome) error {
	if s.hello.DryRun {
		s.entry.Kind = wire.OpDeploy
	}
	l, err := acquireLock(ctx, s.Options.Home, lockHolder{Entry: s.entry, Since: s.startedAt, PID: os.Getpid()}, s.hello.Wait, func(text string) error {
		return s.conn.Send(wire.Report{Step: "waits", Text: text})
	})
	if err != nil {
		return s.refuse(err)
	}
	defer l.unlock()
	client, all, err := s.awaitRunner(ctx)
	if err == nil {
		err = l.clearStale()
	}
	if errors.Is(err, control.ErrNotRunning) {
		err = fmt.Errorf("%w for %s: start it there with pgo up", err, s.Options.Home)
	}
	if err != nil {
		return s.refuse(err)
	}
	s.deployables = all
	for _, d := range all {
		welcome.Processes = append(welcome.Processes, wire.Process{Name: d.Name, File: filepath.Base(d.File), Current: d.Current.SHA256, Releases: d.Releases})
	}
	if err := s.conn.Send(wire.Report{Welcome: &welcome}); err != nil {
		return s.refuse(err)
	}
	if s.hello.Operation == wire.OpDeploy {
		if err := s.receiveSet(ctx); err != nil {
			return s.refuse(err)
		}
	}
	entry, err := client.RunRollout(ctx, control.RolloutRequest{
		Entry: s.entry, Since: s.startedAt, Process: s.hello.Process, Release: s.hello.Release, AllowFailed: s.hello.Again, CheckOnly: s.hello.DryRun,
	}, func(p control.Progress) {
		_ = s.conn.Send(wire.Report{Process: p.Process, Step: p.Step, Text: p.Text, Seconds: p.Seconds}) // the end of the session tells as well
	})
	if err == nil {
		return s.conn.Send(wire.Report{Result: &entry})
	}
	// The manager ended, or the client has gone: how it went is in the audit log when the manager is through with it.
	waiting, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer stop()
	_, _, settling := s.awaitRunner(waiting)
	found, known, reading := s.Options.Home.AuditLog().Find(s.entry.ID)
	if known {
		return s.conn.Send(wire.Report{Result: &found})
	}
	return s.refuse(errors.Join(err, settling, reading))
}

// refuse writes down that it was refused, where the manager does not, and tells the other side.
func (s *session) refuse(why error) error {
	s.entry.Result, s.entry.Reason, s.entry.Ended = audit.Refused, why.Error(), time.Now().UTC()
	s.entry.Seconds = time.Since(s.startedAt).Seconds()
	if !s.hello.DryRun {
		if err := s.Options.Home.AuditLog().Append(s.entry); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.entry.Reason += "; " + err.Error()
		}
	}
	said := wire.Report{Result: &s.entry}
	if errors.Is(why, ErrLocked) {
		said.Step = "locked"
	}
	if errors.Is(why, control.ErrNotRunning) {
		said.Step = "unavailable"
	}
	return s.conn.Send(said)
}

// receiveSet takes the plan and the files of it into the store. Nothing that runs is touched.
func (s *session) receiveSet(ctx context.Context) error {
	var plan wire.Plan
	if err := s.conn.Receive(&plan); err != nil {
		return err
	}
	for _, f := range plan.Set {
		d := slices.IndexFunc(s.deployables, func(d control.Deployable) bool { return d.Name == f.Process })
		if d < 0 || !sumForm.MatchString(f.SHA256) || f.Size < 0 || f.Size > maxProgramSize {
			return fmt.Errorf("%w: the plan names %q with %d bytes", wire.ErrProtocol, f.Process, f.Size)
		}
		s.entry.Changes = append(s.entry.Changes, audit.Change{Process: f.Process, From: s.deployables[d].Current, To: audit.Release{SHA256: f.SHA256}})
	}
	for _, f := range plan.Set {
		if f.Sent {
			if err := s.receiveProgram(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxProgramSize is far above what a program has.
const maxProgramSize = 2 << 30

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// sendReleases tells which there are.
func (s *session) sendReleases(welcome wire.Welcome) error {
	store := release.Store{Dir: s.Options.Home.ReleaseDir()}
	names, err := store.ProcessNames()
	if err != nil {
		return err
	}
	for _, name := range names {
		of, err := store.List(name)
		if err != nil {
			return err
		}
		welcome.Releases = append(welcome.Releases, of...)
	}
	if welcome.Deploys, err = s.Options.Home.AuditLog().List(); err != nil {
		return err
	}
	welcome.Deploys = welcome.Deploys[:min(maxDeploys, len(welcome.Deploys))]
	return s.conn.Send(wire.Report{Welcome: &welcome})
}

// maxDeploys is how many of the audit log's entries are told.
const maxDeploys = 20

// sendOutcome tells how the deploy ended whose connection was lost, once it has.
func (s *session) sendOutcome(ctx context.Context, welcome wire.Welcome) error {
	me := lockHolder{Entry: audit.Entry{Kind: "looking", User: s.entry.User}, Since: s.startedAt, PID: os.Getpid()}
	l, err := acquireLock(ctx, s.Options.Home, me, true, func(string) error { return nil })
	if err != nil {
		return err
	}
	defer l.unlock()
	_, _, err = s.awaitRunner(ctx)
	if err == nil {
		err = l.clearStale()
	}
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	e, known, err := s.Options.Home.AuditLog().Find(s.hello.ID)
	if err != nil {
		return err
	}
	if known {
		welcome.Deploys = []audit.Entry{e}
	}
	return s.conn.Send(wire.Report{Welcome: &welcome})
}
