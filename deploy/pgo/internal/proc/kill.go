package proc

import (
	"fmt"
	"syscall"
)

// Kill sends a signal to the process pid. To the kernel -1 names every process there is, 0 the caller's own group and 1
// the first process of the machine: a number that was never filled in, or that was read wrongly, reaches nobody.
func Kill(pid int, signal syscall.Signal) error {
	if pid <= 1 {
		return fmt.Errorf("send %v: %d is no process of ours", signal, pid)
	}
	return syscall.Kill(pid, signal)
}

// KillGroup sends a signal to the process group of leader, as careful as Kill.
func KillGroup(leader int, signal syscall.Signal) error {
	if leader <= 1 {
		return fmt.Errorf("send %v: %d leads no group of ours", signal, leader)
	}
	return syscall.Kill(-leader, signal)
}
