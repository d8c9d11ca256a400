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

// fileStat is the result of one stat. Two equal ones belong to an unchanged file, as far as a stat can show.
type fileStat struct {
	exists     bool
	err        string // why stat failed
	size       int64
	mode       uint32
	modTime    time.Time
	changeTime time.Time // the inode's own time, which cannot be set back
}

func statFile(path string) fileStat {
	var s unix.Stat_t
	err := retryEINTR(func() error { return unix.Stat(path, &s) })
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fileStat{}
	case err != nil:
		return fileStat{exists: true, err: err.Error()}
	}
	return fileStat{
		exists: true, size: s.Size, modTime: time.Unix(s.Mtim.Unix()), mode: s.Mode,
		changeTime: time.Unix(s.Ctim.Unix()),
	}
}

// stablePart returns the fields that must stay the same for a file to be finished; its content is compared too. It omits the
// inode's time: a file system that makes it up would never become stable.
func (l fileStat) stablePart() fileStat {
	l.changeTime = time.Time{}
	return l
}

// hashFile returns the SHA-256 of a regular file's content, and its size.
func hashFile(ctx context.Context, path string) (string, int64, error) {
	// O_NONBLOCK: opening a FIFO would wait for a writer.
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
		return "", 0, fmt.Errorf("read a deployed file: %s is not a regular file", path)
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

func retryEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
