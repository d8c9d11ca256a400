// Package ship is `pgo deploy`: it brings programs to hosts, over the ssh that the user has anyway, and tells what
// becomes of them there.
package ship

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/ship/delta"
	"pgo/deploy/pgo/internal/ship/wire"
)

// Options are what a deploy is made with.
type Options struct {
	SSH      string   // the command that reaches a host, with its arguments
	Remote   string   // the command there
	From     string   // folder of the programs: of NAME, or linux-amd64/NAME; "" is dist, else bin
	Services []string // processes; none: all that the host can be given
	Claims   string   // who deploys
	Wait     bool
	DryRun   bool
	Again    bool
	Version  string // of pgo
	Process  string // of a rollback
	Release  string // of a rollback
	Cache    Cache
	Stderr   io.Writer // what ssh says
	Report   func(Event)
}

// Event is something that is told while a deploy goes on.
type Event struct {
	Time    time.Time    `json:"ts"`
	Host    string       `json:"host"`
	ID      string       `json:"id,omitempty"`
	Event   string       `json:"event"` // host, waits, sent, unchanged, stored, checked, gate, plan, runs, log, probation, good, back, lost, result
	Process string       `json:"process,omitempty"`
	Text    string       `json:"text,omitempty"`
	Seconds float64      `json:"seconds,omitempty"`
	Bytes   int64        `json:"bytes,omitempty"` // sent for a program
	Size    int64        `json:"size,omitempty"`  // of it
	Result  *audit.Entry `json:"result,omitempty"`
	DryRun  bool         `json:"dry_run,omitempty"`
	Sent    int64        `json:"bytes_sent,omitempty"` // over the whole session, before ssh has encrypted it
}

// Errors of a deploy.
var (
	ErrRefused       = errors.New("refused: nothing that runs was touched")
	ErrLocked        = errors.New("refused: another deploy is under way")
	ErrUnavailable   = errors.New("pgo does not run on the host")
	ErrRolledBack    = errors.New("failed, and all was put back")
	ErrNotRolledBack = errors.New("failed, and not all could be put back")
	ErrUnknown       = errors.New("the connection was lost, and it is not known what became of it: pgo releases --to shows it")
)

// session is one deploy or rollback to one host.
type session struct {
	Options Options
	host    string
	id      string
	conn    *connection
}

// Deploy brings the programs to one host.
func Deploy(ctx context.Context, host string, o Options) error {
	return o.run(ctx, host, wire.OpDeploy)
}

// Rollback has the host run again what it ran before.
func Rollback(ctx context.Context, host string, o Options) error {
	return o.run(ctx, host, wire.OpRollback)
}

func (o Options) run(ctx context.Context, host, ask string) error {
	t := &session{Options: o, host: host, id: newID()}
	s, err := o.dial(ctx, host, wire.Hello{
		Protocol: wire.Protocol, Version: o.Version, Operation: ask, ID: t.id, Claims: o.Claims,
		Wait: o.Wait, DryRun: o.DryRun, Again: o.Again, Process: o.Process, Release: o.Release,
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %w", host, ErrUnreachable, err)
	}
	t.conn = s
	defer func() { _ = s.close() }() // how it went is known by then
	result, step, err := t.exchange(ask)
	switch {
	case result != nil:
		t.report(Event{Event: "result", Result: result, Text: result.Reason, Seconds: result.Seconds, Sent: s.sent.total()})
		return t.resultError(*result, step)
	case errors.Is(err, errLocal):
		return fmt.Errorf("%s: %w", host, err)
	case step == "": // the host never answered
		return fmt.Errorf("%s: %w: %w", host, ErrUnreachable, s.wrapError(err))
	}
	err = s.wrapError(err)
	t.report(Event{Event: "lost", Text: err.Error()})
	return t.queryOutcome(ctx, err)
}

// newID is that of one deploy.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return time.Now().UTC().Format("20060102150405") + "-" + hex.EncodeToString(b[:4])
}

// errLocal is the error for what is wrong on this side: the host was told nothing.
var errLocal = errors.New("nothing was sent")

