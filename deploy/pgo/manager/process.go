package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/processfile"
)

// host is what processes share.
type host struct {
	board   *board
	running *running
	log     *slog.Logger
	env     map[string]string // of every process, under its own
	dir     string            // where processes run
	output  func(name string) (*os.File, error)
}

// process supervises one process of the file: starts it when its turn has come, sees it become ready, starts it again
// when it ends, and stops it.
type process struct {
	*host
	spec    processfile.Process
	inherit []listener // in the order of spec.Listeners
	notify  *notifySocket
	kick    chan struct{} // ends a wait for the next start

	op     sync.Mutex // one start or stop at a time
	closed bool
	cancel context.CancelFunc
	done   chan struct{} // closed when supervise has ended; nil before the first start

	mu   sync.Mutex // guards what the notify socket's reader sees
	pid  int
	told chan struct{}

	versions versionCache
}

func newProcess(h *host, spec processfile.Process, inherit []listener, socket string) (*process, error) {
	n, err := listenNotify(socket)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	p := &process{host: h, spec: spec, inherit: inherit, notify: n, kick: make(chan struct{}, 1)}
	go n.serve(p.heard)
	return p, nil
}

// start makes the process wanted; it returns at once and the board shows what comes of it. One that is wanted already
// goes on, without waiting longer for its next start.
func (p *process) start() {
	p.op.Lock()
	defer p.op.Unlock()
	if p.closed {
		return
	}
	p.board.note(p.spec.Name, func(r *record) { r.Failures = 0 })
	if p.wanted() {
		select {
		case p.kick <- struct{}{}:
		default: // one kick is as good as two
		}
		return
	}
	select {
	case <-p.kick: // meant for the life before
	default:
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan struct{})
	p.set(control.Waiting, control.AskedToStart, func(r *record) { r.Restarts, r.Message = 0, "" })
	go p.supervise(ctx, p.done)
}

func (p *process) wanted() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop makes the process unwanted, and returns when it has ended with all that it had started.
func (p *process) stop() {
	p.op.Lock()
	defer p.op.Unlock()
	if p.done == nil {
		return
	}
	p.cancel()
	<-p.done
	// One that had failed before is now stopped: that is what was asked for.
	if _, state, _ := p.board.unready([]string{p.spec.Name}); state == control.Failed {
		p.set(control.Stopped, "asked to stop")
	}
}

// close stops the process for good.
func (p *process) close() {
	p.op.Lock()
	p.closed = true
	p.op.Unlock()
	p.stop()
	p.notify.close()
}

func (p *process) set(to control.State, reason string, with ...func(*record)) {
	p.board.set(p.spec.Name, to, reason, with...)
}

// supervise is the process's life from one start by command to the next stop.
func (p *process) supervise(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	var wait backoff
	for {
		if !p.awaitTurn(ctx) {
			p.set(control.Stopped, "asked to stop")
			return
		}
		began := time.Now()
		how, final := p.once(ctx)
		switch {
		case ctx.Err() != nil:
			p.set(control.Stopped, how, gone)
			return
		case final:
			p.set(control.Failed, how, gone)
			return
		}
		next := wait.after(time.Since(began))
		p.set(control.BackingOff, fmt.Sprintf("%s; next start in %s", how, next.Round(time.Millisecond)), gone)
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-p.kick:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() == nil {
			p.board.note(p.spec.Name, func(r *record) { r.Restarts++ })
		}
	}
}

func gone(r *record) { r.PID = 0 }

