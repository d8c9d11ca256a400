package keeper

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// startChild starts a child as the leader of its own session. The caller holds the lock.
func (k *Keeper) startChild(f *ChildSpec, more []int) (*Child, error) {
	if f == nil || k.children[f.ID] != nil {
		return nil, errors.New("start: no child, or one that is there already")
	}
	const forFork = 2 // the pipe of ForkExec
	if err := CheckDescriptors("keeper", forFork); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	var files []uintptr
	for _, key := range f.Files {
		fd, ok := k.held[key]
		if !ok {
			return nil, fmt.Errorf("start: nothing is held as %s", key)
		}
		files = append(files, uintptr(fd))
	}
	for _, fd := range more {
		files = append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec(f.Program, f.Argv, &syscall.ProcAttr{
		Dir: f.Dir, Env: f.Env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	// Processes that share a listener rely on this: a blocking one could never be closed.
	for _, fd := range files {
		if isListener(int(fd)) {
			_ = unix.SetNonblock(int(fd), true)
		}
	}
	c := &Child{ChildSpec: *f, PID: pid, StartedAt: time.Now()}
	if s, err := proc.ReadStat(pid); err == nil { // readable even after its end: it is not reaped yet
		c.StartTicks = s.Start
	}
	k.children[f.ID] = c
	return c, nil
}

func isListener(fd int) bool {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && listens == 1
}

// signalChild sends a signal to exactly this child: its PID is not reused before it is reaped, which takes the lock as well.
// The caller holds the lock. A child that has ended needs no signal, so that is no error.
func (k *Keeper) signalChild(id string, s syscall.Signal) error {
	c := k.children[id]
	if c == nil || c.HasEnded {
		return nil
	}
	return proc.Kill(c.PID, s)
}

// reapChildren takes the exit status of every process that has ended: children, the manager, and orphans, which the kernel
// gives to the first process of a container.
func (k *Keeper) reapChildren() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		k.recordExit(pid, status)
	}
}

// recordExit stores the exit status of the manager or a child, and tells the manager of a child's. It ignores orphans.
func (k *Keeper) recordExit(pid int, status syscall.WaitStatus) {
	if k.manager != nil && k.manager.pid == pid && k.manager.status == nil {
		k.recordManagerExit(status)
		return
	}
	for _, c := range k.children {
		if c.PID == pid && !c.HasEnded {
			c.HasEnded, c.Status = true, int(status)
			k.notifyManager(message{Op: opExited, Key: c.ChildSpec.ID, Child: &Child{HasEnded: true, Status: c.Status}})
			return
		}
	}
}

// aloneTimeout is how long children may take to end where no manager knows their stop timeouts.
const aloneTimeout = 10 * time.Second

// stopAlone stops all children and ends the keeper, where it is asked to end and no manager can be started that does it. The
// caller holds the lock.
func (k *Keeper) stopAlone(why string) {
	k.isOver = true // no other manager is started
	k.Options.Log.Error("no manager can be started to stop everything: the keeper does it", "reason", why)
	for _, c := range k.children {
		if !c.HasEnded {
			_ = proc.Kill(c.PID, syscall.SIGTERM) // it was not reaped, so the number is its own
		}
	}
	go func() {
		for end := time.Now().Add(aloneTimeout); time.Now().Before(end) && k.countRunning() > 0; {
			time.Sleep(20 * time.Millisecond)
		}
		k.ended <- fmt.Errorf("no manager could be started to stop everything: %s", why)
	}()
}

func (k *Keeper) countRunning() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.children {
		if !c.HasEnded {
			n++
		}
	}
	return n
}
