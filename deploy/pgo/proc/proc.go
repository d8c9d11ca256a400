// Package proc reads /proc, so that pgo needs no other program to know about processes.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Stat is what the kernel says about a process.
type Stat struct {
	PID     int
	Session int           // the process that leads its session; pgo starts each process as the leader of one
	Zombie  bool          // it has ended and waits to be reaped
	CPU     time.Duration // used, user and system
	Reaped  time.Duration // used by children that have ended and were waited for
	Start   uint64        // ticks after the boot. PID and Start together name a process for ever
	Memory  int64         // resident, in bytes
}

// The kernel's unit of time in /proc is 1/100 s on every architecture that Go runs on.
const tick = time.Second / 100

// Read returns what /proc knows about pid; an error where it does not exist.
func Read(pid int) (Stat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, err
	}
	return parse(line)
}

// parse reads a line of /proc/PID/stat: proc(5).
func parse(line []byte) (Stat, error) {
	// The name stands in parentheses and may hold any byte, also spaces and parentheses.
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("read process state: unknown form %q", line)
	}
	f := strings.Fields(string(line[end+1:]))
	if len(f) < 22 {
		return Stat{}, fmt.Errorf("read process state: unknown form %q", line)
	}
	numbers := map[int]uint64{3: 0, 11: 0, 12: 0, 13: 0, 14: 0, 19: 0, 21: 0}
	for i := range numbers {
		n, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil {
			return Stat{}, fmt.Errorf("read process state: %w", err)
		}
		numbers[i] = n
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:open])))
	if err != nil {
		return Stat{}, fmt.Errorf("read process state: %w", err)
	}
	return Stat{
		PID:     pid,
		Session: int(numbers[3]),
		Zombie:  f[0] == "Z" || f[0] == "X",
		CPU:     time.Duration(numbers[11]+numbers[12]) * tick,
		Reaped:  time.Duration(numbers[13]+numbers[14]) * tick,
		Start:   numbers[19],
		Memory:  int64(numbers[21]) * int64(os.Getpagesize()),
	}, nil
}

// Sessions returns the living processes of the sessions that are led by the pids given, leaders included. A leader
// that has ended still names its session: the kernel gives its pid to nobody while a member lives.
func Sessions(leaders ...int) map[int][]Stat {
	found := map[int][]Stat{}
	for _, leader := range leaders {
		found[leader] = nil
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return found
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what was read until an error counts
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		s, err := Read(pid)
		if err != nil || s.Zombie {
			continue
		}
		if _, wanted := found[s.Session]; wanted {
			found[s.Session] = append(found[s.Session], s)
		}
	}
	return found
}

// Files is how many files a process has open; -1 where that may not be known.
func Files(pid int) int {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return -1
	}
	return len(names)
}

// Boot names this boot of the machine; Start counts from it.
func Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Signal sends a signal to exactly the process that s describes: never to another one that got its number since.
func (s Stat) Signal(signal os.Signal) error {
	p, err := os.FindProcess(s.PID) // holds a pidfd where the kernel has them
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	now, err := Read(s.PID)
	if err != nil {
		return err
	}
	if now.Start != s.Start {
		return os.ErrProcessDone
	}
	return p.Signal(signal)
}
