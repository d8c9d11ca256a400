package keeper

import (
	"cmp"
	"context"
	"maps"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

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
	if k.manager == nil {
		return
	}
	p, since := k.manager, time.Now()
	_ = p.wire.send(message{Op: opTerminate}) // where it is gone, the next one finds it in its hello
	time.AfterFunc(cmp.Or(k.Options.TerminateTimeout, TerminateTimeout), func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.manager == p && p.aliveAt.Before(since) {
			p.endReason = "it hung: it reported nothing after the keeper was asked to end"
			p.sendSignal(unix.SIGKILL)
		}
	})
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
