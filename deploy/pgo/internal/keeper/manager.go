package keeper

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// How managers are started again. The first time is at once: services go on meanwhile, but nobody looks after them.
const (
	firstPause    = 50 * time.Millisecond
	maxPause      = 2 * time.Second        // where they never came to answer
	maxReadyPause = 200 * time.Millisecond // where they did: somebody must look after the processes
	stableAfter   = 5 * time.Second        // a manager that ran so long ended by chance
	readyTimeout  = 10 * time.Second       // a manager that was to take over and is not ready by then does not
	maxFailures   = 3                      // managers that ended before the first one answered
	tailTimeout   = 5 * time.Second        // what a manager has told is heard for so long after its end
	dumpTimeout   = 5 * time.Second        // it has, to write down where it hangs
)

// MaxSilence is how long a manager may be silent that has said that it lives. It is long, since a disk may hold it up; services
// do not notice.
const MaxSilence = 2 * time.Minute

// managerProcess is a manager that was started.
type managerProcess struct {
	pid          int
	wire         *wire
	startedAt    time.Time
	isCandidate  bool   // from a program that has not proven itself
	isReady      bool   //
	endReason    string // why it cannot start, or was ended
	program      string
	aliveAt      time.Time           // when it said so last
	silenceTimer *time.Timer         // runs out when it hangs; nil until it has said that it lives
	status       *syscall.WaitStatus // how, once it was reaped
	isDrained    bool                // all that it had to say: there will be no more
}

// startManager starts one. The lock is held.
func (k *Keeper) startManager() {
	if k.isOver {
		return
	}
	program, trial := k.Options.Program, k.candidate != ""
	if trial {
		program, k.candidate = k.candidate, ""
	}
	r, err := k.spawnManager(program)
	if err != nil {
		k.Options.Log.Error("start the manager", "program", program, "error", err)
		if trial {
			k.failureReason = err.Error()
		}
		k.restartManager(err.Error(), false)
		return
	}
	r.isCandidate = trial
	k.manager = r
	if err := k.greetManager(); err != nil {
		k.Options.Log.Error("greet the manager", "error", err)
		r.sendSignal(unix.SIGKILL)
	}
	k.failureReason = ""
	time.AfterFunc(readyTimeout, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.manager == r && !r.isReady {
			r.endReason = fmt.Sprintf("it did not answer within %s", readyTimeout)
			r.sendSignal(unix.SIGKILL)
		}
	})
	go k.serveManager(r)
}

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
		// Of its own session: what a terminal sends is for the keeper, which tells the manager.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		w.close()
		return nil, err
	}
	return &managerProcess{pid: pid, wire: w, startedAt: time.Now(), program: program}, nil
}

func (k *Keeper) recordReady(r *managerProcess) {
	r.isReady = true
	if r.isCandidate {
		k.Options.Program = r.program // from now on this one is started again
	}
	if !k.hadManager {
		k.hadManager = true
		k.Options.OnStarted(nil)
		time.AfterFunc(stableAfter, func() { proc.NewOwnMemory().ReleaseUnused() })
	}
}

// recordAlive is called when the manager says so. One that said so and falls silent hangs: it is killed, and tells first, in
// pgo's log, what each of its goroutines waits for.
func (k *Keeper) recordAlive(r *managerProcess) {
	silence := cmp.Or(k.Options.MaxSilence, MaxSilence)
	r.aliveAt = time.Now()
	if r.silenceTimer != nil {
		r.silenceTimer.Reset(silence)
		return
	}
	r.silenceTimer = time.AfterFunc(silence, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if time.Since(r.aliveAt) < silence {
			return // it has just said so
		}
		r.endReason = fmt.Sprintf("it hung: it said nothing for %s", silence)
		r.sendSignal(unix.SIGQUIT)
		time.AfterFunc(dumpTimeout, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			r.sendSignal(unix.SIGKILL)
		})
	})
}

// sendSignal sends a signal to a manager that was not reaped yet: its pid is its own until then. The keeper's lock is held.
func (r *managerProcess) sendSignal(s syscall.Signal) {
	if r.status == nil {
		_ = proc.Kill(r.pid, s) // it ends by itself, where it may not be
	}
}

// recordManagerExit is called when the manager has ended. What it has told before is still to be heard: the next one is to
// find it.
func (k *Keeper) recordManagerExit(status syscall.WaitStatus) {
	r := k.manager
	r.status = &status
	if r.isDrained {
		k.replaceManager(r)
		return
	}
	_ = r.wire.conn.SetReadDeadline(time.Now().Add(tailTimeout)) // else it would be heard for as long as anybody has its end
}

// replaceManager is called when the manager was reaped and all was heard that it had to say.
func (k *Keeper) replaceManager(r *managerProcess) {
	k.manager = nil
	r.wire.close()
	if r.silenceTimer != nil {
		r.silenceTimer.Stop()
	}
	if k.isOver {
		return
	}
	status := *r.status
	why := "exit code " + fmt.Sprint(status.ExitStatus())
	if status.Signaled() {
		why = "killed by " + unix.SignalName(status.Signal())
	}
	if r.endReason != "" {
		why = r.endReason
	}
	switch {
	case r.isCandidate && !r.isReady:
		k.failureReason = why
	case time.Since(r.startedAt) >= stableAfter:
		k.failures = 0
	}
	k.Options.Log.Warn("the manager ended", "pid", r.pid, "how", why)
	k.restartManager(why, r.isReady)
}

// restartManager starts the next manager, after a pause that grows while they end soon.
func (k *Keeper) restartManager(why string, answered bool) {
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
	if k.unreadyFailures++; answered {
		k.unreadyFailures = 0
	}
	if k.unreadyFailures < maxFailures { // by chance it was killed before it answered
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
