package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/sdnotify"
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/state"
)

// role is the part that a child plays for its instance.
type role string

const (
	roleCurrent  role = "current"  // serves
	roleNext     role = "next"     // is to replace the current one
	roleDraining role = "draining" // was replaced
	roleRejected role = "rejected" // was to replace the current one, and failed
)

// childState is the part of a child that the next manager needs.
type childState struct {
	Role        role      `json:"role"`
	Ready       bool      `json:"ready"`
	Release     string    `json:"release,omitempty"` // the SHA-256 of its program, where that is from the store
	StopAskedAt time.Time `json:"asked"`             // when it was asked to end; it may take a second signal as an order to exit at once
}

// childResources are the descriptors of a child: the keeper holds them, and these are copies.
type childResources struct {
	pipes     map[string]int
	own       map[string]sockets.Listener
	inherited map[string]sockets.Listener
	notify    *sdnotify.Socket
}

// requestHistory holds the last two readings of how many requests a process has answered.
type requestHistory struct{ earlier, last requests.Totals }

// Child is a running process: the leader of a session of its own, with whatever it starts in there.
type Child struct {
	deps           *Deps
	Handle         keeper.Child
	ID             state.InstanceID
	Spec           processfile.Process
	Program        Program // if it is from the store
	exit           *keeper.Exit
	resources      childResources
	readySignal    chan struct{} // READY=1
	watchdogSignal chan struct{} // WATCHDOG=1
	tail           *state.Tail
	logOffset      int64 // offset of its first line in the log
	version        atomic.Pointer[string]

	stopPumps context.CancelFunc
	pumps     []*logfile.Collector

	stateMu       sync.Mutex
	state         childState
	requestCounts requestHistory
	hasEnded      bool // it has ended: what is received from now on is ignored
}

// attachOutput begins to collect what a child prints, and to receive its notifications.
func (k *Child) attachOutput() error {
	ctx, cancel := context.WithCancel(context.Background())
	k.stopPumps = cancel
	for _, stream := range []struct{ key, file string }{{logKey + k.Handle.ChildSpec.ID, k.deps.Home.LogPath(k.ID.Name)}, {errKey + k.Handle.ChildSpec.ID, k.deps.Home.ErrLogPath(k.ID.Name)}} {
		fd, ok := k.resources.pipes[stream.key]
		if !ok {
			continue
		}
		to := k.deps.LogFiles.Writer(stream.file, k.Spec.Logs)
		p, err := logfile.NewCollector(fd, to, k.tail)
		if err != nil {
			cancel()
			return err
		}
		k.pumps = append(k.pumps, p)
		go p.Run(ctx)
	}
	if k.resources.notify != nil {
		go k.resources.notify.Receive(k.handleNotification)
	}
	return nil
}

// flushOutput writes all that the child has printed so far to the log.
func (k *Child) flushOutput() {
	for _, p := range k.pumps {
		p.Sync()
	}
}

// updateState changes the state, and keeps it for the next manager.
func (k *Child) updateState(f func(*childState)) {
	k.stateMu.Lock()
	defer k.stateMu.Unlock()
	f(&k.state)
	data, err := json.Marshal(k.state)
	if err != nil {
		k.deps.Log.Error("remember a child", "process", k.ID.Name, "error", err)
		return
	}
	k.deps.Link.KeepChildData(k.Handle.ChildSpec.ID, data)
}

// currentState returns a copy of the state.
func (k *Child) currentState() childState {
	k.stateMu.Lock()
	defer k.stateMu.Unlock()
	return k.state
}

// handleNotification handles a message of the notify socket. One that another process has sent is ignored.
func (k *Child) handleNotification(n sdnotify.Message) {
	k.stateMu.Lock()
	is, over := k.state, k.hasEnded
	k.stateMu.Unlock()
	if over {
		return
	}
	if !n.IsFrom(k.Handle.PID) {
		k.deps.Log.Warn("notify message of an unknown sender", "process", k.ID.Name, "pid", n.PID)
		return
	}
	if status, ok := n.Fields["STATUS"]; ok && is.Role == roleCurrent {
		k.deps.Store.SetMessage(k.ID, status)
	}
	if n.Fields["READY"] == "1" {
		Notify(k.readySignal)
	}
	if n.Fields["WATCHDOG"] == "1" {
		Notify(k.watchdogSignal)
	}
	if n.Fields["STOPPING"] == "1" && is.Role == roleCurrent && is.StopAskedAt.IsZero() {
		if k.deps.Store.Get(k.ID).Process.Status != control.Stopping {
			k.deps.Store.Transition(k.ID, control.Stopping, "reports that it is stopping")
		}
	}
}

