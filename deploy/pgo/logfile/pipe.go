package logfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is how much output waits while nobody takes it: what a process says in some seconds.
const pipeSize = 1 << 20

// pause between two looks into a pipe: thousands of lines are taken at once, and a line is late by no more.
const pause = 25 * time.Millisecond

// retry is how often a log that cannot be written is tried again.
const retry = 250 * time.Millisecond

// NewPipe makes the pipe that a process writes to. The one descriptor is open for reading as well: whoever has it
// keeps the pipe whole, so that the process is never killed by SIGPIPE, whatever becomes of pgo.
func NewPipe() (int, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, fmt.Errorf("make a pipe for the log: %w", err)
	}
	defer func() { _, _ = unix.Close(ends[0]), unix.Close(ends[1]) }()
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", ends[1]), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a pipe for the log: %w", err)
	}
	// A user with very many pipes gets smaller ones.
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize)
	return fd, nil
}

// Pump empties a pipe into a log.
type Pump struct {
	pipe  *os.File
	to    *Writer
	words io.Writer
	over  chan struct{}
	size  int

	mu   sync.Mutex // guards half: Sync takes as well
	half error      // why the beginning of the next line was dropped, so its rest is too
}

// NewPump reads from the pipe behind fd, which stays the caller's. words is shown what went into the log.
func NewPump(fd int, to *Writer, words io.Writer) (*Pump, error) {
	// Opened anew, since whether a read waits is a matter of the open file, and this one is not the process's.
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read a pipe for the log: %w", err)
	}
	size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		size = 64 << 10
	}
	return &Pump{pipe: f, to: to, words: words, over: make(chan struct{}), size: size}, nil
}

// Run moves what comes until ctx ends; then what is there, and closes the pump.
func (p *Pump) Run(ctx context.Context) {
	defer close(p.over)
	defer p.pipe.Close()
	stop := context.AfterFunc(ctx, func() { _ = p.pipe.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := p.pipe.SyscallConn()
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		waiting, failed := 0, error(nil)
		err := raw.Read(func(fd uintptr) bool {
			waiting, failed = p.take(int(fd))
			return waiting > 0
		})
		if err != nil {
			break // the deadline: ctx has ended
		}
		p.rest(ctx, waiting, failed)
	}
	_ = p.pipe.SetReadDeadline(time.Time{})
	_ = raw.Control(func(fd uintptr) {
		for {
			if n, err := p.take(int(fd)); n == 0 || err != nil {
				return
			}
		}
	})
}

// Sync moves what waits now, without waiting for the pump's next look.
func (p *Pump) Sync() {
	raw, err := p.pipe.SyscallConn()
	if err != nil {
		return // over
	}
	_ = raw.Control(func(fd uintptr) { _, _ = p.take(int(fd)) })
}

// Over is closed when the pump has ended.
func (p *Pump) Over() <-chan struct{} { return p.over }

// take moves what waits in the pipe now, whole writes of the process: it returns how much that was.
func (p *Pump) take(fd int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.half != nil && p.to.Drop(fd, 0, p.half) {
		p.half = nil
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil || n == 0 {
		return 0, err
	}
	for left := n; left > 0; {
		moved, err := p.to.Take(fd, left, p.words)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			if left > p.size/2 {
				// Soon the process would wait for a disk that is full.
				if !p.to.Drop(fd, left, err) {
					p.half = err
				}
				return n, nil
			}
			return n, err
		}
		if moved <= 0 {
			break
		}
		left -= moved
	}
	return n, nil
}

// rest waits until the next look is worth it.
func (p *Pump) rest(ctx context.Context, waited int, failed error) {
	wait := pause
	switch {
	case failed != nil:
		wait = retry
	case waited > p.size/4:
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// eachLine calls line for every line, also a last one without an end.
func eachLine(in io.Reader, line func([]byte) error) error {
	t := tail{}
	block := make([]byte, 64<<10)
	for {
		n, err := in.Read(block)
		if err := t.take(block[:n], line); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			if len(t.partial) > 0 {
				return line(t.partial)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
