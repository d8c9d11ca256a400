package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// look is what one stat tells. Two that are equal are of a file that has not changed, as far as a stat can tell.
type look struct {
	there   bool
	err     string // why it cannot be looked at
	size    int64
	mode    uint32
	written time.Time
	touched time.Time // the inode's own time: nobody can set it back
}

func lookAt(path string) look {
	var s unix.Stat_t
	err := ignoringEINTR(func() error { return unix.Stat(path, &s) })
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return look{}
	case err != nil:
		return look{there: true, err: err.Error()}
	}
	return look{
		there: true, size: s.Size, written: time.Unix(s.Mtim.Unix()), mode: s.Mode,
		touched: time.Unix(s.Ctim.Unix()),
	}
}

// settled is the part of a look that must stay the same for a file to be finished; its content is compared besides.
// Not all file systems keep the inode's time: one that makes it up would never come to rest.
func (l look) settled() look {
	l.touched = time.Time{}
	return l
}

// sumOf returns the SHA-256 of a regular file's content, and its size.
func sumOf(ctx context.Context, path string) (string, int64, error) {
	// Opening a FIFO would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", 0, fmt.Errorf("read a deployed file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, fmt.Errorf("read a deployed file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("read a deployed file: %s is no regular file", path)
	}
	h, block := sha256.New(), make([]byte, 256<<10)
	var size int64
	for ctx.Err() == nil {
		n, err := f.Read(block)
		h.Write(block[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), size, nil
		}
		if err != nil {
			return "", 0, fmt.Errorf("read a deployed file: %w", err)
		}
	}
	return "", 0, ctx.Err()
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
