package manager

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
	current  role = "current"  // the one that counts
	next     role = "next"     // is to take over
	draining role = "draining" // was replaced
	rejected role = "rejected" // was to take over, and will not
)

// childState is what the next manager has to know of a child.
type childState struct {
	Role    role      `json:"role"`
	Ready   bool      `json:"ready"`
	Release string    `json:"release,omitempty"` // the SHA-256 of its program, where that is from the store
	Asked   time.Time `json:"asked"`             // when it was asked to end; it may take a second signal for an order to drop everything
}

// child is a process that runs: the leader of its own session, with whatever it starts in there.
type child struct {
	host    *host
	Child   keeper.Child
	slot    state.InstanceID
	spec    processfile.Process
	prog    copied // what it runs, where that is from the store
	exit    *keeper.Exit
	opened  opened
	told    chan struct{} // it says that it is ready
	pings   chan struct{} // it says that it lives
	words   *state.Tail
	logFrom int64 // where its output begins in the log
	version atomic.Pointer[string]

	pumping context.CancelFunc
	pumps   []*logfile.Collector

	mu       sync.Mutex
	state    childState
	answered answered
	over     bool // it has ended; what is still heard are its last words
}

// begin takes up what a child says.
func (k *child) begin() error {
	ctx, cancel := context.WithCancel(context.Background())
	k.pumping = cancel
	for _, stream := range []struct{ key, file string }{{logKey + k.Child.ChildSpec.ID, k.host.home.LogPath(k.slot.Name)}, {errKey + k.Child.ChildSpec.ID, k.host.home.ErrLogPath(k.slot.Name)}} {
		fd, ok := k.opened.pipes[stream.key]
		if !ok {
			continue
		}
		to := k.host.logs.of(stream.file, k.spec.Logs)
		p, err := logfile.NewCollector(fd, to, k.words)
		if err != nil {
			cancel()
			return err
		}
		k.pumps = append(k.pumps, p)
		go p.Run(ctx)
	}
	if k.opened.notify != nil {
		go k.opened.notify.serve(k.heard)
	}
	return nil
}

// sync has all in the log that the child has said so far.
func (k *child) sync() {
	for _, p := range k.pumps {
		p.Sync()
	}
}

// change changes what the next manager will know.
func (k *child) change(f func(*childState)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(&k.state)
	data, err := json.Marshal(k.state)
	if err != nil {
		k.host.log.Error("remember a child", "process", k.slot.Name, "error", err)
		return
	}
	k.host.link.KeepChildData(k.Child.ChildSpec.ID, data)
}

func (k *child) is() childState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// heard takes a message from the notify socket. What does not come from the process is not believed.
func (k *child) heard(n notice) {
	k.mu.Lock()
	is, over := k.state, k.over
	k.mu.Unlock()
	if over {
		return
	}
	if !n.from(k.Child.PID) {
		k.host.log.Warn("notify message of a stranger", "process", k.slot.Name, "pid", n.pid)
		return
	}
	if status, ok := n.fields["STATUS"]; ok && is.Role == current {
		k.host.board.SetMessage(k.slot, status)
	}
	if n.fields["READY"] == "1" {
		poke(k.told)
	}
	if n.fields["WATCHDOG"] == "1" {
		poke(k.pings)
	}
	if n.fields["STOPPING"] == "1" && is.Role == current && is.Asked.IsZero() {
		if k.host.board.Get(k.slot).Process.Status != control.Stopping {
			k.host.board.Transition(k.slot, control.Stopping, "says that it is stopping")
		}
	}
}

// poke leaves a value for who looks next; one is as good as two.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// end asks the main process to end, gives it and what it has started their time, and kills what is left. A child that
// was asked before, perhaps by the manager before this one, is not asked again.
func (k *child) end() ended {
	asked := k.is().Asked
	if asked.IsZero() {
		asked = time.Now()
		k.change(func(s *childState) { s.Asked = asked })
		unblock(k.opened.inherited)
		if err := k.host.link.SignalChild(k.Child.ChildSpec.ID, unix.SignalNum(k.spec.Stop.Signal)); err != nil {
			k.host.log.Error("ask a process to end", "process", k.slot.Name, "pid", k.Child.PID, "error", err)
		}
	}
	deadline := time.NewTimer(k.spec.Stop.Timeout - time.Since(asked))
	defer deadline.Stop()
	forced := false
	select {
	case <-k.exit.Done:
		k.awaitOthers(deadline.C)
	case <-deadline.C:
		forced = true
	case <-k.host.link.Lost():
	}
	e := k.settle()
	e.forced = forced
	return e
}

// awaitOthers gives those that the main process left behind their time to end as well.
func (k *child) awaitOthers(deadline <-chan time.Time) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for len(members(k.Child.PID, k.Child.StartTicks)) > 0 {
		select {
		case <-deadline:
			return
		case <-poll.C:
		}
	}
}

// settle kills whatever is left of the child, takes its exit status and lets go of all it had.
func (k *child) settle() ended {
	_ = k.host.link.SignalChild(k.Child.ChildSpec.ID, unix.SIGKILL) // one that has ended needs none
	select {
	case <-k.exit.Done:
	case <-k.host.link.Lost():
		return ended{lost: true}
	}
	killSession(k.Child.PID, k.Child.StartTicks)
	k.mu.Lock()
	k.over = true
	k.mu.Unlock()
	if k.pumping != nil {
		k.pumping()
	}
	for _, p := range k.pumps {
		<-p.Done()
	}
	if k.opened.notify != nil {
		k.opened.notify.close()
	}
	k.release()
	k.host.running.forget(k.Child.ChildSpec.ID)
	k.host.link.ForgetChild(k.Child.ChildSpec.ID)
	return ended{status: k.exit.Status}
}

// release closes what was opened for this child alone.
func (k *child) release() {
	keys := []string{notifyKey + k.Child.ChildSpec.ID}
	for _, key := range []string{logKey + k.Child.ChildSpec.ID, errKey + k.Child.ChildSpec.ID} {
		if fd, ok := k.opened.pipes[key]; ok {
			_ = unix.Close(fd)
			keys = append(keys, key)
		}
	}
	for _, l := range k.opened.alone {
		_ = unix.Close(l.fd)
		keys = append(keys, l.key)
	}
	k.host.link.DropDescriptors(keys...)
}

// killSession kills the members of a session that started at since or later, until none is left. One that the kernel
// holds in an uninterruptible sleep is given up after a while.
func killSession(leader int, since uint64) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		left := members(leader, since)
		for _, s := range left {
			_ = s.Signal(syscall.SIGKILL) // gone already is as good
		}
		if len(left) == 0 {
			return
		}
	}
}

// members are the living processes of a session whose leader started at since.
func members(leader int, since uint64) []proc.Stat {
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

// ended is how a process ended.
type ended struct {
	status syscall.WaitStatus
	forced bool // it was killed since it did not end in time
	lost   bool // the keeper is gone, and with it the answer
}

func (e ended) String() string {
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
