package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/hostsetup"
	"pgo/deploy/pgo/internal/ship"
)

// Exit codes of a deploy, after sysexits.
const (
	ExitRefused       = 65 // nothing that runs was touched
	ExitRolledBack    = 70 // it failed, and all is as it was
	ExitNotRolledBack = 71 // it failed, and not all could be put back
	ExitLost          = 74 // nobody knows: the connection was lost, and the host cannot be asked
	ExitLocked        = 75 // refused since another deploy is under way: try again
)

// shipCode is the exit code for how a deploy ended; 0 where the error is none of a deploy's.
func shipCode(err error) int {
	for of, code := range map[error]int{
		ship.ErrRefused: ExitRefused, ship.ErrLocked: ExitLocked, ship.ErrRolledBack: ExitRolledBack, ship.ErrNotRolledBack: ExitNotRolledBack,
		ship.ErrUnknown: ExitLost, ship.ErrUnreachable: ExitUnavailable, ship.ErrUnavailable: ExitUnavailable,
		hostsetup.ErrRefused: ExitRefused, hostsetup.ErrUnreachable: ExitUnavailable,
	} {
		if errors.Is(err, of) {
			return code
		}
	}
	return 0
}

// remote are the flags of what is done on other hosts.
type remote struct {
	to     []string
	asJSON bool
	ship   ship.Options
}

func (a *app) remoteFlags(c *cobra.Command, r *remote) {
	f := c.Flags()
	f.StringSliceVar(&r.to, "to", nil, "the hosts, as ssh knows them; one after the other, ending at the first that fails")
	f.StringVar(&r.ship.SSH, "ssh", "ssh -T", "the command that reaches a host, its arguments between spaces")
	f.StringVar(&r.ship.Remote, "remote", "pgo receive", "the command there; where the key has a forced one, that is run")
	f.StringVar(&r.ship.Claims, "as", "", "who deploys, for the audit log (default $USER at this machine)")
}

// options completes them.
func (a *app) options(r *remote, report func(ship.Event)) ship.Options {
	o := r.ship
	o.Version, o.Stderr, o.Report, o.Cache = a.build.Version, a.stderr, report, ship.DefaultCache(a.getenv)
	if o.Claims == "" {
		name, err := os.Hostname()
		if err != nil {
			name = "?"
		}
		o.Claims = a.getenv("USER") + "@" + name
	}
	return o
}

func (a *app) deploy() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "deploy [SERVICE...] --to HOST[,HOST...]",
		Short: "send what has changed to a host, and have it run there with no dropped request: all of it or nothing",
		Long: "Sends the programs that the host does not run yet over your own ssh, as the difference to one that it has; has them\n" +
			"proven and asked there, the gates let them run (bootcheck migrates), and then has them take over in the order of their\n" +
			"dependencies. If anything fails until all have served their probation, all is put back.\n\n" +
			"Exit codes: 0 done, or nothing to do; 65 refused, nothing was touched; 69 the host cannot be reached, or pgo does not\n" +
			"run there; 70 failed, and all was put back; 71 failed, and not all could be put back; 74 the connection was lost and\n" +
			"the host cannot be asked what became of it; 75 another deploy is under way; 64, 130 as always.",
		RunE: func(c *cobra.Command, services []string) error {
			r.ship.Services = services
			return a.toEach(c.Context(), &r, ship.Deploy)
		},
	}
	a.remoteFlags(c, &r)
	f := c.Flags()
	f.BoolVar(&r.asJSON, "json", false, "one JSON object a line, for CI")
	f.StringVar(&r.ship.From, "from", "", "folder of the programs: NAME or linux-amd64/NAME in it (default dist, else bin)")
	f.BoolVar(&r.ship.Wait, "wait", false, "wait for another deploy to end, rather than be refused")
	f.BoolVar(&r.ship.DryRun, "dry-run", false, "send and ask, but change nothing: says what would be done, and what bootcheck would migrate")
	f.BoolVar(&r.ship.Again, "again", false, "also a release that was found bad before")
	return c
}

// toEach does something with each host, until one fails.
func (a *app) toEach(ctx context.Context, r *remote, do func(context.Context, string, ship.Options) error) error {
	if len(r.to) == 0 {
		return usageError{errors.New("name a host: --to HOST, as ssh knows it")}
	}
	for n, host := range r.to {
		report := a.telling(len(r.to) > 1)
		if r.asJSON {
			report = func(e ship.Event) { _ = json.NewEncoder(a.stdout).Encode(e) } // who does not read misses it
		}
		if err := do(ctx, host, a.options(r, report)); err != nil {
			if left := r.to[n+1:]; len(left) > 0 {
				err = fmt.Errorf("%w; nothing was done with %s", err, strings.Join(left, ", "))
			}
			return err
		}
	}
	return nil
}

// telling is for people.
func (a *app) telling(several bool) func(ship.Event) {
	return func(e ship.Event) {
		line := fmt.Sprintf("%-12s %-10s %s", e.Process, e.Event, e.Text)
		if e.Event == "result" {
			line = summary(e)
		}
		if e.Seconds >= 0.05 && e.Event != "result" {
			line += fmt.Sprintf(" (%.1f s)", e.Seconds)
		}
		if several {
			line = e.Host + "  " + line
		}
		fmt.Fprintln(a.stdout, strings.TrimRight(line, " "))
	}
}

func summary(e ship.Event) string {
	var changes []string
	for _, c := range e.Result.Changes {
		if c.From.SHA256 != c.To.SHA256 {
			changes = append(changes, fmt.Sprintf("%s %s → %s", c.Process, c.From, c.To))
		}
	}
	if len(changes) == 0 && e.Result.Result != audit.Done {
		return fmt.Sprintf("%s in %.1f s", e.Result.Result, e.Seconds)
	}
	if len(changes) == 0 {
		changes = []string{"nothing to do"}
	}
	if e.DryRun {
		return "nothing was changed; it would be: " + strings.Join(changes, ", ")
	}
	return fmt.Sprintf("%s in %.1f s: %s", e.Result.Result, e.Seconds, strings.Join(changes, ", "))
}
