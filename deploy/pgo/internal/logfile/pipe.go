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

// collectInterval between two looks into a pipe: thousands of lines are taken at once, and a line is late by no more.
const collectInterval = 25 * time.Millisecond

// retryInterval is how often a log that cannot be written is tried again.
const retryInterval = 250 * time.Millisecond

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

// Collector empties a pipe into a log.
type Collector struct {
	to   *Writer
	tail io.Writer
	done chan struct{}
	size int

	mu         sync.Mutex // guards what follows: Sync takes as well
	pipe       int        // -1 when it is over
	partialErr error      // why the beginning of the next line was dropped, so its rest is too
}

// NewCollector reads from the pipe behind fd, which stays the caller's. words is shown what went into the log.
func NewCollector(fd int, to *Writer, words io.Writer) (*Collector, error) {
	// Opened anew, since whether a read waits is a matter of the open file, and this one is not the process's.
	pipe, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("read a pipe for the log: %w", err)
	}
	size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		size = 64 << 10
	}
	return &Collector{pipe: pipe, to: to, tail: words, done: make(chan struct{}), size: size}, nil
}

// Run moves what comes until ctx ends; then what is there, and closes the pump.
func (p *Collector) Run(ctx context.Context) {
	defer close(p.done)
	defer p.close()
	for ctx.Err() == nil {
		switch waiting, err := p.movePending(); {
		case err != nil:
			sleepUnlessDone(ctx, retryInterval)
		case waiting == 0:
			p.awaitInput(ctx)
		case waiting <= p.size/4: // else it is worth another look at once
			sleepUnlessDone(ctx, collectInterval)
		}
	}
	for {
		if n, err := p.movePending(); n == 0 || err != nil {
			return
		}
	}
}

// awaitInput returns when there is something in the pipe, or ctx has ended. Only meanwhile the runtime watches over the pipe:
// it would be woken by each line.
func (p *Collector) awaitInput(ctx context.Context) {
	fd, err := unix.FcntlInt(uintptr(p.pipe), unix.F_DUPFD_CLOEXEC, 0) // Run is who closes it
	if err != nil {
		sleepUnlessDone(ctx, retryInterval)
		return
	}
	watched := os.NewFile(uintptr(fd), "pipe")
	defer watched.Close()
	stop := context.AfterFunc(ctx, func() { _ = watched.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := watched.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
			return n > 0 || err != nil
		})
	}
	if err != nil {
		sleepUnlessDone(ctx, retryInterval)
	}
}

func (p *Collector) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = unix.Close(p.pipe)
	p.pipe = -1
}

// Sync moves what waits now, without waiting for the pump's next look.
func (p *Collector) Sync() { _, _ = p.movePending() }

// Done is closed when the pump has ended.
func (p *Collector) Done() <-chan struct{} { return p.done }

// movePending moves what waits in the pipe now, whole writes of the process: it returns how much that was.
func (p *Collector) movePending() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fd := p.pipe
	if fd < 0 {
		return 0, nil
	}
	if p.partialErr != nil && p.to.Discard(fd, 0, p.partialErr) {
		p.partialErr = nil
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil || n == 0 {
		return 0, err
	}
	for left := n; left > 0; {
		moved, err := p.to.SpliceFrom(fd, left, p.tail)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			if left > p.size/2 {
				// Soon the process would wait for a disk that is full.
				if !p.to.Discard(fd, left, err) {
					p.partialErr = err
				}
				return n, nil
			}
			if p.to.hasPartialLoss() {
				p.partialErr = err
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

// sleepUnlessDone returns after that time, or when ctx has ended.
func sleepUnlessDone(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// readLines calls line for every line, also a last one without an end.
func readLines(in io.Reader, line func([]byte) error) error {
	t := follower{}
	block := make([]byte, 64<<10)
	for {
		n, err := in.Read(block)
		if err := t.emitLines(block[:n], line); err != nil {
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
