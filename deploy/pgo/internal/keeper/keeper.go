// Package keeper is the process of pgo that is never restarted. It holds descriptors that must not be lost (listeners, the
// pipes that processes log to, notify sockets), starts and reaps children, and restarts the manager, the process with all the
// logic, whenever it ends. It knows nothing of process files: it keeps descriptors and bytes under names that the manager
// gives.
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

// Options configures a keeper.
type Options struct {
	Program     string   // of the manager
	Args        []string // of the manager; it finds its link at descriptor 3
	Version     string
	Log         *slog.Logger
	Data        map[string][]byte // by name, for the first manager
	Descriptors map[string]int    // by name, for the first manager
	OnStarted   func(error)       // called once: with nil when a manager is ready, or with the reason why none can start
	MaxSilence  time.Duration     // default the constant
}

// Keeper holds what has to outlive the manager.
type Keeper struct {
	Options Options
	ended   chan error // gets a value when everything is stopped, or no manager can start

	mu              sync.Mutex // also held while a child is started, so that it is known before it is reaped
	children        map[string]*Child
	data            map[string][]byte
	held            map[string]int
	manager         *managerProcess
	hadManager      bool   // a manager was ready once
	candidate       string // program of an upgrade, until it is started
	failureReason   string // why the candidate did not become the manager
	failures        int    // managers in a row that ended soon
	unreadyFailures int    // of these in a row, that were never ready
	isTerminating   bool
	isOver          bool
}

// Run runs a keeper until its manager reports that everything is stopped. The end of ctx asks the manager for that. It
// returns an error if no manager can start.
func Run(ctx context.Context, o Options) error {
	k := &Keeper{
		Options: o, ended: make(chan error, 1),
		children: map[string]*Child{}, data: maps.Clone(o.Data), held: maps.Clone(o.Descriptors),
	}
	if k.data == nil {
		k.data = map[string][]byte{}
	}
	if k.held == nil {
		k.held = map[string]int{}
	}
	exits := make(chan os.Signal, 1)
	signal.Notify(exits, syscall.SIGCHLD)
	defer signal.Stop(exits)
	requests := make(chan os.Signal, 4)
	notifyRequests(requests)
	defer signal.Stop(requests)
	k.mu.Lock()
	k.startManager()
	k.mu.Unlock()
	cancelled := ctx.Done()
	for {
		select {
		case <-exits:
			k.reapChildren()
		case s := <-requests:
			k.forwardRequest(s)
		case <-cancelled:
			cancelled = nil
			k.requestTermination()
		case err := <-k.ended:
			k.awaitManagerEnd()
			return err
		}
	}
}

// requestTermination asks the manager to stop everything. A manager that is just being restarted finds it in its hello.
func (k *Keeper) requestTermination() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.isTerminating = true
	if k.manager != nil {
		_ = k.manager.wire.send(message{Op: opTerminate}) // where it is gone, the next one finds it in its hello
	}
}

// awaitManagerEnd waits for the manager to end, and kills it after peerTimeout, so that nothing of pgo outlives the keeper.
func (k *Keeper) awaitManagerEnd() {
	for end := time.Now().Add(peerTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		k.reapChildren()
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
		k.manager.sendSignal(unix.SIGKILL)
	}
}

// reportEnd ends Run with an error or nil; only the first call counts. The lock is held.
func (k *Keeper) reportEnd(err error) {
	if !k.isOver {
		k.isOver = true
		k.ended <- err
	}
}

// serveManager handles the messages of one manager until its link closes.
func (k *Keeper) serveManager(p *managerProcess) {
	for {
		m, fds, err := p.wire.receive()
		k.mu.Lock()
		switch {
		case err != nil:
			p.isDrained = true
			if p.status != nil {
				k.replaceManager(p)
			}
			p.sendSignal(unix.SIGKILL) // without its link it is of no use any more
			k.mu.Unlock()
			return
		case p.status != nil && m.Number != 0: // no one waits for the answer, so no one would know what was done
			closeDescriptors(fds)
		default:
			k.handleMessage(p, m, fds)
		}
		k.mu.Unlock()
	}
}

// handleMessage does what a message asks for, and answers it where it has a number. It owns fds. The lock is held.
func (k *Keeper) handleMessage(p *managerProcess, m message, fds []int) {
	answer := message{Op: opAnswer, Number: m.Number}
	fail := func(err error) {
		if err != nil {
			answer.Text = err.Error()
		}
	}
	if m.Op == opHold {
		if len(fds) != 1 { // the kernel drops descriptors over the limit
			fail(errors.New("the keeper could not take a descriptor: too many files are open"))
		} else {
			k.dropDescriptor(m.Key)
			k.held[m.Key] = fds[0]
			fds = nil
		}
	}
	defer func() { closeDescriptors(fds) }()
	switch m.Op {
	case opHold:
	case opReady:
		k.recordReady(p)
	case opAlive:
		k.recordAlive(p)
	case opFailed:
		p.endReason = m.Text
	case opDrop:
		for _, key := range m.Keys {
			k.dropDescriptor(key)
		}
	case opKeepData:
		if k.data[m.Key] = m.Data; len(m.Data) == 0 {
			delete(k.data, m.Key)
		}
	case opKeepChildData:
		if c := k.children[m.Key]; c != nil {
			c.State = m.Data
		}
	case opStartChild:
		c, err := k.startChild(m.ChildSpec, fds)
		answer.Child = c
		fail(err)
	case opSignalChild:
		fail(k.signalChild(m.Key, syscall.Signal(m.Signal)))
	case opForgetChild:
		delete(k.children, m.Key)
	case opUpgrade:
		k.candidate = m.Text
	case opEnd:
		k.reportEnd(nil)
	default:
		fail(fmt.Errorf("the keeper does not know %q", m.Op))
	}
	if m.Number != 0 {
		k.notifyManager(answer)
	}
}

// notifyManager sends a message to the manager. A manager that does not read it hangs: it is killed, and the next one finds
// everything here. The lock is held.
func (k *Keeper) notifyManager(m message, fds ...int) {
	if k.manager == nil {
		return
	}
	if err := k.manager.wire.send(m, fds...); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		k.Options.Log.Error("the manager hangs: killing it", "pid", k.manager.pid)
		k.manager.sendSignal(unix.SIGKILL)
	}
}

func (k *Keeper) dropDescriptor(key string) {
	if fd, ok := k.held[key]; ok {
		_ = unix.Close(fd)
		delete(k.held, key)
	}
}

// greetManager sends a new manager everything that the keeper holds.
func (k *Keeper) greetManager() error {
	h := &Hello{
		Protocol: Protocol, Version: k.Options.Version, PID: os.Getpid(), IsFirst: !k.hadManager,
		Terminating: k.isTerminating, FailureReason: k.failureReason, Data: k.data, Held: slices.Sorted(maps.Keys(k.held)),
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