// exchange is the conversation. step is the last one that the host told; empty where it told nothing at all.
func (t *session) exchange(ask string) (result *audit.Entry, step string, err error) {
	for {
		var said wire.Report
		if err := t.conn.Conn.Receive(&said); err != nil {
			return nil, step, err
		}
		switch {
		case said.Result != nil:
			return said.Result, said.Step, nil
		case said.Welcome != nil:
			step = "welcome"
			if said.Welcome.Protocol != wire.Protocol {
				return nil, step, fmt.Errorf("%w: the host has pgo %s, this is %s: pgo upgrade there makes them one", errLocal, said.Welcome.Version, t.Options.Version)
			}
			t.report(Event{Event: "host", Text: fmt.Sprintf("pgo %s on %s/%s, as %s", said.Welcome.Version, said.Welcome.OS, said.Welcome.Arch, said.Welcome.By)})
			if ask == wire.OpDeploy {
				if err := t.sendSet(said.Welcome); err != nil {
					if errors.Is(err, wire.ErrLost) { // it may have said why before it went
						for t.conn.Conn.Receive(&said) == nil {
							if said.Result != nil {
								return said.Result, said.Step, nil
							}
						}
					}
					return nil, step, err
				}
			}
		default:
			step = said.Step
			t.report(Event{Event: said.Step, Process: said.Process, Text: said.Text, Seconds: said.Seconds})
		}
	}
}

// resultError is the error for how it ended.
func (t *session) resultError(e audit.Entry, step string) error {
	err := map[audit.Result]error{audit.Refused: ErrRefused, audit.RolledBack: ErrRolledBack, audit.NotRolledBack: ErrNotRolledBack}[e.Result]
	switch {
	case e.Result == audit.Done:
		return nil
	case err == nil:
		return fmt.Errorf("%s: %w: it says %q", t.host, wire.ErrProtocol, e.Result)
	case step == "locked":
		err = ErrLocked
	case step == "unavailable":
		err = ErrUnavailable
	}
	return fmt.Errorf("%s: %w: %s", t.host, err, e.Reason)
}

// queryOutcome asks on another connection how the deploy ended whose connection was lost.
func (t *session) queryOutcome(ctx context.Context, lost error) error {
	const tries = 4
	for n := range tries {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: interrupted: the host puts back what was begun", t.host)
		case <-time.After(time.Duration(n) * time.Second):
		}
		s, err := t.Options.dial(ctx, t.host, wire.Hello{Protocol: wire.Protocol, Version: t.Options.Version, Operation: wire.OpOutcome, ID: t.id})
		if err != nil {
			continue
		}
		var said wire.Report
		err = s.Conn.Receive(&said)
		_ = s.close()
		if err != nil || said.Welcome == nil {
			continue
		}
		if len(said.Welcome.Deploys) == 0 {
			return fmt.Errorf("%s: %w: %w", t.host, ErrRefused, lost) // it ended before it began
		}
		e := said.Welcome.Deploys[0]
		t.report(Event{Event: "result", Result: &e, Text: e.Reason, Seconds: e.Seconds})
		return t.resultError(e, "")
	}
	return fmt.Errorf("%s: %w: %w", t.host, ErrUnknown, lost)
}

func (t *session) report(e Event) {
	e.Time, e.Host, e.ID, e.DryRun = time.Now().UTC(), t.host, t.id, t.Options.DryRun
	t.Options.Report(e)
}

// program is a file that is to be sent.
type program struct {
	Program   wire.Program
	isCurrent bool // the host runs it
	content   []byte
	base      []byte
}

// sendSet says what is to be deployed, and sends what the host does not have.
func (t *session) sendSet(w *wire.Welcome) error {
	chosen, err := t.chooseProcesses(w.Processes)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	all, err := t.loadPrograms(chosen, w.OS+"-"+w.Arch)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	// What is to be the base of the next difference goes to the disk beside all else; without it the next one is sent whole.
	var kept sync.WaitGroup
	defer kept.Wait()
	keep := func(f program) { kept.Go(func() { _ = t.Options.Cache.add(f.Program.SHA256, f.content) }) }
	var plan wire.Plan
	for _, f := range all {
		if f.isCurrent {
			t.report(Event{Event: "unchanged", Process: f.Program.Process, Text: "runs " + f.Program.SHA256[:12] + " already"})
			keep(f)
		} else {
			plan.Set = append(plan.Set, f.Program)
		}
	}
	if err := t.conn.Conn.Send(plan); err != nil {
		return err
	}
	for _, f := range all {
		switch {
		case f.isCurrent:
			continue
		case !f.Program.Sent:
			t.report(Event{Event: "sent", Process: f.Program.Process, Text: "the host has " + f.Program.SHA256[:12], Size: f.Program.Size})
		default:
			if err := t.sendProgram(f); err != nil {
				return err
			}
		}
		keep(f)
	}
	return nil
}

