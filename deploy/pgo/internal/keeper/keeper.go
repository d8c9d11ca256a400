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
	Program     string   // of the manager
	Args        []string // of the manager; it finds its link at descriptor 3
	Version     string
	Log         *slog.Logger
	Data        map[string][]byte // what the first manager finds under these names
	Descriptors map[string]int    // the same for descriptors
	OnStarted   func(error)       // called once: when a manager answers, or when none can start
	MaxSilence  time.Duration     // after which a manager that has said that it lives is taken for hung; Silence where it is 0
}

// Keeper holds what has to outlive the manager.
type Keeper struct {
	Options Options
	ended   chan error // the manager said that everything is stopped, or there will be none

	mu              sync.Mutex // also held while a child is forked, so that it is known before it is reaped
	children        map[string]*Child
	data            map[string][]byte
	held            map[string]int
	manager         *managerProcess
	hadManager      bool // a manager was ready once
	candidate       string
	failureReason   string // why the manager that was to come did not
	failures        int    // managers in a row that ended soon
	unreadyFailures int    // of these, that never answered
	isTerminating   bool
	isOver          bool
}

// Run is the keeper's whole life. It ends when the manager says that everything has been stopped; the end of ctx asks
// the manager for that.
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
			k.reapChildren()
		case <-asked:
			asked = nil
			k.requestTermination()
		case err := <-k.ended:
			k.awaitManagerEnd()
			return err
		}
	}
}

// requestTermination has the manager stop everything. One that is just being started again finds it in its hello.
func (k *Keeper) requestTermination() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.isTerminating = true
	if k.manager != nil {
		_ = k.manager.wire.send(message{Op: opTerminate}) // one that is gone is started again, and told then
	}
}

// awaitManagerEnd waits for the manager to end, so that nothing of pgo is left when the keeper is gone.
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

// reportEnd tells the keeper's end once.
func (k *Keeper) reportEnd(err error) {
	if !k.isOver {
		k.isOver = true
		k.ended <- err
	}
}

// serveManager takes the requests of one manager until its link closes.
func (k *Keeper) serveManager(r *managerProcess) {
	for {
		m, fds, err := r.wire.receive()
		k.mu.Lock()
		switch {
		case err != nil:
			r.isDrained = true
			if r.status != nil {
				k.replaceManager(r)
			}
			r.sendSignal(unix.SIGKILL) // one that broke the link without ending is of no use any more
			k.mu.Unlock()
			return
		case r.status != nil && m.Number != 0: // nobody waits for the answer, so nobody would know what was done
			closeDescriptors(fds)
		default:
			k.handleMessage(r, m, fds)
		}
		k.mu.Unlock()
	}
}

func (k *Keeper) handleMessage(r *managerProcess, m message, fds []int) {
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
			k.dropDescriptor(m.Key)
			k.held[m.Key] = fds[0]
			fds = nil
		}
	}
	defer func() { closeDescriptors(fds) }()
	switch m.Op {
	case opHold:
	case opReady:
		k.recordReady(r)
	case opAlive:
		k.recordAlive(r)
	case opFailed:
		r.endReason = m.Text
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

// notifyManager sends to the manager. One that does not read is hung: it is killed, and the next one finds everything here.
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

// greetManager tells a new manager all there is.
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
