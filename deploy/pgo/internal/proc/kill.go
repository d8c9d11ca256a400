package proc

import (
	"fmt"
	"syscall"
)

// Kill sends a signal to the process pid. It rejects pid 1 and below: to the kernel -1 means every process, 0 the caller's
// own group and 1 the init process, so a number that was never set or was misread reaches no one.
func Kill(pid int, signal syscall.Signal) error {
	if pid <= 1 {
		return fmt.Errorf("send %v: %d is not a process of ours", signal, pid)
	}
	return syscall.Kill(pid, signal)
}

// KillGroup sends a signal to the process group of leader, and rejects the same numbers as Kill.
func KillGroup(leader int, signal syscall.Signal) error {
	if leader <= 1 {
		return fmt.Errorf("send %v: %d does not lead a group of ours", signal, leader)
	}
	return syscall.Kill(-leader, signal)
}
