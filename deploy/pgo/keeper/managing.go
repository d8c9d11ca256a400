package keeper

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/proc"
)

// How managers are started again. The first time is at once: services go on meanwhile, but nobody looks after them.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second        // where they never came to answer
	shortPause   = 200 * time.Millisecond // where they did: somebody must look after the processes
	settled      = 5 * time.Second        // a manager that ran so long ended by chance
	toAnswer     = 10 * time.Second       // a manager that was to take over and is not ready by then does not
	hopeless     = 3                      // managers that ended before the first one answered
)

// running is a manager that was started.
type running struct {
	pid     int
	wire    *wire
	began   time.Time
	trial   bool   // from a program that has not proven itself
	ready   bool   //
	said    string // why it cannot start
	program string
}

// startManager starts one. The lock is held.
func (k *Keeper) startManager() {
	if k.over {
		return
	}
	program, trial := k.Program, k.trial != ""
	if trial {
		program, k.trial = k.trial, ""
	}
	r, err := k.launch(program)
	if err != nil {
		k.Log.Error("start the manager", "program", program, "error", err)
		if trial {
			k.excuse = err.Error()
		}
		k.tryAgain(err.Error(), false)
		return
	}
	r.trial = trial
	k.manager = r
	if err := k.hello(); err != nil {
		k.Log.Error("greet the manager", "error", err)
		_ = proc.Kill(r.pid, unix.SIGKILL)
	}
	k.excuse = ""
	time.AfterFunc(toAnswer, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.manager == r && !r.ready {
			r.said = fmt.Sprintf("it did not answer within %s", toAnswer)
			_ = proc.Kill(r.pid, unix.SIGKILL)
		}
	})
	go k.serve(r)
}

func (k *Keeper) launch(program string) (*running, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer closeAll(pair[1:])
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
	pid, err := syscall.ForkExec(program, append([]string{"pgo"}, k.Args...), &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(),
		Files: []uintptr{null.Fd(), 1, 2, uintptr(pair[1])},
		// Of its own session: what a terminal sends is for the keeper, which tells the manager.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		w.close()
		return nil, err
	}
	return &running{pid: pid, wire: w, began: time.Now(), program: program}, nil
}

func (k *Keeper) managerReady(r *running) {
	r.ready = true
	if r.trial {
		k.Program = r.program // from now on this one is started again
	}
	if !k.answered {
		k.answered = true
		k.Started(nil)
		time.AfterFunc(settled, func() { proc.OwnMemory().Shrink() })
	}
}

// managerEnded is called when the manager was reaped.
func (k *Keeper) managerEnded(status syscall.WaitStatus) {
	r := k.manager
	k.manager = nil
	r.wire.close()
	if k.over {
		return
	}
	why := "exit code " + fmt.Sprint(status.ExitStatus())
	if status.Signaled() {
		why = "killed by " + unix.SignalName(status.Signal())
	}
	if r.said != "" {
		why = r.said
	}
	switch {
	case r.trial && !r.ready:
		k.excuse = why
	case time.Since(r.began) >= settled:
		k.failures = 0
	}
	k.Log.Warn("the manager ended", "pid", r.pid, "how", why)
	k.tryAgain(why, r.ready)
}

// tryAgain starts the next manager, after a pause that grows while they end soon.
func (k *Keeper) tryAgain(why string, answered bool) {
	k.failures++
	if !k.answered && k.failures >= hopeless {
		err := errors.New(strings.TrimPrefix(why, "start the manager: "))
		k.Started(err)
		k.give(err)
		return
	}
	if k.failures == 1 {
		k.startManager()
		return
	}
	longest := longestPause
	if k.mute++; answered {
		k.mute = 0
	}
	if k.mute < hopeless { // by chance it was killed before it answered
		longest = shortPause
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