// awaitTurn waits until all that the process comes after are ready; false when it is no more wanted.
func (p *process) awaitTurn(ctx context.Context) bool {
	shown := ""
	for ctx.Err() == nil {
		name, state, changed := p.board.unready(p.spec.After)
		if name == "" {
			return true
		}
		reason := "for " + name
		if state == control.Failed || state == control.Stopped {
			reason += fmt.Sprintf(", which is %s", state)
		}
		if reason != shown {
			p.set(control.Waiting, reason)
			shown = reason
			continue // setting it was a change as well
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return false
}

// once runs the process one time. It returns how that ended, and whether another start would be in vain.
func (p *process) once(ctx context.Context) (how string, final bool) {
	p.set(control.Starting, "", func(r *record) { r.Failures++ })
	k, told, err := p.fork()
	if err != nil {
		return err.Error(), unstartable(err)
	}
	if err := k.running(); err != nil {
		p.leave(k)
		k.reap()
		p.running.forget(p.spec.Name)
		return fmt.Errorf("start %s: %w", p.spec.Command, err).Error(), unstartable(err)
	}
	go p.learnVersion(ctx)

	e, late := p.see(ctx, k, told)
	p.running.forget(p.spec.Name)
	if late != nil {
		return late.Error(), false
	}
	return e.String(), e.status.Exited() && slices.Contains(p.spec.Final, e.status.ExitStatus())
}

// see watches a child until it has ended. late is why it was not ready in time, where that is why it ended.
func (p *process) see(ctx context.Context, k *child, told <-chan struct{}) (e ended, late error) {
	probing, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan error, 1)
	go func() { ready <- awaitReady(probing, p.spec.Ready, told) }()
	for {
		select {
		case <-k.exited:
			p.leave(k)
			return k.reap(), nil
		case err := <-ready:
			if ctx.Err() != nil {
				continue
			}
			if err != nil {
				p.set(control.Stopping, err.Error())
				return p.end(k), err
			}
			p.set(control.Ready, "", func(r *record) { r.Failures = 0 })
		case <-ctx.Done():
			p.set(control.Stopping, "asked to stop")
			return p.end(k), nil
		}
	}
}

func (p *process) end(k *child) ended {
	defer p.leave(k) // until then it may say how it gets on
	return k.end(unix.SignalNum(p.spec.Stop.Signal), p.spec.Stop.Timeout)
}

// leave stops listening to a child that has ended.
func (p *process) leave(k *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid == k.pid {
		p.pid = 0
	}
}

func (p *process) fork() (*child, <-chan struct{}, error) {
	env := p.environment()
	program, err := find(p.spec.Command, env)
	if err != nil {
		return nil, nil, errors.Join(errInVain, err)
	}
	output, err := p.output(p.spec.Name)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	defer output.Close()
	size := int64(0)
	if info, err := output.Stat(); err == nil {
		size = info.Size()
	}
	c := command{program: program, args: p.spec.Args, env: list(env), dir: p.dir, output: output}
	for _, l := range p.inherit {
		c.inherit = append(c.inherit, l.fd)
	}
	// The lock keeps the child's first message from being read before its pid is known.
	p.mu.Lock()
	defer p.mu.Unlock()
	k, err := fork(c)
	if err != nil {
		return nil, nil, err
	}
	p.pid, p.told = k.pid, make(chan struct{}, 1)
	p.running.add(p.spec, k.pid)
	p.board.note(p.spec.Name, func(r *record) {
		r.PID, r.started, r.LogFrom, r.Message = k.pid, time.Now(), size, ""
	})
	return k, p.told, nil
}

// errInVain marks what does not pass by trying again.
var errInVain = errors.New("cannot be started")

func unstartable(err error) bool {
	for _, e := range []error{errInVain, syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ENOEXEC, syscall.ENOTDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// environment is what the child gets: pgo's own, the file's, and systemd's conventions.
func (p *process) environment() map[string]string {
	env := map[string]string{}
	for key, value := range p.env {
		env[key] = value
	}
	for key, value := range p.spec.Env {
		env[key] = value
	}
	if p.spec.Ready.Notify {
		// Only where it was agreed on: MariaDB for one says through it what is not meant for us.
		env["NOTIFY_SOCKET"] = p.notify.path
	}
	if len(p.spec.Listeners) > 0 {
		var names []string
		for _, l := range p.spec.Listeners {
			names = append(names, l.Name)
		}
		env["LISTEN_FDS"] = fmt.Sprint(len(names))
		env["LISTEN_FDNAMES"] = strings.Join(names, ":")
	}
	return env
}

func list(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for key, value := range env {
		out = append(out, key+"="+value)
	}
	slices.Sort(out)
	return out
}

// heard takes a message from the notify socket. What does not come from the running process is not believed.
func (p *process) heard(n notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid == 0 {
		return // its last words
	}
	if !n.from(p.pid) {
		p.log.Warn("notify message of a stranger", "process", p.spec.Name, "pid", n.pid)
		return
	}
	if status, ok := n.fields["STATUS"]; ok {
		p.board.say(p.spec.Name, status)
	}
	if n.fields["READY"] == "1" {
		select {
		case p.told <- struct{}{}:
		default:
		}
	}
	if n.fields["STOPPING"] == "1" {
		if _, state, _ := p.board.unready([]string{p.spec.Name}); state != control.Stopping {
			p.set(control.Stopping, "says that it is stopping")
		}
	}
}
