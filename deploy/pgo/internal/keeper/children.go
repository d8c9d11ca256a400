package keeper

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// ChildSpec is all that a child is started with.
type ChildSpec struct {
	ID       string   `json:"id"` // names the child; no two alike
	Name     string   `json:"name"`
	Instance int      `json:"instance"`
	Program  string   `json:"program"` // what is executed
	Argv     []string `json:"argv"`
	Env      []string `json:"env"`
	Dir      string   `json:"dir"`
	Files    []string `json:"files"` // what is held under these names becomes 0, 1, 2 ...; what comes with the request follows
	Spec     []byte   `json:"spec"`  // the manager's own
}

// Child is a process that was started and not yet settled by a manager.
type Child struct {
	ChildSpec
	PID        int       `json:"pid"`
	StartTicks uint64    `json:"start"` // with PID, this process and no later one
	StartedAt  time.Time `json:"started"`
	HasEnded   bool      `json:"ended"`
	Status     int       `json:"status"` // wait(2)'s, once it has ended
	State      []byte    `json:"state"`  // the manager's own
}

// startChild starts a child, the leader of its own session. The lock is held.
func (k *Keeper) startChild(f *ChildSpec, more []int) (*Child, error) {
	if f == nil || k.children[f.ID] != nil {
		return nil, errors.New("start: no child, or one that is there already")
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
	// Those who share a listener rely on it: one that blocks keeps them from ever closing it.
	for _, fd := range files {
		if isListener(int(fd)) {
			_ = unix.SetNonblock(int(fd), true)
		}
	}
	c := &Child{ChildSpec: *f, PID: pid, StartedAt: time.Now()}
	if s, err := proc.ReadStat(pid); err == nil { // there, even if it has ended: it is not reaped yet
		c.StartTicks = s.Start
	}
	k.children[f.ID] = c
	return c, nil
}

func isListener(fd int) bool {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && listens == 1
}

// signalChild reaches the very child: its number names nobody else before it is reaped, which needs the lock as well.
func (k *Keeper) signalChild(id string, s syscall.Signal) error {
	c := k.children[id]
	if c == nil || c.HasEnded {
		return nil // gone is as good
	}
	return proc.Kill(c.PID, s)
}

// reapChildren takes the exit status of everything that has ended: children, the manager, and strangers, which the kernel
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
