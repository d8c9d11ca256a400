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

// pipeSize is the output that waits in the pipe while no one reads it: some seconds of a process's output.
const pipeSize = 1 << 20

// collectInterval is the time between two reads of a pipe: thousands of lines are moved at once, and no line is later than
// this.
const collectInterval = 25 * time.Millisecond

// retryInterval is the time between attempts to write a log that cannot be written.
const retryInterval = 250 * time.Millisecond

// NewPipe creates the pipe for a process's output. The descriptor is open for reading as well: its holder keeps the pipe
// intact, so that the process is never killed by SIGPIPE, whatever happens to pgo.
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

// Collector moves a process's output from its pipe to a log.
type Collector struct {
	to   *Writer
	tail io.Writer
	done chan struct{}
	size int

	mu         sync.Mutex // guards the fields below: Sync reads too
	pipe       int        // -1 after close
	partialErr error      // why the start of the next line was dropped; its rest is dropped too
}

// NewCollector reads from the pipe behind fd, which stays the caller's. tail receives the end of what went into the log.
func NewCollector(fd int, to *Writer, tail io.Writer) (*Collector, error) {
	// A new open file: O_NONBLOCK belongs to the open file, and fd's is the process's.
	pipe, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("read a pipe for the log: %w", err)
	}
	size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		size = 64 << 10
	}
	return &Collector{pipe: pipe, to: to, tail: tail, done: make(chan struct{}), size: size}, nil
}

// Run moves output until ctx ends, then moves the rest and closes the collector.
func (p *Collector) Run(ctx context.Context) {
	defer close(p.done)
	defer p.close()
	for ctx.Err() == nil {
		switch waiting, err := p.movePending(); {
		case err != nil:
			sleepUnlessDone(ctx, retryInterval)
		case waiting == 0:
			p.awaitInput(ctx)
		case waiting <= p.size/4: // otherwise the next read is worth it at once
			sleepUnlessDone(ctx, collectInterval)
		}
	}
	for {
		if n, err := p.movePending(); n == 0 || err != nil {
			return
		}
	}
}

// awaitInput returns when the pipe has input, or ctx has ended. Only meanwhile is the pipe registered with the runtime's
// poller, which would wake up for each line.
func (p *Collector) awaitInput(ctx context.Context) {
	fd, err := unix.FcntlInt(uintptr(p.pipe), unix.F_DUPFD_CLOEXEC, 0) // closed below; Run owns p.pipe
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

// Sync moves the waiting output now.
func (p *Collector) Sync() { _, _ = p.movePending() }

// Done is closed when the collector has ended.
func (p *Collector) Done() <-chan struct{} { return p.done }

// movePending moves the output that waits in the pipe now, whole writes of the process, and returns its size.
func (p *Collector) movePending() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fd := p.pipe
	if fd < 0 {
		return 0, nil
	}
	if p.partialErr != nil {
		if !p.to.Discard(fd, 0, p.partialErr) {
			return 0, nil // the rest of the line is still to come
		}
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
				// The process would soon block on a full disk.
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

// sleepUnlessDone sleeps for d, or until ctx ends.
func sleepUnlessDone(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
