package logview

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readerInterval = 100 * time.Millisecond // between two looks whether anyone reads
	writeGrace     = 100 * time.Millisecond // for a write that no one reads, after the end was requested
)

// RunWhileRead runs show until it ends, ctx ends, or the reader of out is gone: a closed pipe, terminal or connection. A show
// that is stuck in a write is left behind: the caller is about to end the process.
func RunWhileRead(ctx context.Context, out io.Writer, show func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f, ok := out.(*os.File); ok {
		go cancelWithoutReader(ctx, int(f.Fd()), cancel)
	}
	ended := make(chan error, 1)
	go func() { ended <- show(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(writeGrace):
		return nil
	}
}

// cancelWithoutReader calls cancel when the other end of fd is closed. It returns when ctx ends.
func cancelWithoutReader(ctx context.Context, fd int, cancel func()) {
	for ctx.Err() == nil {
		// Errors and hang-ups are reported whether or not they are asked for.
		watched := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(watched, int(readerInterval.Milliseconds()))
		if n > 0 && watched[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			cancel()
			return
		}
		if n > 0 || err != nil && err != unix.EINTR {
			return // it cannot be watched
		}
	}
}
