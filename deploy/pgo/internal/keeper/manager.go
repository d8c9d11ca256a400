package keeper

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// Bounds of restarting managers. The first restart is immediate: services go on meanwhile, but nothing supervises them.
const (
	firstPause    = 50 * time.Millisecond
	maxPause      = 2 * time.Second        // between managers that never became ready
	maxReadyPause = 200 * time.Millisecond // between managers that did: the processes must be supervised
	stableAfter   = 5 * time.Second        // after that time an end is not counted as a failure
	readyTimeout  = 10 * time.Second       // a manager that is not ready by then is killed
	maxFailures   = 3                      // managers that may end before the first is ready
	tailTimeout   = 5 * time.Second        // messages of a manager are read for so long after its end
	dumpTimeout   = 5 * time.Second        // a hung manager may take that long to log its goroutines
)

// startManager starts the candidate of an upgrade, else the manager's program, and restarts it where that fails. The caller
// holds the lock.
func (k *Keeper) startManager() {
	if k.isOver {
		return
	}
	program, isCandidate := k.Options.Program, k.candidate != ""
	if isCandidate {
		program, k.candidate = k.candidate, ""
	}
	p, err := k.spawnManager(program)
	if err != nil {
		k.Options.Log.Error("start the manager", "program", program, "error", err)
		if isCandidate {
			k.failureReason = err.Error()
		}
		k.restartManager(err.Error(), false)
		return
	}
	p.isCandidate = isCandidate
	k.manager = p
	if err := k.greetManager(); err != nil {
		k.Options.Log.Error("greet the manager", "error", err)
		p.sendSignal(unix.SIGKILL)
	}
	k.failureReason = ""
	time.AfterFunc(readyTimeout, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.manager == p && !p.isReady {
			p.endReason = fmt.Sprintf("it was not ready within %s", readyTimeout)
			p.sendSignal(unix.SIGKILL)
		}
	})
	go k.serveManager(p)
}

// spawnManager starts a program with one end of a new link as descriptor 3.
func (k *Keeper) spawnManager(program string) (*managerProcess, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer closeDescriptors(pair[1:])
	w, err := newWire(pair[0])
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		w.close()
		return nil, err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(program, append([]string{"pgo"}, k.Options.Args...), &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(),
		Files: []uintptr{null.Fd(), 1, 2, uintptr(pair[1])},
		// In its own session: signals of a terminal are for the keeper, which asks the manager to terminate.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		w.close()
		return nil, err
	}
	return &managerProcess{pid: pid, wire: w, startedAt: time.Now(), program: program}, nil
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

// recordReady is called when a manager reports that it answers commands. The lock is held.
func (k *Keeper) recordReady(p *managerProcess) {
	p.isReady = true
	if p.isCandidate {
		k.Options.Program = p.program // restarts use this program from now on
	}
	if !k.hadManager {
		k.hadManager = true
		k.Options.OnStarted(nil)
		time.AfterFunc(stableAfter, func() { proc.NewOwnMemory().ReleaseUnused() })
	}
}

// recordAlive is called when a manager reports that it is alive. Where the reports stop, it hangs: it gets SIGQUIT, logs what
// each of its goroutines waits for, and is killed. The lock is held.
func (k *Keeper) recordAlive(p *managerProcess) {
	silence := cmp.Or(k.Options.MaxSilence, MaxSilence)
	p.aliveAt = time.Now()
	if p.silenceTimer != nil {
		p.silenceTimer.Reset(silence)
		return
	}
	p.silenceTimer = time.AfterFunc(silence, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if time.Since(p.aliveAt) < silence {
			return // it has just reported
		}
		p.endReason = fmt.Sprintf("it hung: it reported nothing for %s", silence)
		p.sendSignal(unix.SIGQUIT)
		time.AfterFunc(dumpTimeout, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			p.sendSignal(unix.SIGKILL)
		})
	})
}

// recordManagerExit is called when the manager has ended. Messages that it sent before are read first: the next manager has
// to find what they store. The lock is held.
func (k *Keeper) recordManagerExit(status syscall.WaitStatus) {
	p := k.manager
	p.status = &status
	if p.isDrained {
		k.replaceManager(p)
		return
	}
	_ = p.wire.conn.SetReadDeadline(time.Now().Add(tailTimeout)) // else reading would last as long as any process has its end open
}

// replaceManager is called when the manager was reaped and all its messages were read. The lock is held.
func (k *Keeper) replaceManager(p *managerProcess) {
	k.manager = nil
	p.wire.close()
	if p.silenceTimer != nil {
		p.silenceTimer.Stop()
	}
	if k.isOver {
		return
	}
	status := *p.status
	why := "exit code " + fmt.Sprint(status.ExitStatus())
	if status.Signaled() {
		why = "killed by " + unix.SignalName(status.Signal())
	}
	if p.endReason != "" {
		why = p.endReason
	}
	switch {
	case p.isCandidate && !p.isReady:
		k.failureReason = why
	case time.Since(p.startedAt) >= stableAfter:
		k.failures = 0
	}
	k.Options.Log.Warn("the manager ended", "pid", p.pid, "how", why)
	k.restartManager(why, p.isReady)
}

// restartManager starts the next manager, after a pause that grows while managers end soon. Where maxFailures ended before
// the first was ready, it gives up and ends the keeper. The lock is held.
func (k *Keeper) restartManager(why string, wasReady bool) {
	k.failures++
	if !k.hadManager && k.failures >= maxFailures {
		err := errors.New(strings.TrimPrefix(why, "start the manager: "))
		k.Options.OnStarted(err)
		k.reportEnd(err)
		return
	}
	if k.failures == 1 {
		k.startManager()
		return
	}
	longest := maxPause
	if k.unreadyFailures++; wasReady {
		k.unreadyFailures = 0
	}
	if k.isTerminating && k.unreadyFailures >= maxFailures {
		k.stopAlone(why)
		return
	}
	if k.unreadyFailures < maxFailures { // it may have been killed by chance before it was ready
		longest = maxReadyPause
	}
	pause := min(firstPause<<min(k.failures-2, 10), longest)
	time.AfterFunc(pause, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.manager == nil {
			k.startManager()
		}
	})
}
