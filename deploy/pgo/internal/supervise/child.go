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
	"pgo/deploy/pgo/internal/state"
)

// role is what a child is in its slot.
type role string

const (
	roleCurrent  role = "current"  // the one that counts
	roleNext     role = "next"     // is to take over
	roleDraining role = "draining" // was replaced
	roleRejected role = "rejected" // was to take over, and will not
)

// childState is what the next manager has to know of a child.
type childState struct {
	Role        role      `json:"role"`
	Ready       bool      `json:"ready"`
	Release     string    `json:"release,omitempty"` // the SHA-256 of its program, where that is from the store
	StopAskedAt time.Time `json:"asked"`             // when it was asked to end; it may take a second signal for an order to drop everything
}

// Child is a process that runs: the leader of its own session, with whatever it starts in there.
type Child struct {
	deps           *Deps
	Handle         keeper.Child
	ID             state.InstanceID
	Spec           processfile.Process
	Program        Program // what it runs, where that is from the store
	exit           *keeper.Exit
	resources      childResources
	readySignal    chan struct{} // it says that it is ready
	watchdogSignal chan struct{} // it says that it lives
	tail           *state.Tail
	logOffset      int64 // where its output begins in the log
	version        atomic.Pointer[string]

	stopPumps context.CancelFunc
	pumps     []*logfile.Collector

	stateMu       sync.Mutex
	state         childState
	requestCounts requestHistory
	hasEnded      bool // it has ended; what is still heard are its last words
}

// attachOutput takes up what a child says.
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
		go k.resources.notify.receive(k.handleNotification)
	}
	return nil
}

// flushOutput has all in the log that the child has said so far.
func (k *Child) flushOutput() {
	for _, p := range k.pumps {
		p.Sync()
	}
}

// updateState changes what the next manager will know.
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

func (k *Child) currentState() childState {
	k.stateMu.Lock()
	defer k.stateMu.Unlock()
	return k.state
}

// handleNotification takes a message from the notify socket. What does not come from the process is not believed.
func (k *Child) handleNotification(n notification) {
	k.stateMu.Lock()
	is, over := k.state, k.hasEnded
	k.stateMu.Unlock()
	if over {
		return
	}
	if !n.isFrom(k.Handle.PID) {
		k.deps.Log.Warn("notify message of a stranger", "process", k.ID.Name, "pid", n.pid)
		return
	}
	if status, ok := n.fields["STATUS"]; ok && is.Role == roleCurrent {
		k.deps.Store.SetMessage(k.ID, status)
	}
	if n.fields["READY"] == "1" {
		Notify(k.readySignal)
	}
	if n.fields["WATCHDOG"] == "1" {
		Notify(k.watchdogSignal)
	}
	if n.fields["STOPPING"] == "1" && is.Role == roleCurrent && is.StopAskedAt.IsZero() {
		if k.deps.Store.Get(k.ID).Process.Status != control.Stopping {
			k.deps.Store.Transition(k.ID, control.Stopping, "says that it is stopping")
		}
	}
}

// Notify leaves a value for who looks next; one is as good as two.
func Notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// terminate asks the main process to end, gives it and what it has started their time, and kills what is left. A child that
// was asked before, perhaps by the manager before this one, is not asked again.
func (k *Child) terminate() exitResult {
	asked := k.currentState().StopAskedAt
	if asked.IsZero() {
		asked = time.Now()
		k.updateState(func(s *childState) { s.StopAskedAt = asked })
		setNonblocking(k.resources.inherited)
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

// awaitSession gives those that the main process left behind their time to end as well.
func (k *Child) awaitSession(deadline <-chan time.Time) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for len(sessionMembers(k.Handle.PID, k.Handle.StartTicks)) > 0 {
		select {
		case <-deadline:
			return
		case <-poll.C:
		}
	}
}

// reap kills whatever is left of the child, takes its exit status and lets go of all it had.
func (k *Child) reap() exitResult {
	_ = k.deps.Link.SignalChild(k.Handle.ChildSpec.ID, unix.SIGKILL) // one that has ended needs none
	select {
	case <-k.exit.Done:
	case <-k.deps.Link.Lost():
		return exitResult{lost: true}
	}
	killSession(k.Handle.PID, k.Handle.StartTicks)
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
		k.resources.notify.close()
	}
	k.closeResources()
	k.deps.leftovers.remove(k.Handle.ChildSpec.ID)
	k.deps.Link.ForgetChild(k.Handle.ChildSpec.ID)
	return exitResult{status: k.exit.Status}
}

// closeResources closes what was opened for this child alone.
func (k *Child) closeResources() {
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

// killSession kills the members of a session that started at since or later, until none is left. One that the kernel
// holds in an uninterruptible sleep is given up after a while.
func killSession(leader int, since uint64) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		left := sessionMembers(leader, since)
		for _, s := range left {
			_ = s.Signal(syscall.SIGKILL) // gone already is as good
		}
		if len(left) == 0 {
			return
		}
	}
}

// sessionMembers are the living processes of a session whose leader started at since.
func sessionMembers(leader int, since uint64) []proc.Stat {
	if leader <= 1 {
		return nil
	}
	if main, err := proc.ReadStat(leader); err == nil && main.Start != since {
		return nil // the number has another owner, so nothing of the old session is left
	}
	var left []proc.Stat
	for _, s := range proc.SessionMembers(leader)[leader] {
		if s.Start >= since {
			left = append(left, s)
		}
	}
	return left
}

// exitResult is how a process ended.
type exitResult struct {
	status syscall.WaitStatus
	forced bool // it was killed since it did not end in time
	lost   bool // the keeper is gone, and with it the answer
}

func (e exitResult) String() string {
	switch {
	case e.lost:
		return "nobody knows how it ended"
	case e.forced:
		return "did not end in time and was killed"
	case e.status.Signaled():
		return "killed by " + unix.SignalName(e.status.Signal())
	default:
		return "exit code " + strconv.Itoa(e.status.ExitStatus())
	}
}

// errNotRetryable marks what does not pass by trying again.
var errNotRetryable = errors.New("cannot be started")

func isNotRetryable(err error) bool {
	for _, e := range []error{errNotRetryable, syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ENOEXEC, syscall.ENOTDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
