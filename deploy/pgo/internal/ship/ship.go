// Package ship deploys programs to hosts, over the ssh that the user has anyway, and reports how the hosts roll them out. It
// is the client of `pgo deploy` and `pgo rollback`; package receive is the other end.
package ship

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/ship/wire"
)

// Deploy sends the programs to one host and returns when they run there. It returns one of the errors of this package,
// wrapped with the host and the reason, if they do not.
func Deploy(ctx context.Context, host string, o Options) error {
	return o.run(ctx, host, wire.OpDeploy)
}

// Rollback has one host run earlier releases again. Its errors are those of Deploy.
func Rollback(ctx context.Context, host string, o Options) error {
	return o.run(ctx, host, wire.OpRollback)
}

// run deploys to or rolls back one host, and returns the error for its result.
func (o Options) run(ctx context.Context, host, operation string) error {
	s := &session{Options: o, host: host, id: newID()}
	conn, err := o.dial(ctx, host, wire.Hello{
		Protocol: wire.Protocol, Version: o.Version, Operation: operation, ID: s.id, Claims: o.Claims,
		Wait: o.Wait, DryRun: o.DryRun, Again: o.Again, Process: o.Process, Release: o.Release,
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %w", host, ErrUnreachable, err)
	}
	s.conn = conn
	defer func() { _ = conn.close() }() // the result is known by then
	result, step, err := s.exchange(operation)
	switch {
	case result != nil:
		s.report(Event{Event: "result", Result: result, Text: result.Reason, Seconds: result.Seconds, Sent: conn.sent.total()})
		return s.resultError(*result, step)
	case errors.Is(err, errLocal):
		return fmt.Errorf("%s: %w", host, err)
	case step == "": // the host never answered
		return fmt.Errorf("%s: %w: %w", host, ErrUnreachable, conn.wrapError(err))
	}
	err = conn.wrapError(err)
	s.report(Event{Event: "lost", Text: err.Error()})
	return s.queryOutcome(ctx, err)
}

// exchange sends the set and reports the host's progress until its result. step is the last one that the host reported, or
// "" where it reported nothing at all.
func (s *session) exchange(operation string) (result *audit.Entry, step string, err error) {
	for {
		var report wire.Report
		if err := s.conn.Conn.Receive(&report); err != nil {
			return nil, step, err
		}
		switch {
		case report.Result != nil:
			return report.Result, report.Step, nil
		case report.Welcome != nil:
			step = "welcome"
			if report.Welcome.Protocol != wire.Protocol {
				return nil, step, fmt.Errorf("%w: the host has pgo %s, this is %s: run pgo upgrade there", errLocal, report.Welcome.Version, s.Options.Version)
			}
			s.report(Event{Event: "host", Text: fmt.Sprintf("pgo %s on %s/%s, as %s", report.Welcome.Version, report.Welcome.OS, report.Welcome.Arch, report.Welcome.By)})
			if operation == wire.OpDeploy {
				if err := s.sendSet(report.Welcome); err != nil {
					if errors.Is(err, wire.ErrLost) { // the host may have sent the reason before
						for s.conn.Conn.Receive(&report) == nil {
							if report.Result != nil {
								return report.Result, report.Step, nil
							}
						}
					}
					return nil, step, err
				}
			}
		default:
			step = report.Step
			s.report(Event{Event: report.Step, Process: report.Process, Text: report.Text, Seconds: report.Seconds})
		}
	}
}

// resultError returns the error for the result of the host, or nil where it is done.
func (s *session) resultError(e audit.Entry, step string) error {
	err := map[audit.Result]error{audit.Refused: ErrRefused, audit.RolledBack: ErrRolledBack, audit.NotRolledBack: ErrNotRolledBack}[e.Result]
	switch {
	case e.Result == audit.Done:
		return nil
	case err == nil:
		return fmt.Errorf("%s: %w: the result is %q", s.host, wire.ErrProtocol, e.Result)
	case step == "locked":
		err = ErrLocked
	case step == "unavailable":
		err = ErrUnavailable
	}
	return fmt.Errorf("%s: %w: %s", s.host, err, e.Reason)
}

// queryOutcome asks for the result of the deploy on another connection, after the first was lost.
func (s *session) queryOutcome(ctx context.Context, lost error) error {
	const attempts = 4
	for n := range attempts {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: interrupted: the host rolls back", s.host)
		case <-time.After(time.Duration(n) * time.Second):
		}
		conn, err := s.Options.dial(ctx, s.host, wire.Hello{Protocol: wire.Protocol, Version: s.Options.Version, Operation: wire.OpOutcome, ID: s.id})
		if err != nil {
			continue
		}
		var report wire.Report
		err = conn.Conn.Receive(&report)
		_ = conn.close()
		if err != nil || report.Welcome == nil {
			continue
		}
		if len(report.Welcome.Deploys) == 0 {
			return fmt.Errorf("%s: %w: %w", s.host, ErrRefused, lost) // it ended before it changed anything
		}
		e := report.Welcome.Deploys[0]
		s.report(Event{Event: "result", Result: &e, Text: e.Reason, Seconds: e.Seconds})
		return s.resultError(e, "")
	}
	return fmt.Errorf("%s: %w: %w", s.host, ErrUnknown, lost)
}
