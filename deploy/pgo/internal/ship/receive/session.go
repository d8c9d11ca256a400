// Package receive is the other end of `pgo deploy` on a host: `pgo receive`, over the stdin and stdout of an SSH session. It
// can be the forced command of a key: the owner of that key can deploy, roll back and see releases, and nothing else.
package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/ship/wire"
	"pgo/deploy/pgo/internal/systemd"
)

// Options configures a session.
type Options struct {
	Home    home.Home
	Version string
	As      string // owner of the key, as the forced command names it; default the user who is logged in
	Getenv  func(string) string
	Stdin   io.Reader
	Stdout  io.Writer
	Units   *systemd.Machine // where systemd runs the services; nil: pgo runs them
}

// ErrWrongCommand is returned where the key was used for another command.
var ErrWrongCommand = errors.New("this key is for pgo deploy only")

// allowedCommand matches the commands that a client may ask for where sshd forces pgo receive.
var allowedCommand = regexp.MustCompile(`^[A-Za-z0-9_./-]*pgo receive( --systemd| --(home|file)[ =][A-Za-z0-9_./-]+)*$`)

// claimForm matches the names that a client may call itself.
var claimForm = regexp.MustCompile(`^[\w.@+ -]{1,100}$`)

// session is one session of a client.
type session struct {
	Options     Options
	conn        *wire.Conn
	hello       wire.Hello
	startedAt   time.Time
	entry       audit.Entry
	deployables []control.Deployable
}

// Run serves one session. It returns when the session is over and the host is in a stable state: deployed, rolled back or
// unchanged.
func Run(ctx context.Context, o Options) error {
	if err := o.checkCommand(); err != nil {
		return err
	}
	conn, ctx := wire.Open(ctx, o.Stdin, o.Stdout)
	s := &session{Options: o, conn: conn, startedAt: time.Now()}
	if err := conn.Receive(&s.hello); err != nil {
		return fmt.Errorf("read the hello of the client: %w", err)
	}
	s.entry = audit.Entry{ID: s.hello.ID, Kind: s.hello.Operation, User: s.identity(), Addr: s.clientAddress(), Changes: []audit.Change{}}
	if claimForm.MatchString(s.hello.Claims) {
		s.entry.ClaimedUser = s.hello.Claims
	}
	welcome := wire.Welcome{Protocol: wire.Protocol, Version: o.Version, OS: runtime.GOOS, Arch: runtime.GOARCH, By: s.entry.User}
	if s.hello.Protocol != wire.Protocol || !idForm.MatchString(s.hello.ID) {
		return errors.Join(conn.Send(wire.Report{Welcome: &welcome}), fmt.Errorf("%w: its version is %s", wire.ErrProtocol, s.hello.Version))
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

// idForm matches the IDs that clients choose.
var idForm = regexp.MustCompile(`^[0-9a-f-]{8,64}$`)

// identity returns the name of the client in the audit log.
func (s *session) identity() string {
	return cmp.Or(s.Options.As, s.Options.Getenv("USER"), s.Options.Getenv("LOGNAME"), fmt.Sprintf("uid %d", os.Getuid()))
}

// clientAddress returns the IP address of the client, or "" where the session does not come from sshd.
func (s *session) clientAddress() string {
	address, _, _ := strings.Cut(s.Options.Getenv("SSH_CONNECTION"), " ")
	return address
}

// checkCommand returns ErrWrongCommand if the client asked sshd for another command than the forced one.
func (o Options) checkCommand() error {
	if command := o.Getenv("SSH_ORIGINAL_COMMAND"); command != "" && !allowedCommand.MatchString(command) {
		return ErrWrongCommand
	}
	return nil
}
