package cmd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/ship"
	"pgo/deploy/pgo/internal/terminal"
)

// remote has the flags of commands that run on other hosts.
type remote struct {
	hosts  []string
	asJSON bool
	ship   ship.Options
}

func (r *remote) addFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&r.hosts, "to", nil, "the hosts, as ssh knows them; one after the other, until one fails")
	f.StringVar(&r.ship.SSH, "ssh", "ssh -T", "the command that reaches a host, with its arguments separated by spaces")
	f.StringVar(&r.ship.Remote, "remote", "pgo receive", "the command to run there; a key's forced command replaces it")
	f.StringVar(&r.ship.Claims, "as", "", "who deploys, for the audit log (default $USER at this machine)")
}

// checkEachHost runs a check on all hosts, where there are several, before anything is done with the first.
func (r *remote) checkEachHost(ctx context.Context, e *env, check func(context.Context, string, ship.Options) error) error {
	if len(r.hosts) < 2 || r.ship.DryRun {
		return nil
	}
	for _, host := range r.hosts {
		if err := check(ctx, host, r.shipOptions(e, func(ship.Event) {})); err != nil {
			return fmt.Errorf("%w; nothing was done with any host: all are checked before", err)
		}
		if !r.asJSON {
			fmt.Fprintf(e.stdout, "%s  checked\n", host)
		}
	}
	return nil
}

// runOnEachHost runs a command on one host after the other, until one fails.
func (r *remote) runOnEachHost(ctx context.Context, e *env, run func(context.Context, string, ship.Options) error) error {
	if len(r.hosts) == 0 {
		return usageErrorf("name a host: --to HOST, as ssh knows it")
	}
	report := newEventPrinter(e, len(r.hosts) > 1)
	if r.asJSON {
		report = func(event ship.Event) { _ = e.encodeJSON(event, "") } // a reader that is gone stops no deploy
	}
	for n, host := range r.hosts {
		if err := run(ctx, host, r.shipOptions(e, report)); err != nil {
			if left := r.hosts[n+1:]; len(left) > 0 {
				err = fmt.Errorf("%w; nothing was done with %s", err, strings.Join(left, ", "))
			}
			return err
		}
	}
	return nil
}

// shipOptions returns the options of the flags, with those that are not flags.
func (r *remote) shipOptions(e *env, report func(ship.Event)) ship.Options {
	o := r.ship
	o.Version, o.Stderr, o.Report, o.Cache = e.build.Version, e.stderr, report, ship.DefaultCache(e.getenv)
	if o.Claims == "" {
		name, err := os.Hostname()
		if err != nil {
			name = "?"
		}
		o.Claims = e.getenv("USER") + "@" + name
	}
	return o
}

// newEventPrinter returns a function that prints the events of deploys for people, with the host where there are several.
func newEventPrinter(e *env, several bool) func(ship.Event) {
	return func(event ship.Event) {
		line := fmt.Sprintf("%-12s %-10s %s", event.Process, event.Event, event.Text)
		if event.Event == "result" {
			line = summarize(event)
		}
		if event.Seconds >= 0.05 && event.Event != "result" {
			line += fmt.Sprintf(" (%.1f s)", event.Seconds)
		}
		if several {
			line = event.Host + "  " + line
		}
		_ = terminal.PrintLine(e.stdout, "%s", line)
	}
}

// summarize returns the last line of a deploy: its result, duration and changes.
func summarize(result ship.Event) string {
	var changes []string
	for _, c := range result.Result.Changes {
		if c.From.SHA256 != c.To.SHA256 {
			changes = append(changes, fmt.Sprintf("%s %s → %s", c.Process, c.From, c.To))
		}
	}
	if len(changes) == 0 && result.Result.Result != audit.Done {
		return fmt.Sprintf("%s in %.1f s", result.Result.Result, result.Seconds)
	}
	if len(changes) == 0 {
		changes = []string{"nothing to do"}
	}
	if result.DryRun {
		return "nothing was changed; it would be: " + strings.Join(changes, ", ")
	}
	return fmt.Sprintf("%s in %.1f s: %s", result.Result.Result, result.Seconds, strings.Join(changes, ", "))
}
