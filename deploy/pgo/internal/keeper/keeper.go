// Package keeper is the half of pgo that is never restarted. It holds what must not be lost (listeners, the pipes that
// processes log to, notify sockets), starts and reaps processes, and starts the manager, which has all the logic, again
// whenever it ends. It knows nothing of process files: descriptors and bytes are kept under names that the manager gives.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options are what a keeper needs.
type Options struct {
	Program string   // of the manager
	Args    []string // of the manager; it finds its link at descriptor 3
	Version string
	Log     *slog.Logger
	Keep    map[string][]byte // what the first manager finds under these names
	Hold    map[string]int    // the same for descriptors
	Started func(error)       // called once: when a manager answers, or when none can start
	Silence time.Duration     // after which a manager that has said that it lives is taken for hung; Silence where it is 0
}

// Keeper holds what has to outlive the manager.
type Keeper struct {
	Options Options
	ended   chan error // the manager said that everything is stopped, or there will be none

	mu          sync.Mutex // also held while a child is forked, so that it is known before it is reaped
	children    map[string]*Child
	kept        map[string][]byte
	held        map[string]int
	manager     *running
	answered    bool // a manager was ready once
	trial       string
	excuse      string // why the manager that was to come did not
	failures    int    // managers in a row that ended soon
	mute        int    // of these, that never answered
	terminating bool
	over        bool
}

// Run is the keeper's whole life. It ends when the manager says that everything has been stopped; the end of ctx asks
// the manager for that.
func Run(ctx context.Context, o Options) error {
	k := &Keeper{
		Options: o, ended: make(chan error, 1),
		children: map[string]*Child{}, kept: maps.Clone(o.Keep), held: maps.Clone(o.Hold),
	}
	if k.kept == nil {
		k.kept = map[string][]byte{}
	}
	if k.held == nil {
		k.held = map[string]int{}
	}
	reaps := make(chan os.Signal, 1)
	signal.Notify(reaps, syscall.SIGCHLD)
	defer signal.Stop(reaps)
	k.mu.Lock()
	k.startManager()
	k.mu.Unlock()
	asked := ctx.Done()
	for {
		select {
		case <-reaps:
			k.reap()
		case <-asked:
			asked = nil
			k.terminate()
		case err := <-k.ended:
			k.finish()
			return err
		}
	}
}

// terminate has the manager stop everything. One that is just being started again finds it in its hello.
func (k *Keeper) terminate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.terminating = true
	if k.manager != nil {
		_ = k.manager.wire.send(message{Op: opTerminate}) // one that is gone is started again, and told then
	}
}

// finish waits for the manager to end, so that nothing of pgo is left when the keeper is gone.
func (k *Keeper) finish() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		k.reap()
		k.mu.Lock()
		gone := k.manager == nil
		k.mu.Unlock()
		if gone {
			return
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.manager != nil {
		k.manager.kill(unix.SIGKILL)
	}
}

// give tells the keeper's end once.
func (k *Keeper) give(err error) {
	if !k.over {
		k.over = true
		k.ended <- err
	}
}

// serve takes the requests of one manager until its link closes.
func (k *Keeper) serve(r *running) {
	for {
		m, fds, err := r.wire.receive()
		k.mu.Lock()
		switch {
		case err != nil:
			r.heard = true
			if r.ended != nil {
				k.managerEnded(r)
			}
			r.kill(unix.SIGKILL) // one that broke the link without ending is of no use any more
			k.mu.Unlock()
			return
		case r.ended != nil && m.Number != 0: // nobody waits for the answer, so nobody would know what was done
			closeAll(fds)
		default:
			k.handle(r, m, fds)
		}
		k.mu.Unlock()
	}
}

func (k *Keeper) handle(r *running, m message, fds []int) {
	answer := message{Op: opAnswer, Number: m.Number}
	fail := func(err error) {
		if err != nil {
			answer.Text = err.Error()
		}
	}
	if m.Op == opHold {
		if len(fds) != 1 { // the kernel drops what does not fit
			fail(errors.New("the keeper could not take a descriptor: too many files are open"))
		} else {
			k.drop(m.Key)
			k.held[m.Key] = fds[0]
			fds = nil
		}
	}
	defer func() { closeAll(fds) }()
	switch m.Op {
	case opHold:
	case opReady:
		k.managerReady(r)
	case opAlive:
		k.managerLives(r)
	case opFailed:
		r.said = m.Text
	case opDrop:
		for _, key := range m.Keys {
			k.drop(key)
		}
	case opKeep:
		if k.kept[m.Key] = m.Data; len(m.Data) == 0 {
			delete(k.kept, m.Key)
		}
	case opKeepChild:
		if c := k.children[m.Key]; c != nil {
			c.State = m.Data
		}
	case opFork:
		c, err := k.fork(m.Fork, fds)
		answer.Child = c
		fail(err)
	case opSignal:
		fail(k.signal(m.Key, syscall.Signal(m.Signal)))
	case opForget:
		delete(k.children, m.Key)
	case opUpgrade:
		k.trial = m.Text
	case opEnd:
		k.give(nil)
	default:
		fail(fmt.Errorf("the keeper does not know %q", m.Op))
	}
	if m.Number != 0 {
		k.tell(answer)
	}
}

// tell sends to the manager. One that does not read is hung: it is killed, and the next one finds everything here.
func (k *Keeper) tell(m message, fds ...int) {
	if k.manager == nil {
		return
	}
	if err := k.manager.wire.send(m, fds...); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		k.Options.Log.Error("the manager hangs: killing it", "pid", k.manager.pid)
		k.manager.kill(unix.SIGKILL)
	}
}

func (k *Keeper) drop(key string) {
	if fd, ok := k.held[key]; ok {
		_ = unix.Close(fd)
		delete(k.held, key)
	}
}

// hello tells a new manager all there is.
func (k *Keeper) hello() error {
	h := &Hello{
		Protocol: Protocol, Version: k.Options.Version, PID: os.Getpid(), First: !k.answered,
		Terminating: k.terminating, Excuse: k.excuse, Kept: k.kept, Held: slices.Sorted(maps.Keys(k.held)),
	}
	for _, id := range slices.Sorted(maps.Keys(k.children)) {
		h.Children = append(h.Children, *k.children[id])
	}
	if err := k.manager.wire.send(message{Op: opHello, Hello: h}); err != nil {
		return err
	}
	for _, key := range h.Held {
		if err := k.manager.wire.send(message{Op: opHeld, Key: key}, k.held[key]); err != nil {
			return err
		}
	}
	return nil
}