// Notify leaves a value in a channel of capacity one; one that is there already does as well.
func Notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// terminate asks the main process to end, waits for it and for what it has started until the stop timeout, and kills what
// is left. A child that was asked before, perhaps by an earlier manager, is not asked again.
func (k *Child) terminate() exitResult {
	asked := k.currentState().StopAskedAt
	if asked.IsZero() {
		asked = time.Now()
		k.updateState(func(s *childState) { s.StopAskedAt = asked })
		sockets.SetNonblocking(k.resources.inherited)
		if err := k.deps.Link.SignalChild(k.Handle.ChildSpec.ID, unix.SignalNum(k.Spec.Stop.Signal)); err != nil {
			k.deps.Log.Error("ask a process to end", "process", k.ID.Name, "pid", k.Handle.PID, "error", err)
		}
	}
	deadline := time.NewTimer(k.Spec.Stop.Timeout - time.Since(asked))
	defer deadline.Stop()
	forced := false
	select {
	case <-k.exit.Done:
		k.awaitSession(deadline.C)
	case <-deadline.C:
		forced = true
	case <-k.deps.Link.Lost():
	}
	e := k.reap()
	e.forced = forced
	return e
}

// awaitSession waits for the processes that the main process left behind.
func (k *Child) awaitSession(deadline <-chan time.Time) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if left, err := proc.LivingSession(k.Handle.PID, k.Handle.StartTicks); err == nil && len(left) == 0 {
			return
		}
		select {
		case <-deadline:
			return
		case <-poll.C:
		}
	}
}

// reap kills whatever is left of the child, reads its exit status and closes its resources.
func (k *Child) reap() exitResult {
	_ = k.deps.Link.SignalChild(k.Handle.ChildSpec.ID, unix.SIGKILL) // one that has ended needs none
	select {
	case <-k.exit.Done:
	case <-k.deps.Link.Lost():
		return exitResult{lost: true}
	}
	proc.KillSession(k.Handle.PID, k.Handle.StartTicks)
	k.stateMu.Lock()
	k.hasEnded = true
	k.stateMu.Unlock()
	if k.stopPumps != nil {
		k.stopPumps()
	}
	for _, p := range k.pumps {
		<-p.Done()
	}
	if k.resources.notify != nil {
		k.resources.notify.Close()
	}
	k.closeResources()
	k.deps.leftovers.remove(k.Handle.ChildSpec.ID)
	k.deps.Link.ForgetChild(k.Handle.ChildSpec.ID)
	return exitResult{status: k.exit.Status}
}

// closeResources closes what was opened for this child alone.
func (k *Child) closeResources() {
	k.deps.notified.remove(k)
	keys := []string{notifyKey + k.Handle.ChildSpec.ID}
	for _, key := range []string{logKey + k.Handle.ChildSpec.ID, errKey + k.Handle.ChildSpec.ID} {
		if fd, ok := k.resources.pipes[key]; ok {
			_ = unix.Close(fd)
			keys = append(keys, key)
		}
	}
	for _, l := range k.resources.own {
		_ = unix.Close(l.FD)
		keys = append(keys, l.Key)
	}
	k.deps.Link.DropDescriptors(keys...)
}

// untilExit returns a context that ends with the child. Its caller calls stop.
func (k *Child) untilExit(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		select {
		case <-k.exit.Done:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// exitResult describes how a child ended.
type exitResult struct {
	status syscall.WaitStatus
	forced bool // it was killed since it did not end in time
	lost   bool // the keeper is gone, and with it the answer
}

// String describes the end in words.
func (e exitResult) String() string {
	switch {
	case e.lost:
		return "it is unknown how it ended"
	case e.forced:
		return "did not end in time and was killed"
	case e.status.Signaled():
		return "killed by " + unix.SignalName(e.status.Signal())
	default:
		return "exit code " + strconv.Itoa(e.status.ExitStatus())
	}
}

// errNotRetryable marks an error that another try would meet again.
var errNotRetryable = errors.New("cannot be started")

// isNotRetryable reports whether another try would meet the same error.
func isNotRetryable(err error) bool {
	for _, e := range []error{errNotRetryable, syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ENOEXEC, syscall.ENOTDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
