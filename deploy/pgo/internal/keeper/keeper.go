// Package keeper is the process of pgo that is never restarted. It holds descriptors that must not be lost (listeners, the
// pipes that processes log to, notify sockets), starts and reaps children, and restarts the manager, the process with all the
// logic, whenever it ends. It knows nothing of process files: it keeps descriptors and bytes under names that the manager
// gives.
package keeper

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// MaxSilence is the time between two reports of a manager that it is alive, after which it counts as hung. It is long, since
// a disk may hold a manager up; services do not notice.
const MaxSilence = 2 * time.Minute

// TerminateTimeout is the time in which a manager has to report that it is alive when the keeper is asked to end. It is longer
// than the time between two reports.
const TerminateTimeout = 20 * time.Second

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

	TerminateTimeout time.Duration // default the constant
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

// managerProcess is a manager that was started.
type managerProcess struct {
	pid          int
	wire         *wire
	startedAt    time.Time
	isCandidate  bool // of an upgrade, whose program was never ready before
	isReady      bool
	endReason    string // why it cannot start, or was killed
	program      string
	aliveAt      time.Time           // time of its last report
	silenceTimer *time.Timer         // fires when it hangs; nil until its first report
	status       *syscall.WaitStatus // set once it was reaped
	isDrained    bool                // all its messages were read
}

// sendSignal sends a signal to a manager that was not reaped yet: its PID is not reused until then. The keeper's lock is held.
func (p *managerProcess) sendSignal(s syscall.Signal) {
	if p.status == nil {
		_ = proc.Kill(p.pid, s) // an error means that it has ended
	}
}

// notifyManager sends a message to the manager. A manager that does not read it hangs: it is killed, and the next one finds
// everything here. The lock is held.
func (k *Keeper) notifyManager(m message) {
	if k.manager == nil {
		return
	}
	if err := k.manager.wire.send(m); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
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

// reportEnd ends Run with an error or nil; only the first call counts. The lock is held.
func (k *Keeper) reportEnd(err error) {
	if !k.isOver {
		k.isOver = true
		k.ended <- err
	}
}
