package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Policy says when a log is rotated and how long rotated files are kept.
type Policy struct {
	MaxSize  int64
	MaxAge   time.Duration // 0: not by age
	Keep     int
	KeepFor  time.Duration
	Compress bool
}

// Writer is one log file, into which any number of pipes are emptied. It is the file's only writer, so that it may
// rotate between two of them.
type Writer struct {
	path string

	mu         sync.Mutex
	policy     Policy
	file       *os.File
	size       int64
	createdAt  time.Time
	unreported lossCount
	reported   lossCount // what was lost before and is in the log
	background sync.WaitGroup
}

// lossCount counts what could not be written, until it can be said.
type lossCount struct {
	lines, bytes int64
	isMidLine    bool // it ends in the midst of a line
	why          error
}

// NewWriter opens nothing yet: a log is there once there is something in it, or Touch was called.
func NewWriter(path string, p Policy) *Writer { return &Writer{path: path, policy: p} }

// SetPolicy changes how the log is kept from now on.
func (w *Writer) SetPolicy(p Policy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.policy = p
}

// Create makes the file and returns its size.
func (w *Writer) Create() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size, w.openCurrent()
}

// openCurrent has the file open, the one that is at the path now: somebody may have moved it, or truncated it in place.
func (w *Writer) openCurrent() error {
	var there unix.Stat_t
	err := unix.Stat(w.path, &there)
	if w.file != nil {
		var here unix.Stat_t
		if err == nil && unix.Fstat(int(w.file.Fd()), &here) == nil && here.Ino == there.Ino && here.Dev == there.Dev {
			w.size = here.Size
			return nil
		}
		w.file.Close()
		w.file = nil
	}
	if err := os.MkdirAll(filepath.Dir(w.path), 0o700); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	// Not to append: splice(2) refuses such files. There is no other writer.
	f, err := os.OpenFile(w.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open the log: %w", err)
	}
	w.file, w.size, w.createdAt = f, info.Size(), creationTime(f)
	if !info.Mode().IsRegular() {
		w.size = 0
	}
	return nil
}

// creationTime is when a file was made, as far as its file system knows.
func creationTime(f *os.File) time.Time {
	var s unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &s); err == nil && s.Mask&unix.STATX_BTIME != 0 {
		return time.Unix(s.Btime.Sec, int64(s.Btime.Nsec))
	}
	return time.Now()
}

// SpliceFrom moves n bytes that wait in the pipe to the end of the log. In one step of the kernel they leave the pipe and
// are in the file: whoever kills pgo finds each byte in one of them. words is shown the end of what was moved.
func (w *Writer) SpliceFrom(pipe, n int, words io.Writer) (moved int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.openCurrent(); err != nil {
		return 0, err
	}
	w.writeDropNotice()
	at := w.size
	k, err := unix.Splice(pipe, nil, int(w.file.Fd()), &at, n, unix.SPLICE_F_NONBLOCK)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		k, err = w.copyFromPipe(pipe, n)
	}
	if k > 0 {
		w.size += k
		w.copyToTail(k, words)
		w.rotateIfDue()
	}
	return int(k), err
}

// maxTailCopy is how much of what was moved at once is looked at again.
const maxTailCopy = 8 << 10

func (w *Writer) copyToTail(n int64, words io.Writer) {
	if words == nil {
		return
	}
	block := make([]byte, min(n, maxTailCopy))
	if k, _ := w.file.ReadAt(block, w.size-int64(len(block))); k > 0 {
		_, _ = words.Write(block[:k]) // it only remembers
	}
}

// copyFromPipe is for files that cannot be spliced into. What was read and could not be written is lost, and counted.
func (w *Writer) copyFromPipe(pipe, n int) (int64, error) {
	if _, err := w.file.WriteAt(nil, w.size); err != nil {
		return 0, err
	}
	block := make([]byte, min(n, 64<<10))
	k, err := unix.Read(pipe, block)
	if err != nil || k <= 0 {
		return 0, err
	}
	m, err := w.file.WriteAt(block[:k], w.size)
	if err != nil {
		w.unreported.add(block[m:k], err)
	}
	return int64(m), err
}

// Discard takes n bytes out of the pipe for nothing, and the rest of the last line, since the log cannot be written and
// the process must not wait. It tells whether the line's end has come already.
func (w *Writer) Discard(pipe, n int, why error) (whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	block := make([]byte, 64<<10)
	for {
		size := min(n, len(block))
		if n <= 0 {
			size = 1 // never more than the line's end
		}
		k, err := unix.Read(pipe, block[:size])
		if err != nil || k <= 0 {
			return false
		}
		w.unreported.add(block[:k], why)
		if n -= k; n <= 0 && block[k-1] == '\n' {
			return true
		}
	}
}

func (l *lossCount) add(text []byte, why error) {
	for _, c := range text {
		if c == '\n' {
			l.lines++
		}
	}
	l.bytes += int64(len(text))
	l.isMidLine = text[len(text)-1] != '\n'
	l.why = why
}

// hasPartialLoss tells whether the beginning of a line was lost, of which the rest is still to come.
func (w *Writer) hasPartialLoss() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unreported.bytes > 0 && w.unreported.isMidLine
}

// writeDropNotice writes down what was lost, once something can be written again.
func (w *Writer) writeDropNotice() {
	if w.unreported.bytes == 0 {
		return
	}
	line := fmt.Sprintf("{\"ts\":%q,\"level\":\"error\",\"msg\":\"pgo could not write this log: %d lines (%d bytes) were dropped here\",\"error\":%q}\n",
		time.Now().UTC().Format(time.RFC3339Nano), w.unreported.lines, w.unreported.bytes, w.unreported.why)
	if w.size > 0 && w.readLastByte() != '\n' {
		line = "\n" + line // the disk was full in the middle of one
	}
	n, err := w.file.WriteAt([]byte(line), w.size)
	if err != nil {
		_ = w.file.Truncate(w.size) // half a line helps nobody
		return
	}
	w.size += int64(n)
	w.reported.lines += w.unreported.lines
	w.reported.bytes += w.unreported.bytes
	w.unreported = lossCount{}
}

// Dropped is how much could not be written, since there is this writer.
func (w *Writer) Dropped() (lines, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reported.lines + w.unreported.lines, w.reported.bytes + w.unreported.bytes
}

// Size is how much the file holds.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// Clear empties the log and removes its rotated files.
func (w *Writer) Clear() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.background.Wait()
	if err := w.openCurrent(); err != nil {
		return err
	}
	if err := w.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the log: %w", err)
	}
	w.size, w.createdAt = 0, time.Now()
	for _, old := range ListRotated(w.path) {
		if err := os.Remove(old.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("empty the log: %w", err)
		}
	}
	return nil
}

// Close ends what goes on in the background and closes the file.
func (w *Writer) Close() {
	w.background.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}
