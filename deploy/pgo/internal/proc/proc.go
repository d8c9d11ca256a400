// Package proc reads /proc, so that pgo needs no other program to inspect processes.
//
// It does not use prometheus/procfs: measured with that, reading one process or counting its files costs twice as much, and
// finding the members of a session, as pgo list and the manager do again and again, 29 times as much. procfs parses the state
// of every process for it, while getsid(2) tells first which ones matter.
package proc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Stat is the state of a process as the kernel reports it.
type Stat struct {
	PID      int
	Parent   int
	Session  int           // leader of its session; pgo starts each process as the leader of one
	Zombie   bool          // it has ended and waits to be reaped
	CPU      time.Duration // used, user and system
	ChildCPU time.Duration // used by reaped children
	Start    uint64        // ticks after the boot; PID and Start together identify a process
	Memory   int64         // resident, in bytes
}

// clockTick is the kernel's unit of time in /proc: 1/100 s on every architecture that Go runs on.
const clockTick = time.Second / 100

// ReadStat reads the state of pid. It returns an error if the process does not exist.
func ReadStat(pid int) (Stat, error) {
	// A line is far shorter than the buffer. Plain system calls: os.File would involve the poller, and this is called often.
	var line [1 << 10]byte
	n, err := readFile("/proc/"+strconv.Itoa(pid)+"/stat", line[:])
	if err != nil {
		return Stat{}, err
	}
	return parseStat(line[:n])
}

// readFile reads as much of a file as fits into the buffer.
func readFile(path string, into []byte) (n int, err error) {
	fd, err := retryEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	for n < len(into) {
		k, err := retryEINTR(func() (int, error) { return unix.Read(fd, into[n:]) })
		if err != nil {
			return n, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if k == 0 {
			break
		}
		n += k
	}
	return n, nil
}

func retryEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// Positions of fields in /proc/PID/stat, counted after the name: proc(5).
const (
	statState   = 0
	statParent  = 1
	statSession = 3
	statUser    = 11
	statSystem  = 12
	statReaped  = 13 // user time, with the system time after it
	statStart   = 19
	statMemory  = 21
	statFields  = 22
)

// parseStat reads a line of /proc/PID/stat.
func parseStat(line []byte) (Stat, error) {
	// The name is in parentheses and may hold any byte, also spaces and parentheses.
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("read process state: unknown format %q", line)
	}
	pid, err := parseNumber(bytes.TrimSpace(line[:open]))
	if err != nil {
		return Stat{}, fmt.Errorf("read process state: %w", err)
	}
	var numbers [statFields]uint64
	var state byte
	rest := line[end+1:]
	for i := range numbers {
		rest = bytes.TrimLeft(rest, " ")
		field := rest
		if at := bytes.IndexAny(rest, " \n"); at >= 0 {
			field, rest = rest[:at], rest[at:]
		} else {
			rest = nil
		}
		if len(field) == 0 {
			return Stat{}, fmt.Errorf("read process state: unknown format %q", line)
		}
		switch i {
		case statState:
			state = field[0]
		case statParent, statSession, statUser, statSystem, statReaped, statReaped + 1, statStart, statMemory:
			if numbers[i], err = parseNumber(field); err != nil {
				return Stat{}, fmt.Errorf("read process state: %w", err)
			}
		}
	}
	return Stat{
		PID:      int(pid),
		Parent:   int(numbers[statParent]),
		Session:  int(numbers[statSession]),
		Zombie:   state == 'Z' || state == 'X',
		CPU:      time.Duration(numbers[statUser]+numbers[statSystem]) * clockTick,
		ChildCPU: time.Duration(numbers[statReaped]+numbers[statReaped+1]) * clockTick,
		Start:    numbers[statStart],
		Memory:   int64(numbers[statMemory]) * int64(os.Getpagesize()),
	}, nil
}

// parseNumber parses decimal digits.
func parseNumber(digits []byte) (n uint64, err error) {
	for _, c := range digits {
		if c < '0' || c > '9' || n > math.MaxUint64/10-1 {
			return 0, fmt.Errorf("%q is not a number", digits)
		}
		n = 10*n + uint64(c-'0')
	}
	if len(digits) == 0 {
		return 0, errors.New("a number is missing")
	}
	return n, nil
}

// SessionMembers returns the living processes of the sessions led by the given pids, leaders included. A leader that has
// ended still identifies its session: the kernel does not reuse its pid while a member lives.
//
// For all other processes it only asks the kernel for the session, which costs much less than reading their state. It returns
// an error if some could not be looked at, as without a free descriptor.
func SessionMembers(leaders ...int) (map[int][]Stat, error) {
	found := map[int][]Stat{}
	for _, leader := range leaders {
		if leader > 0 { // 0 is the kernel's own session, and in a container that of processes from outside
			found[leader] = nil
		}
	}
	var failed error
	err := walkNumbers("/proc", func(pid int) {
		session, err := unix.Getsid(pid)
		if errors.Is(err, unix.ESRCH) {
			return
		}
		// Where the kernel may not answer, the process's file does.
		if _, wanted := found[session]; err == nil && !wanted {
			return
		}
		s, err := ReadStat(pid)
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			failed = err
		}
		if err != nil || s.Zombie {
			return
		}
		if _, wanted := found[s.Session]; wanted {
			found[s.Session] = append(found[s.Session], s)
		}
	})
	return found, errors.Join(err, failed)
}

// walkNumbers calls do with each directory entry that is a number.
func walkNumbers(dir string, do func(int)) error {
	fd, err := retryEINTR(func() (int, error) { return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	block := make([]byte, 8<<10)
	for {
		n, err := retryEINTR(func() (int, error) { return unix.Getdents(fd, block) })
		if err != nil {
			return &os.PathError{Op: "read", Path: dir, Err: err}
		}
		if n <= 0 {
			return nil
		}
		// struct linux_dirent64: inode, offset, record length, type, name ending with a zero byte.
		const lengthAt, nameAt = 16, 19
		for rest := block[:n]; len(rest) > nameAt; {
			length := int(binary.NativeEndian.Uint16(rest[lengthAt:]))
			if length <= nameAt || length > len(rest) {
				return fmt.Errorf("read %s: an entry of %d bytes", dir, length)
			}
			name, _, _ := bytes.Cut(rest[nameAt:length], []byte{0})
			if pid, err := parseNumber(name); err == nil {
				do(int(pid))
			}
			rest = rest[length:]
		}
	}
}

// CountOpenFiles returns the number of files a process has open; -1 if it is not permitted to know.
func CountOpenFiles(pid int) int {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return -1
	}
	if s.Size > 0 { // kernels since 6.2 report it
		return int(s.Size)
	}
	d, err := os.Open(dir)
	if err != nil {
		return -1
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return -1
	}
	return len(names)
}

// ReadBootID returns the identifier of this boot of the machine, from which Start counts.
func ReadBootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Signal sends a signal to exactly the process that s describes, never to another one that has reused its pid.
func (s Stat) Signal(signal os.Signal) error {
	if s.PID <= 1 {
		return fmt.Errorf("send %v: %d is not a process of ours", signal, s.PID)
	}
	p, err := os.FindProcess(s.PID) // holds a pidfd where the kernel has them
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	now, err := ReadStat(s.PID)
	if err != nil {
		return err
	}
	if now.Start != s.Start {
		return os.ErrProcessDone
	}
	return p.Signal(signal)
}
