package proc

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"
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

// KillSession kills the members of a session that started at since or later, until none is left. It gives up after 5 s, for
// a process that the kernel holds in an uninterruptible sleep.
func KillSession(leader int, since uint64) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		left, err := LivingSession(leader, since)
		for _, s := range left {
			_ = s.Signal(syscall.SIGKILL) // gone already is as good
		}
		if err == nil && len(left) == 0 {
			return
		}
	}
}

// LivingSession returns the living processes of a session whose leader started at since, in clock ticks since boot. With an error
// there may be more.
func LivingSession(leader int, since uint64) ([]Stat, error) {
	if leader <= 1 {
		return nil, nil
	}
	if main, err := ReadStat(leader); err == nil && main.Start != since {
		return nil, nil // the number has another owner, so nothing of the old session is left
	}
	sessions, err := SessionMembers(leader)
	var left []Stat
	for _, s := range sessions[leader] {
		if s.Start >= since {
			left = append(left, s)
		}
	}
	return left, err
}

// KillDescendants kills the living descendants of a process until none is left. It gives up at the timeout, since the kernel may
// hold a process in an uninterruptible sleep, and returns what it has killed.
func KillDescendants(ancestor int, timeout time.Duration) []Stat {
	killed := map[int]Stat{}
	for end := time.Now().Add(timeout); ; time.Sleep(2 * time.Millisecond) {
		left := Descendants(ancestor)
		for _, s := range left {
			killed[s.PID] = s
			_ = s.Signal(syscall.SIGKILL) // gone already is as good
		}
		if len(left) == 0 || time.Now().After(end) {
			return slices.SortedFunc(maps.Values(killed), func(a, b Stat) int { return a.PID - b.PID })
		}
	}
}

// Descendants returns the living children of a process, their children, and so on.
func Descendants(ancestor int) []Stat {
	children := map[int][]Stat{}
	_ = walkNumbers("/proc", func(pid int) { // what cannot be looked at is not found
		if s, err := ReadStat(pid); err == nil {
			children[s.Parent] = append(children[s.Parent], s)
		}
	})
	var found []Stat
	for next := children[ancestor]; len(next) > 0; next = next[1:] {
		if !next[0].Zombie {
			found = append(found, next[0])
		}
		next = append(next, children[next[0].PID]...)
	}
	return found
}
