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
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second        // where they never came to answer
	shortPause   = 200 * time.Millisecond // where they did: somebody must look after the processes
	settled      = 5 * time.Second        // a manager that ran so long ended by chance
	toAnswer     = 10 * time.Second       // a manager that was to take over and is not ready by then does not
	hopeless     = 3                      // managers that ended before the first one answered
	lastWords    = 5 * time.Second        // what a manager has told is heard for so long after its end
	dumping      = 5 * time.Second        // it has, to write down where it hangs
)

// Silence is how long a manager may be silent that has said that it lives. It is long, since a disk may hold it up; services
// do not notice.
const Silence = 2 * time.Minute

// running is a manager that was started.
type running struct {
	pid     int
	wire    *wire
	began   time.Time
	trial   bool   // from a program that has not proven itself
	ready   bool   //
	said    string // why it cannot start, or was ended
	program string
	lived   time.Time           // when it said so last
	silent  *time.Timer         // runs out when it hangs; nil until it has said that it lives
	ended   *syscall.WaitStatus // how, once it was reaped
	heard   bool                // all that it had to say: there will be no more
}

// startManager starts one. The lock is held.
func (k *Keeper) startManager() {
	if k.over {
		return
	}
	program, trial := k.Options.Program, k.trial != ""
	if trial {
		program, k.trial = k.trial, ""
	}
	r, err := k.launch(program)
	if err != nil {
		k.Options.Log.Error("start the manager", "program", program, "error", err)
		if trial {
			k.excuse = err.Error()
		}
		k.tryAgain(err.Error(), false)
		return
	}
	r.trial = trial
	k.manager = r
	if err := k.hello(); err != nil {
		k.Options.Log.Error("greet the manager", "error", err)
		r.kill(unix.SIGKILL)
	}
	k.excuse = ""
	time.AfterFunc(toAnswer, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.manager == r && !r.ready {
			r.said = fmt.Sprintf("it did not answer within %s", toAnswer)
			r.kill(unix.SIGKILL)
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
	return &running{pid: pid, wire: w, began: time.Now(), program: program}, nil
}

func (k *Keeper) managerReady(r *running) {
	r.ready = true
	if r.trial {
		k.Options.Program = r.program // from now on this one is started again
	}
	if !k.answered {
		k.answered = true
		k.Options.Started(nil)
		time.AfterFunc(settled, func() { proc.NewOwnMemory().ReleaseUnused() })
	}
}

// managerLives is called when the manager says so. One that said so and falls silent hangs: it is killed, and tells first, in
// pgo's log, what each of its goroutines waits for.
func (k *Keeper) managerLives(r *running) {
	silence := cmp.Or(k.Options.Silence, Silence)
	r.lived = time.Now()
	if r.silent != nil {
		r.silent.Reset(silence)
		return
	}
	r.silent = time.AfterFunc(silence, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if time.Since(r.lived) < silence {
			return // it has just said so
		}
		r.said = fmt.Sprintf("it hung: it said nothing for %s", silence)
		r.kill(unix.SIGQUIT)
		time.AfterFunc(dumping, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			r.kill(unix.SIGKILL)
		})
	})
}

// kill sends a signal to a manager that was not reaped yet: its pid is its own until then. The keeper's lock is held.
func (r *running) kill(s syscall.Signal) {
	if r.ended == nil {
		_ = proc.Kill(r.pid, s) // it ends by itself, where it may not be
	}
}

// managerReaped is called when the manager has ended. What it has told before is still to be heard: the next one is to
// find it.
func (k *Keeper) managerReaped(status syscall.WaitStatus) {
	r := k.manager
	r.ended = &status
	if r.heard {
		k.managerEnded(r)
		return
	}
	_ = r.wire.conn.SetReadDeadline(time.Now().Add(lastWords)) // else it would be heard for as long as anybody has its end
}

// managerEnded is called when the manager was reaped and all was heard that it had to say.
func (k *Keeper) managerEnded(r *running) {
	k.manager = nil
	r.wire.close()
	if r.silent != nil {
		r.silent.Stop()
	}
	if k.over {
		return
	}
	status := *r.ended
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
	k.Options.Log.Warn("the manager ended", "pid", r.pid, "how", why)
	k.tryAgain(why, r.ready)
}

// tryAgain starts the next manager, after a pause that grows while they end soon.
func (k *Keeper) tryAgain(why string, answered bool) {
	k.failures++
	if !k.answered && k.failures >= hopeless {
		err := errors.New(strings.TrimPrefix(why, "start the manager: "))
		k.Options.Started(err)
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