// loadPrograms reads the programs side by side.
func (t *session) loadPrograms(chosen []wire.Process, platform string) ([]program, error) {
	all, errs := make([]program, len(chosen)), make([]error, len(chosen))
	var reading sync.WaitGroup
	for n, p := range chosen {
		reading.Go(func() { all[n], errs[n] = t.loadProgram(p, platform) })
	}
	reading.Wait()
	return all, errors.Join(errs...)
}

// loadProgram reads a program, and beside it what it can be sent as the difference to.
func (t *session) loadProgram(p wire.Process, platform string) (program, error) {
	var base program
	var reading sync.WaitGroup
	reading.Go(func() { base.Program.Base, base.base = t.Options.Cache.findFirst(p.Releases) })
	path, err := t.findProgram(p.File, platform)
	var content []byte
	if err == nil {
		content, err = os.ReadFile(path)
	}
	f := program{Program: wire.Program{Process: p.Name, SHA256: hashContent(content), Size: int64(len(content))}, content: content}
	reading.Wait()
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	f.isCurrent = f.Program.SHA256 == p.Current
	if f.Program.Sent = !f.isCurrent && !slices.Contains(p.Releases, f.Program.SHA256); f.Program.Sent {
		f.Program.Base, f.base = base.Program.Base, base.base
	}
	return f, nil
}

func (t *session) sendProgram(f program) error {
	began, before := time.Now(), t.conn.sent.total()
	data := t.conn.Conn.FileWriter()
	if err := errors.Join(delta.Encode(data, f.base, f.content), data.Close()); err != nil {
		return fmt.Errorf("send %s: %w", f.Program.Process, err)
	}
	sent := t.conn.sent.total() - before
	how := "whole"
	if f.Program.Base != "" {
		how = "as the difference to " + f.Program.Base[:12]
	}
	t.report(Event{
		Event: "sent", Process: f.Program.Process, Bytes: sent, Size: f.Program.Size, Seconds: time.Since(began).Seconds(),
		Text: fmt.Sprintf("%s sent %s: %s of %s", f.Program.SHA256[:12], how, formatSize(sent), formatSize(f.Program.Size)),
	})
	return nil
}

func formatSize(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// chooseProcesses are the processes that are meant.
func (t *session) chooseProcesses(known []wire.Process) ([]wire.Process, error) {
	if len(known) == 0 {
		return nil, errors.New("no process there can be deployed: none is watched (watch: true in the process file)")
	}
	if len(t.Options.Services) == 0 {
		return known, nil
	}
	var chosen []wire.Process
	for _, name := range t.Options.Services {
		i := slices.IndexFunc(known, func(p wire.Process) bool { return p.Name == name })
		if i < 0 {
			var names []string
			for _, p := range known {
				names = append(names, p.Name)
			}
			return nil, fmt.Errorf("the host has no process %q that can be deployed; it has %s", name, strings.Join(names, ", "))
		}
		if !slices.ContainsFunc(chosen, func(p wire.Process) bool { return p.Name == name }) {
			chosen = append(chosen, known[i])
		}
	}
	return chosen, nil
}

// findProgram finds a program for the host's machine.
func (t *session) findProgram(name, platform string) (string, error) {
	folders := []string{t.Options.From}
	if t.Options.From == "" {
		folders = []string{"dist", "bin"}
	}
	for _, folder := range folders {
		for _, path := range []string{filepath.Join(folder, platform, name), filepath.Join(folder, name)} {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("there is no program %s in %s (nor in %s there): build it, or name the services that are to be deployed", name, strings.Join(folders, " or "), platform)
}

func hashContent(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
